//! What goes wrong by the user's or a provider's doing is said in one message: what was wrong, where, and what to do.
#![allow(
    clippy::unwrap_used,
    reason = "clippy.toml allows it in tests, and does not see that their helpers are part of them"
)]

use std::collections::BTreeMap;
use std::net::TcpListener;

use serde_json::{Value, json};
use weir_tests::configuration::{provider, with_upstream};
use weir_tests::{Finished, Program};
use weir_upstream::{Api, DEFAULT_API_KEY, Fault, FaultKind, Upstream};

const EMBED: [&str; 5] = [
    "call",
    "voyage",
    "embed",
    "--input",
    r#"{"inputs": ["a text that stays private"]}"#,
];

/// Runs the program, which must fail with this status and a short message, and must not tell a key however much it
/// logs. Gives the message; the program's folder is `FOLDER` in it.
fn refusal(program: &Program, status: i32, arguments: &[&str]) -> String {
    let finished = program.run(arguments).unwrap();
    assert_eq!(finished.status, Some(status), "{finished:?}");
    assert_eq!(finished.stdout, "");
    assert!(finished.stderr.lines().count() <= 3, "{}", finished.stderr);

    let traced = program
        .command(arguments)
        .env("RUST_LOG", "trace")
        .env("RUST_BACKTRACE", "1")
        .output()
        .unwrap();
    let traced = Finished::from(traced);
    assert_eq!(traced.status, Some(status), "{traced:?}");
    for output in [&finished.stderr, &traced.stdout, &traced.stderr] {
        for never in [DEFAULT_API_KEY, "panicked", "stack backtrace"] {
            assert!(!output.contains(never), "{never:?} is in {output}");
        }
    }
    for run_together in [".,", ".;", ".:"] {
        assert!(
            !finished.stderr.contains(run_together),
            "{run_together:?} is in {}",
            finished.stderr
        );
    }
    let message = finished.stderr.strip_suffix('\n').unwrap_or(&finished.stderr);
    message.replace(&program.folder().display().to_string(), "FOLDER")
}

/// As [`refusal`], with `--json`: one line, an object.
fn refusal_as_json(program: &Program, status: i32, arguments: &[&str]) -> Value {
    let message = refusal(program, status, &[&["--json"], arguments].concat());
    assert_eq!(message.lines().count(), 1, "{message}");
    serde_json::from_str(&message).unwrap()
}

/// A program whose Voyage is at the upstream.
/// What is told of a refusal does not depend on how often it was asked for.
fn voyage_at(upstream: &Upstream) -> Program {
    let once = "resilience.max_attempts = 1\n";
    with_upstream(&(provider("voyage", &upstream.voyage_url()) + once)).unwrap()
}

#[test]
fn a_missing_secret_is_named_with_the_variable_that_would_hold_it() {
    let program = Program::with_config("[providers.voyage]").unwrap();
    assert_eq!(
        refusal(&program, 2, &EMBED),
        "weir: provider `voyage` needs the secret `api_key`: set the environment variable VOYAGE_API_KEY, or say where it \
         is kept with `api_key = { env = \"NAME\" }` under [providers.voyage.secrets]"
    );
    let program = Program::with_config("[providers.voyage]\nsecrets.api_key = { env = \"MY_KEY\" }").unwrap();
    assert_eq!(
        refusal(&program, 2, &EMBED),
        "weir: provider `voyage`: the secret `api_key` is missing: the environment variable MY_KEY is not set"
    );
}

#[test]
fn an_unknown_key_is_shown_in_its_line_with_the_one_that_was_meant() {
    let program = Program::with_config("[http_pool]\nmax_conections = 5\n").unwrap();
    let place = "FOLDER/weir.toml:2:1: unknown key `http_pool.max_conections`; did you mean `max_connections`?\n \
                 2 | max_conections = 5\n   | ^^^^^^^^^^^^^^";
    assert_eq!(refusal(&program, 2, &EMBED), format!("weir: {place}"));
    assert_eq!(refusal(&program, 2, &["config", "check"]), format!("weir: {place}"));
    let error = json!({"error": {"kind": "configuration", "message": place}});
    assert_eq!(refusal_as_json(&program, 2, &EMBED), error);
}

#[test]
fn a_value_of_the_wrong_type_is_shown_in_its_line_with_what_was_expected() {
    let program = Program::with_config("[http_pool]\nmax_connections = \"many\"\n").unwrap();
    assert_eq!(
        refusal(&program, 2, &EMBED),
        "weir: FOLDER/weir.toml:2:19: http_pool.max_connections: expected a whole number above 0, found the text \"many\"\n \
         2 | max_connections = \"many\"\n   |                   ^^^^^^"
    );
}

