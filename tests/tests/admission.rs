//! What is refused before any of its code runs.

use weir_tests::{Program, adapter, fixture};

fn inspect(program: &Program, name: &str, bytes: &[u8]) -> (Option<i32>, serde_json::Value) {
    let file = program.folder().join(name);
    std::fs::write(&file, bytes).unwrap();
    let finished = program.run(["--json", "inspect", file.to_str().unwrap()]).unwrap();
    (finished.status, finished.json().unwrap())
}

#[test]
fn sockets_http_and_files_are_refused_by_name() {
    let program = Program::new().unwrap();
    for import in [
        "wasi:sockets/tcp@0.2.6",
        "wasi:http/outgoing-handler@0.2.6",
        "wasi:filesystem/types@0.2.6",
    ] {
        let bytes = wat::parse_str(format!("(component (import \"{import}\" (instance)))")).unwrap();
        let (status, inspection) = inspect(&program, "stranger.wasm", &bytes);
        assert_eq!(status, Some(1));
        assert_eq!(inspection["admitted"], false);
        assert!(
            inspection["reasons"][0].as_str().unwrap().contains(import),
            "{inspection}"
        );
    }
}

#[test]
fn a_provider_with_a_refused_component_never_answers() {
    let program = Program::with_config("[providers.stranger]\ncomponent = \"./stranger.wasm\"\n").unwrap();
    let bytes = wat::parse_str("(component (import \"wasi:sockets/tcp@0.2.6\" (instance)))").unwrap();
    std::fs::write(program.folder().join("stranger.wasm"), bytes).unwrap();
    let finished = program
        .run(["call", "stranger", "embed", "--input", "{\"inputs\":[\"x\"]}"])
        .unwrap();
    assert_ne!(finished.status, Some(0));
    assert!(finished.stderr.contains("wasi:sockets/tcp@0.2.6"), "{finished:?}");
}

#[test]
fn every_bundled_adapter_is_admitted_and_imports_no_more_than_it_may() {
    let program = Program::new().unwrap();
    for (name, capabilities, pooled) in [
        ("voyage", vec!["embedding", "reranking"], true),
        ("cohere", vec!["embedding", "reranking", "chat"], true),
        ("openai", vec!["embedding", "reranking", "chat", "models"], true),
        ("mistral", vec!["embedding", "chat", "models"], true),
        ("azure", vec!["embedding", "chat", "models"], true),
        ("huggingface", vec!["embedding", "chat", "models"], true),
        ("perplexity", vec!["embedding", "web-search", "chat", "models"], true),
        ("google", vec!["embedding", "chat", "models"], true),
        ("anthropic", vec!["chat", "models"], true),
        ("bedrock", vec!["embedding", "reranking", "chat", "models"], true),
        ("qdrant", vec!["vector-store"], true),
        ("tavily", vec!["web-search"], true),
        (
            "tei",
            vec!["embedding", "sparse-embedding", "reranking", "models"],
            true,
        ),
        ("jina", vec!["embedding", "reranking"], true),
        ("chroma", vec!["vector-store"], true),
        ("local", vec!["embedding", "sparse-embedding"], false),
        ("memory", vec!["vector-store"], false),
    ] {
        let file = adapter(name);
        let finished = program.run(["--json", "inspect", file.to_str().unwrap()]).unwrap();
        let inspection = finished.json().unwrap();
        assert_eq!(finished.status, Some(0), "{inspection}");
        assert_eq!(inspection["capabilities"], serde_json::json!(capabilities), "{name}");
        let imports = inspection["imports"].as_array().unwrap();
        let uses_pool = imports
            .iter()
            .any(|import| import.as_str().unwrap().contains("/pooled-http@"));
        assert_eq!(uses_pool, pooled, "{name}: {imports:?}");
    }
}

#[test]
fn an_adapter_is_small() {
    /// Bytes; the embedding table of `local` is data, not code.
    const LIMIT: u64 = 300 * 1024;
    for name in [
        "voyage",
        "cohere",
        "openai",
        "mistral",
        "azure",
        "huggingface",
        "perplexity",
        "google",
        "anthropic",
        "bedrock",
        "qdrant",
        "tavily",
        "tei",
        "jina",
        "chroma",
        "memory",
    ] {
        let size = std::fs::metadata(adapter(name)).unwrap().len();
        assert!(size <= LIMIT, "{name} has {size} bytes");
    }
}

#[test]
fn the_fixture_of_the_hostile_tests_is_itself_admitted() {
    let program = Program::new().unwrap();
    let finished = program
        .run(["--json", "inspect", fixture("misbehaver").to_str().unwrap()])
        .unwrap();
    assert_eq!(finished.json().unwrap()["admitted"], true);
}
