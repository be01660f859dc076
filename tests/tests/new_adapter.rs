//! An adapter the way a stranger makes one: `weir new`, build, inspect, load by path, call.
#![allow(
    clippy::unwrap_used,
    reason = "clippy.toml allows it in tests, and does not see that their helpers are part of them"
)]

use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::{Value, json};
use weir_tests::configuration::with_upstream;
use weir_tests::{Finished, Program, repository};
use weir_upstream::Upstream;

/// Where crates are built: with the bundled adapters, whose dependencies are theirs and built already.
fn target() -> PathBuf {
    repository().join("guest-providers/target")
}

/// Runs cargo in a crate, as its author would.
fn cargo(crate_folder: &Path, arguments: &[&str]) {
    let output = Command::new("cargo")
        .args(arguments)
        .current_dir(crate_folder)
        .env("CARGO_TARGET_DIR", target())
        .output()
        .unwrap();
    Finished::from(output).success().unwrap();
}

/// Has the program write a crate and builds it; the crate's folder and its component.
fn build(program: &Program, name: &str, capabilities: &str) -> (PathBuf, PathBuf) {
    let folder = repository().join("target/new-adapter").join(name);
    if folder.exists() {
        std::fs::remove_dir_all(&folder).unwrap();
    }
    let path = folder.to_str().unwrap();
    let written = program
        .run(["--json", "new", name, "--capability", capabilities, "--path", path])
        .unwrap()
        .success()
        .unwrap();
    assert_eq!(written.json().unwrap()["name"], name);
    cargo(&folder, &["fmt", "--check"]);
    cargo(&folder, &["build", "--release"]);
    let built = format!("wasm32-wasip2/release/{}.wasm", name.replace('-', "_"));
    let built = target().join(built);
    assert!(built.exists(), "{}", built.display());
    (folder, built)
}

fn inspect(program: &Program, component: &Path) -> Value {
    let finished = program.run(["--json", "inspect", component.to_str().unwrap()]).unwrap();
    assert_eq!(finished.status, Some(0), "{finished:?}");
    finished.json().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_new_adapter_builds_is_admitted_and_answers() {
    let program = Program::new().unwrap().env("ACME_API_KEY", "a-key-of-acme's");
    let (folder, component) = build(&program, "acme", "embedding");

    let inspection = inspect(&program, &component);
    assert_eq!(inspection["admitted"], true, "{inspection}");
    assert_eq!(inspection["name"], "acme");
    assert_eq!(inspection["capabilities"], json!(["embedding"]));
    assert_eq!(inspection["wants"]["origins"], json!(["https://api.acme.example"]));
    assert_eq!(inspection["wants"]["secrets"][0]["name"], "api_key");
    let size = std::fs::metadata(&component).unwrap().len();
    assert!(size <= 300 * 1024, "{size} bytes");

    // The `weir.toml` beside it names the built file by a path of its own.
    assert!(
        std::fs::read_to_string(folder.join("weir.toml"))
            .unwrap()
            .contains("./target/wasm32-wasip2/release/acme.wasm")
    );
    let upstream = Upstream::start().await.unwrap();
    let config = format!(
        "[providers.acme]\ncomponent = \"{}\"\nconfig.base_url = \"{url}\"\nconfig.model = \"text-embedding-3-small\"\n\
         secrets.api_key = {{ env = \"UPSTREAM_KEY\" }}\negress.allow = [\"{url}\"]\n\
         egress.allow_private = [\"127.0.0.1/32\"]\n",
        component.display(),
        url = upstream.openai_url(),
    );
    let program = with_upstream(&config).unwrap();
    let call = |input: &str| {
        program
            .run(["--json", "call", "acme", "embed", "--input", input])
            .unwrap()
    };
    let answer = call(r#"{"inputs": ["hello", "there"], "dimensions": 64}"#)
        .success()
        .unwrap()
        .json()
        .unwrap();
    assert_eq!(answer["dimensions"], 64);
    assert_eq!(answer["vectors"].as_array().unwrap().len(), 2);
    assert!(answer["usage"]["input_tokens"].as_u64().unwrap() > 0, "{answer}");
    let refused = call(r#"{"inputs": ["hello"], "model": "no-such-model"}"#);
    assert_eq!(refused.status, Some(1));
    assert!(
        refused.stderr.contains("not-found") && refused.stderr.contains("no-such-model"),
        "{refused:?}"
    );
}

#[test]
fn an_adapter_of_every_capability_builds_and_its_tests_pass() {
    let program = Program::new().unwrap();
    let all = "embedding,sparse-embedding,reranking,vector-store,web-search,chat,models";
    let (folder, component) = build(&program, "jack-of-all-trades", all);
    let inspection = inspect(&program, &component);
    let capabilities: Vec<&str> = all.split(',').collect();
    assert_eq!(inspection["capabilities"], json!(capabilities));
    cargo(&folder, &["native-test"]);
}

#[test]
fn what_cannot_be_written_is_told() {
    let program = Program::new().unwrap();
    for (arguments, said) in [
        (&["new", "Acme"][..], "`Acme` can't be an adapter's name"),
        (
            &["new", "acme", "--capability", "embeding"],
            "did you mean `embedding`?",
        ),
        (&["new", "acme", "--path", "."], "is there already"),
    ] {
        let finished = program.run(arguments).unwrap();
        assert_eq!(finished.status, Some(2), "{finished:?}");
        assert!(finished.stderr.contains(said), "{finished:?}");
    }
}