#[test]
fn a_secret_in_the_configuration_is_refused_and_not_repeated() {
    let config = format!("[providers.voyage]\nsecrets.api_key = \"{DEFAULT_API_KEY}\"\n");
    let program = Program::with_config(&config).unwrap();
    assert_eq!(
        refusal(&program, 2, &EMBED),
        "weir: FOLDER/weir.toml:2:19: providers.voyage.secrets.api_key: a secret is not written into the configuration; \
         say where it is kept, with { env = \"NAME\" } or { file = \"PATH\" }"
    );
}

#[test]
fn a_component_for_another_version_of_the_contract_is_refused_with_both_versions() {
    let program = Program::with_config("[providers.old]\ncomponent = \"./old.wasm\"\n").unwrap();
    let component = wat::parse_str(r#"(component (import "weir:provider/types@0.9.0" (instance)))"#).unwrap();
    std::fs::write(program.folder().join("old.wasm"), component).unwrap();
    assert_eq!(
        refusal(&program, 1, &["call", "old", "models"]),
        "weir: provider `old`: the component is not admitted: it imports `weir:provider/types@0.9.0`, but this host serves \
         `weir:provider@0.1.0`; build it against that version"
    );
}

#[test]
fn a_file_that_is_no_component_is_refused_as_such() {
    let program = Program::with_config("[providers.mine]\ncomponent = \"./mine.wasm\"\n").unwrap();
    let component = program.folder().join("mine.wasm");
    let call = ["call", "mine", "models"];
    let message = refusal(&program, 1, &call);
    assert_eq!(
        message,
        "weir: provider `mine`: can't read the component FOLDER/./mine.wasm: No such file or directory (os error 2)"
    );

    std::fs::write(&component, "fn main() {}\n").unwrap();
    let message = refusal(&program, 1, &call);
    let expected = "weir: provider `mine`: the component is not admitted: the file is no WebAssembly component: ";
    assert!(message.starts_with(expected), "{message}");

    std::fs::write(&component, wat::parse_str("(module)").unwrap()).unwrap();
    assert_eq!(
        refusal(&program, 1, &call),
        "weir: provider `mine`: the component is not admitted: the file is a core WebAssembly module, not a component; \
         build it for the target wasm32-wasip2"
    );
}

#[test]
fn an_address_where_nobody_listens_is_named() {
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let program = with_upstream(&provider("voyage", &format!("http://127.0.0.1:{port}/v1"))).unwrap();
    let message = refusal(&program, 1, &EMBED).replace(&port.to_string(), "PORT");
    assert_eq!(
        message,
        "weir: voyage embed: could not connect to http://127.0.0.1:PORT: Connection refused (os error 111); check that \
         the service runs and can be reached from here"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refused_key_is_told_from_other_failures() {
    let upstream = Upstream::builder().api_key("another").start().await.unwrap();
    let program = voyage_at(&upstream);
    assert_eq!(
        refusal(&program, 1, &EMBED),
        "weir: voyage embed: the key was refused (HTTP 401): Provided API key is invalid; check the provider's key \
         (`weir doctor` tells which it is)"
    );
    let error = json!({"error": {
        "kind": "unauthorized",
        "message": "the key was refused (HTTP 401): Provided API key is invalid.",
        "provider": "voyage",
        "operation": "embed",
        "status": 401,
        "attempts": 1,
    }});
    assert_eq!(refusal_as_json(&program, 1, &EMBED), error);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_that_the_provider_repeats_is_not_repeated() {
    let upstream = Upstream::start().await.unwrap();
    let program = voyage_at(&upstream);
    let kind = FaultKind::Status {
        code: 403,
        headers: BTreeMap::new(),
        body: Some(format!(r#"{{"detail": "the key {DEFAULT_API_KEY} may not do this"}}"#)),
    };
    upstream.order(Fault::new(kind).on(Api::Voyage).always());
    let message = refusal(&program, 1, &EMBED);
    assert!(
        message.starts_with("weir: voyage embed: the key was refused (HTTP 403): the key "),
        "{message}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rate_limit_tells_how_long_to_wait() {
    let upstream = Upstream::start().await.unwrap();
    let program = voyage_at(&upstream);
    upstream.order(Fault::too_many_requests(7).on(Api::Voyage).always());
    assert_eq!(
        refusal(&program, 1, &EMBED),
        "weir: voyage embed: the rate limit is used up, try again in 7s (HTTP 429): This is an ordered fault."
    );
    let error = &refusal_as_json(&program, 1, &EMBED)["error"];
    assert_eq!(
        (&error["kind"], &error["retry_after"]),
        (&"rate-limited".into(), &7.0.into())
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_that_is_not_what_it_should_be_is_called_malformed() {
    let upstream = Upstream::start().await.unwrap();
    let program = voyage_at(&upstream);
    upstream.order(Fault::new(FaultKind::MalformedJson).on(Api::Voyage).always());
    assert_eq!(
        refusal(&program, 1, &EMBED),
        "weir: voyage embed: the answer is malformed: `data[0]`: EOF while parsing a value at line 1 column 23; \
         try again; if it stays so, check the base URL in the provider's configuration"
    );
    assert_eq!(
        refusal_as_json(&program, 1, &EMBED)["error"]["kind"],
        "malformed-response"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_page_instead_of_an_answer_is_told_in_one_line_that_a_terminal_can_show() {
    let upstream = Upstream::start().await.unwrap();
    let program = voyage_at(&upstream);
    let page = "<html>\r\n<head><title>502 Bad Gateway</title></head>\r\n<body>\r\n\u{1b}[2J<center>nginx</center>\r\n\
                </body>\r\n</html>\r\n";
    let kind = FaultKind::Status {
        code: 502,
        headers: BTreeMap::new(),
        body: Some(page.to_owned()),
    };
    upstream.order(Fault::new(kind).on(Api::Voyage).always());
    let message = refusal(&program, 1, &EMBED);
    assert!(
        message.starts_with("weir: voyage embed: the provider failed (HTTP 502)"),
        "{message}"
    );
    assert!(!message.contains(char::is_control), "{message:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_private_address_is_refused_with_the_grant_that_would_allow_it() {
    let upstream = Upstream::start().await.unwrap();
    let config = provider("voyage", &upstream.voyage_url()).replace("egress.allow_private", "#");
    let program = with_upstream(&config).unwrap();
    let message = refusal(&program, 2, &EMBED).replace(upstream.url(), "UPSTREAM");
    let width = "^".repeat(upstream.voyage_url().len() + 2);
    assert_eq!(
        message,
        format!(
            "weir: FOLDER/weir.toml:2:19: providers.voyage.config.base_url: 127.0.0.1 is a private address, and provider \
             `voyage` is not granted it; to allow it, add `allow_private = [\"127.0.0.1/32\"]` under \
             [providers.voyage.egress]\n 2 | config.base_url = \"UPSTREAM/voyage/v1\"\n   |                   {width}"
        )
    );
    assert_eq!(upstream.stats().connections.opened, 0);
}

#[test]
fn an_unknown_provider_is_answered_with_the_one_that_was_meant() {
    let program = Program::new().unwrap();
    assert_eq!(
        refusal(&program, 2, &["call", "locl", "embed"]),
        "weir: there is no provider `locl`; did you mean `local`?"
    );
    assert_eq!(
        refusal(&program, 2, &EMBED),
        "weir: there is no provider `voyage` in this configuration; set VOYAGE_API_KEY or add [providers.voyage] to \
         weir.toml"
    );
}

#[test]
fn an_unknown_operation_is_answered_with_the_one_that_was_meant() {
    let program = Program::new().unwrap();
    assert_eq!(
        refusal(&program, 2, &["call", "local", "embedd"]),
        "weir: there is no operation `embedd`; did you mean `embed`?"
    );
}

#[test]
fn an_operation_that_a_provider_does_not_offer_is_said() {
    let program = Program::new().unwrap();
    let input = r#"{"query": "q", "documents": ["d"]}"#;
    assert_eq!(
        refusal(&program, 1, &["call", "local", "rerank", "--input", input]),
        "weir: local rerank: the component offers no reranking; choose another provider for this"
    );
}

#[test]
fn input_that_is_no_json_is_refused_by_line_and_column() {
    let program = Program::new().unwrap();
    assert_eq!(
        refusal(&program, 2, &["call", "local", "embed", "--input", "{inputs: 1}"]),
        "weir: --input is not JSON: key must be a string at line 1 column 2"
    );
    std::fs::write(program.folder().join("input.json"), "{\"inputs\": [\n  \"a\",\n]}").unwrap();
    assert_eq!(
        refusal(&program, 2, &["call", "local", "embed", "--input", "@input.json"]),
        "weir: input.json is not JSON: trailing comma at line 3 column 1"
    );
}

#[test]
fn an_unknown_field_is_answered_with_the_one_that_was_meant() {
    let program = Program::new().unwrap();
    let message = |input: &str| refusal(&program, 2, &["call", "local", "embed", "--input", input]);
    assert_eq!(
        message(r#"{"input": ["a"]}"#),
        "weir: local embed: the input was refused: unknown field `input`; did you mean `inputs`?"
    );
    assert_eq!(
        message("{}"),
        "weir: local embed: the input was refused: missing field `inputs`"
    );
    assert_eq!(
        message(r#"{"inputs": []}"#),
        "weir: local embed: the input was refused: `inputs` is empty"
    );
    assert_eq!(
        message(r#"{"inputs": ["a", 5]}"#),
        "weir: local embed: the input was refused: `inputs[1]`: invalid type: integer `5`, expected a string"
    );
}
