//! The gateways under comparison, and how each is started before the same upstream.

use std::fs;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::Context as _;
use clap::Args;

use super::caller::Asks;

/// Where each is installed; whoever has no place is left out.
#[derive(Args)]
pub struct Installed {
    #[arg(long)]
    pub weir: Option<PathBuf>,
    #[arg(long)]
    pub nginx: Option<PathBuf>,
    /// The folder of a Python environment with `litellm[proxy]`.
    #[arg(long)]
    pub litellm: Option<PathBuf>,
    /// The folder of `@portkey-ai/gateway`.
    #[arg(long)]
    pub portkey: Option<PathBuf>,
    /// The folder of a Python environment with `tensorzero`.
    #[arg(long)]
    pub tensorzero: Option<PathBuf>,
}

/// A gateway, ready to be started.
pub struct Gateway {
    pub name: &'static str,
    pub command: Command,
    /// What comes before `/embeddings` and `/chat/completions`. Without one, the gateway tells it on a line that begins with `http`.
    pub base_url: Option<String>,
    /// Headers that its clients send.
    pub headers: Vec<String>,
    models: [&'static str; 2],
}

impl Gateway {
    /// The name that its clients give the model.
    pub fn model(&self, asks: Asks) -> &'static str {
        let [embedding, chat] = self.models;
        if asks == Asks::Words { chat } else { embedding }
    }
}

const EMBEDDING: &str = "text-embedding-3-small";
const CHAT: &str = "gpt-4o-mini";

impl Installed {
    /// All that are there, each set up to listen on a free port; their files are in `folder`.
    pub fn gateways(&self, upstream: u16, folder: &Path) -> anyhow::Result<Vec<Gateway>> {
        let setups: [(&Option<PathBuf>, Setup); 5] = [
            (&self.weir, weir),
            (&self.nginx, nginx),
            (&self.litellm, litellm),
            (&self.portkey, portkey),
            (&self.tensorzero, tensorzero),
        ];
        let there = setups
            .into_iter()
            .filter_map(|(place, setup)| Some((place.as_ref()?, setup)));
        there
            .map(|(place, setup)| setup(place, upstream, free_port()?, folder))
            .collect()
    }
}

type Setup = fn(&Path, u16, u16, &Path) -> anyhow::Result<Gateway>;

fn free_port() -> anyhow::Result<u16> {
    Ok(TcpListener::bind("127.0.0.1:0")?.local_addr()?.port())
}

fn written(folder: &Path, name: &str, text: &str) -> anyhow::Result<PathBuf> {
    let file = folder.join(name);
    fs::write(&file, text).with_context(|| file.display().to_string())?;
    Ok(file)
}

fn weir(program: &Path, upstream: u16, port: u16, folder: &Path) -> anyhow::Result<Gateway> {
    let config = format!(
        r#"
data_dir = "{folder}/weir"
cache_dir = "{folder}/weir-cache"
[server]
listen = "127.0.0.1:{port}"
[providers.openai]
component = "openai"
config.base_url = "http://127.0.0.1:{upstream}/v1"
secrets.api_key = {{ env = "BENCH_KEY" }}
egress.allow_private = ["127.0.0.1/32"]
"#,
        folder = folder.display()
    );
    let mut command = Command::new(program);
    command
        .args(["serve", "--config"])
        .arg(written(folder, "weir.toml", &config)?)
        .env("BENCH_KEY", "sk-upstream");
    Ok(Gateway {
        name: "weir",
        command,
        base_url: Some(format!("http://127.0.0.1:{port}/v1")),
        headers: Vec::new(),
        models: ["openai/text-embedding-3-small", "openai/gpt-4o-mini"],
    })
}

/// A bare proxy: the floor. With its default buffer, a body of 48 KB goes through a file.
fn nginx(program: &Path, upstream: u16, port: u16, folder: &Path) -> anyhow::Result<Gateway> {
    let config = format!(
        r"
daemon off;
worker_processes 1;
pid {folder}/nginx.pid;
error_log stderr crit;
events {{ worker_connections 1024; }}
http {{
    access_log off;
    client_body_temp_path {folder}/nginx-body;
    proxy_temp_path {folder}/nginx-proxy;
    fastcgi_temp_path {folder}/nginx-fastcgi;
    uwsgi_temp_path {folder}/nginx-uwsgi;
    scgi_temp_path {folder}/nginx-scgi;
    client_body_buffer_size 1m;
    tcp_nodelay on;
    upstream provider {{ server 127.0.0.1:{upstream}; keepalive 64; }}
    server {{
        listen 127.0.0.1:{port};
        keepalive_requests 1000000000;
        location / {{
            proxy_pass http://provider;
            proxy_http_version 1.1;
            proxy_set_header Connection '';
            proxy_set_header Authorization 'Bearer sk-upstream';
            proxy_buffering off;
        }}
    }}
}}
",
        folder = folder.display()
    );
    let mut command = Command::new(program);
    command.arg("-c").arg(written(folder, "nginx.conf", &config)?);
    Ok(Gateway {
        name: "nginx",
        command,
        base_url: Some(format!("http://127.0.0.1:{port}/v1")),
        headers: Vec::new(),
        models: [EMBEDDING, CHAT],
    })
}

