//! An adapter in Python: built by `just python-adapter`, loaded with `wasi = "stub"`, called.
#![allow(
    clippy::unwrap_used,
    reason = "clippy.toml allows it in tests, and does not see that their helpers are part of them"
)]

use std::path::PathBuf;

use serde_json::{Value, json};
use weir_tests::configuration::with_upstream;
use weir_tests::{Program, Server, repository};
use weir_upstream::{Api, Fault, Upstream};

fn component() -> PathBuf {
    let built = repository().join("target/python-adapter/acme.wasm");
    assert!(
        built.exists(),
        "{} is not there; run `just python-adapter`",
        built.display()
    );
    built
}

#[test]
fn it_is_admitted_with_stubs_alone() {
    let program = Program::new().unwrap();
    let file = component();
    let file = file.to_str().unwrap();
    let closed = program.run(["--json", "inspect", file]).unwrap();
    assert_eq!(closed.status, Some(1));
    assert!(
        closed.json().unwrap()["reasons"][0]
            .as_str()
            .unwrap()
            .contains("wasi = \"stub\"")
    );

    let stubbed = program
        .run(["--json", "inspect", "--stub-wasi", file])
        .unwrap()
        .success()
        .unwrap();
    let inspection = stubbed.json().unwrap();
    assert_eq!(inspection["admitted"], true);
    assert_eq!(inspection["name"], "acme-python");
    assert_eq!(inspection["capabilities"], json!(["embedding"]));
    let traps = inspection["stubbed"].as_array().unwrap();
    assert!(
        traps
            .iter()
            .any(|name| name.as_str().unwrap().starts_with("wasi:sockets/")),
        "{traps:?}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn it_answers_as_the_one_in_rust_does() {
    let upstream = Upstream::start().await.unwrap();
    let config = format!(
        "[providers.acme]\ncomponent = \"{}\"\nwasi = \"stub\"\nconfig.base_url = \"{url}\"\n\
         config.model = \"text-embedding-3-small\"\nsecrets.api_key = {{ env = \"UPSTREAM_KEY\" }}\n\
         egress.allow = [\"{url}\"]\negress.allow_private = [\"127.0.0.1/32\"]\nresilience.max_attempts = 1\n\
         [providers.openai]\nconfig.base_url = \"{url}\"\nsecrets.api_key = {{ env = \"UPSTREAM_KEY\" }}\n\
         egress.allow_private = [\"127.0.0.1/32\"]\n",
        component().display(),
        url = upstream.openai_url(),
    );
    let program = with_upstream(&config).unwrap();
    let server = Server::start(&program).unwrap();
    let embed = async |provider: &str, input: Value| {
        server
            .post(&format!("/v1/providers/{provider}/embed"), input)
            .await
            .unwrap()
    };

    let input = json!({"inputs": ["hello", "there"], "dimensions": 64, "model": "text-embedding-3-small"});
    let (status, answer) = embed("acme", input.clone()).await;
    assert_eq!(status, 200, "{answer}");
    let (_, bundled) = embed("openai", input).await;
    assert_eq!(answer["vectors"], bundled["vectors"]);
    assert_eq!(answer["usage"], bundled["usage"]);

    // The interpreter is still there, and goes on.
    for _ in 0..3 {
        let (status, answer) = embed("acme", json!({"inputs": ["again"]})).await;
        assert_eq!(
            (status, answer["vectors"].as_array().unwrap().len()),
            (200, 1),
            "{answer}"
        );
    }

    let (status, refused) = embed("acme", json!({"inputs": ["x"], "model": "no-such-model"})).await;
    assert_eq!(
        (status, &refused["error"]["kind"]),
        (404, &json!("not-found")),
        "{refused}"
    );
    assert!(
        refused["error"]["message"].as_str().unwrap().contains("no-such-model"),
        "{refused}"
    );
    upstream.order(Fault::too_many_requests(1).on(Api::OpenAi));
    let (status, limited) = embed("acme", json!({"inputs": ["x"]})).await;
    assert_eq!(
        (status, &limited["error"]["kind"]),
        (429, &json!("rate-limited")),
        "{limited}"
    );
}
