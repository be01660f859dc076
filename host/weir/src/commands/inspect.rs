//! `weir inspect FILE.wasm`: what a component is, before anything of it is trusted.

use std::fmt::Write as _;
use std::path::PathBuf;

use serde_json::{Value, json};
use weir_pool::PoolManager;
use weir_runtime::metadata::{Manifest, Origin};
use weir_runtime::{Inspection, Runtime, RuntimeOptions, WasiGrant, WasiMode};

use crate::bundled;
use crate::cli::{Context, Failed, UsageError};

/// What `weir inspect` takes.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The component's file, or the name of a bundled one.
    #[arg(value_name = "FILE.wasm")]
    file: PathBuf,
    /// Judge it as with `wasi = "stub"`: imports of WASI that are not lent become traps.
    #[arg(long)]
    stub_wasi: bool,
    /// Judge it as with `allow_wasi_http = true`: it may send its requests through `wasi:http`, on its pool.
    #[arg(long)]
    allow_wasi_http: bool,
}

pub(super) async fn run(args: &Args, context: &Context) -> anyhow::Result<()> {
    let bytes = read(args)?;
    let wasi = WasiGrant {
        mode: if args.stub_wasi {
            WasiMode::Stub
        } else {
            WasiMode::Closed
        },
        http: args.allow_wasi_http,
    };
    // Without a compile cache: a look leaves nothing behind.
    let runtime = Runtime::new(RuntimeOptions {
        cache_dir: None,
        pools: PoolManager::new()?,
    })?;
    let mut inspection = runtime.inspect(&bytes, wasi);
    let mut manifest = None;
    if inspection.admitted() {
        match runtime.describe(&args.file.display().to_string(), &bytes, wasi).await {
            Ok(described) => manifest = Some(described),
            Err(error) => inspection.reasons.push(error.to_string()),
        }
    }
    if context.output.is_json() {
        context.output.json(&to_json(&inspection, manifest.as_ref()))?;
    } else {
        context.output.text(&to_text(&inspection, manifest.as_ref()))?;
    }
    if inspection.admitted() {
        Ok(())
    } else {
        Err(Failed.into())
    }
}

fn read(args: &Args) -> Result<Vec<u8>, UsageError> {
    let bundled = args.file.to_str().and_then(bundled::find);
    match std::fs::read(&args.file) {
        Ok(bytes) => Ok(bytes),
        Err(error) => match bundled {
            Some(bundled) => Ok(bundled.bytes.to_vec()),
            None => Err(UsageError(format!("can't read {}: {error}", args.file.display()))),
        },
    }
}

fn to_json(inspection: &Inspection, manifest: Option<&Manifest>) -> Value {
    let capabilities: Vec<&str> = inspection
        .capabilities
        .iter()
        .map(|capability| capability.as_str())
        .collect();
    let mut fields = json!({
        "digest": inspection.digest,
        "exports": inspection.exports,
        "imports": inspection.imports,
        "capabilities": capabilities,
        "uses_pooled_http": inspection.uses_pooled_http,
        "uses_wasi_http": inspection.uses_wasi_http,
        "wants": Value::Null,
        "admitted": inspection.admitted(),
        "stubbed": inspection.stubbed,
        "reasons": inspection.reasons,
    });
    if let (Value::Object(fields), Some(manifest)) = (&mut fields, manifest) {
        let secrets: Vec<Value> = manifest
            .secrets
            .iter()
            .map(
                |secret| json!({ "name": secret.name, "description": secret.description, "required": secret.required }),
            )
            .collect();
        let settings: Vec<Value> = manifest
            .settings
            .iter()
            .map(|setting| {
                json!({ "name": setting.name, "description": setting.description, "default": setting.default })
            })
            .collect();
        let origins: Vec<String> = manifest
            .origins
            .iter()
            .map(|origin| origin_text(origin, manifest))
            .collect();
        fields.insert("name".to_owned(), json!(manifest.name));
        fields.insert("version".to_owned(), json!(manifest.version));
        fields.insert("description".to_owned(), json!(manifest.description));
        fields.insert(
            "wants".to_owned(),
            json!({ "origins": origins, "secrets": secrets, "settings": settings, "storage": manifest.stateful }),
        );
    }
    fields
}

/// The origin that a component wants, where its settings are the usual ones.
fn origin_text(origin: &Origin, manifest: &Manifest) -> String {
    match origin {
        Origin::Fixed(text) => text.clone(),
        Origin::OfSetting(name) => manifest
            .settings
            .iter()
            .find(|setting| setting.name == *name)
            .and_then(|setting| setting.default.as_deref()?.parse::<weir_runtime::Origin>().ok())
            .map_or_else(|| format!("that of `{name}`"), |origin| origin.to_string()),
    }
}

fn to_text(inspection: &Inspection, manifest: Option<&Manifest>) -> String {
    let mut text = String::new();
    // Writing to a text can't fail.
    let mut line = |name: &str, value: String| _ = writeln!(text, "{name:13} {value}");
    if let Some(manifest) = manifest {
        line(
            "component",
            format!("{} {}: {}", manifest.name, manifest.version, manifest.description),
        );
    }
    line("digest", inspection.digest.clone());
    let capabilities: Vec<&str> = inspection
        .capabilities
        .iter()
        .map(|capability| capability.as_str())
        .collect();
    line(
        "capabilities",
        if capabilities.is_empty() {
            "none".to_owned()
        } else {
            capabilities.join(", ")
        },
    );
    line(
        "pooled http",
        match (inspection.uses_pooled_http, inspection.uses_wasi_http) {
            (_, true) => "yes, through wasi:http (allow_wasi_http)",
            (true, false) => "yes",
            (false, false) => "no",
        }
        .to_owned(),
    );
    let lines = |names: &[String]| {
        if names.is_empty() {
            "none".to_owned()
        } else {
            names.join("\n              ")
        }
    };
    line("exports", lines(&inspection.exports));
    line("imports", lines(&inspection.imports));
    if !inspection.stubbed.is_empty() {
        line("traps", lines(&inspection.stubbed));
    }
    if let Some(manifest) = manifest {
        let origins: Vec<String> = manifest
            .origins
            .iter()
            .map(|origin| origin_text(origin, manifest))
            .collect();
        line("origins", lines(&origins));
        let secrets: Vec<String> = manifest
            .secrets
            .iter()
            .map(|secret| {
                let required = if secret.required { "required" } else { "optional" };
                format!("{} ({required}): {}", secret.name, secret.description)
            })
            .collect();
        line("secrets", lines(&secrets));
        let settings: Vec<String> = manifest
            .settings
            .iter()
            .map(|setting| match &setting.default {
                Some(default) => format!("{} [{default}]: {}", setting.name, setting.description),
                None => format!("{}: {}", setting.name, setting.description),
            })
            .collect();
        line("settings", lines(&settings));
        line(
            "storage",
            if manifest.stateful { "wanted" } else { "not wanted" }.to_owned(),
        );
    }
    line(
        "admitted",
        if inspection.admitted() {
            "yes".to_owned()
        } else {
            format!("no: {}", lines(&inspection.reasons))
        },
    );
    text
}