fn litellm(environment: &Path, upstream: u16, port: u16, folder: &Path) -> anyhow::Result<Gateway> {
    let model = |name: &str| {
        format!(
            "  - model_name: {name}\n    litellm_params:\n      model: openai/{name}\n      \
             api_base: http://127.0.0.1:{upstream}/v1\n      api_key: sk-upstream\n"
        )
    };
    let config = format!("model_list:\n{}{}", model(EMBEDDING), model(CHAT));
    let mut command = Command::new(environment.join("bin/litellm"));
    command
        .arg("--config")
        .arg(written(folder, "litellm.yaml", &config)?)
        .args([
            "--host",
            "127.0.0.1",
            "--port",
            &port.to_string(),
            "--telemetry",
            "False",
        ])
        // No list of prices from elsewhere; no keys, as the others have none.
        .env("LITELLM_LOCAL_MODEL_COST_MAP", "True")
        .env("LITELLM_DANGEROUSLY_PERMIT_WEAK_OR_UNSET_MASTER_KEY", "true");
    Ok(Gateway {
        name: "LiteLLM",
        command,
        base_url: Some(format!("http://127.0.0.1:{port}/v1")),
        headers: Vec::new(),
        models: [EMBEDDING, CHAT],
    })
}

fn portkey(package: &Path, upstream: u16, port: u16, folder: &Path) -> anyhow::Result<Gateway> {
    // By itself it listens on every address of the machine.
    let wrap = "const { Server } = require('net'); const listen = Server.prototype.listen;\n\
                Server.prototype.listen = function (at, ...rest) {\n  \
                if (at && typeof at === 'object' && at.port) at = { ...at, host: '127.0.0.1' };\n  \
                else if (typeof at === 'number') rest = ['127.0.0.1', ...rest.filter((each) => typeof each === 'function')];\n  \
                return listen.call(this, at, ...rest);\n};\n";
    let mut command = Command::new("node");
    command
        .arg("--require")
        .arg(written(folder, "loopback.cjs", wrap)?)
        .arg(package.join("build/start-server.js"))
        .args([format!("--port={port}"), "--headless".to_owned()])
        .env("TRUSTED_CUSTOM_HOSTS", "127.0.0.1");
    Ok(Gateway {
        name: "Portkey",
        command,
        base_url: Some(format!("http://127.0.0.1:{port}/v1")),
        headers: vec![
            "x-portkey-provider: openai".to_owned(),
            format!("x-portkey-custom-host: http://127.0.0.1:{upstream}/v1"),
        ],
        models: [EMBEDDING, CHAT],
    })
}

fn tensorzero(environment: &Path, upstream: u16, _port: u16, folder: &Path) -> anyhow::Result<Gateway> {
    let model = |table: &str, name: &str| {
        format!(
            "[{table}.{name}]\nrouting = [\"upstream\"]\n[{table}.{name}.providers.upstream]\ntype = \"openai\"\n\
             model_name = \"{name}\"\napi_base = \"http://127.0.0.1:{upstream}/v1/\"\n"
        )
    };
    let config = format!(
        "[gateway]\nobservability.enabled = false\n{}{}",
        model("embedding_models", EMBEDDING),
        model("models", CHAT)
    );
    let mut command = Command::new(environment.join("bin/python"));
    command
        .arg(concat!(
            env!("CARGO_MANIFEST_DIR"),
            "/python/gateways/serve_tensorzero.py"
        ))
        .arg(written(folder, "tensorzero.toml", &config)?)
        .env("OPENAI_API_KEY", "sk-upstream");
    Ok(Gateway {
        name: "TensorZero",
        command,
        base_url: None,
        headers: Vec::new(),
        models: [
            "tensorzero::embedding_model_name::text-embedding-3-small",
            "tensorzero::model_name::gpt-4o-mini",
        ],
    })
}
