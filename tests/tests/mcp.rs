//! `weir mcp`, driven by the official SDK's client as a coding assistant drives it.
#![allow(
    clippy::unwrap_used,
    reason = "clippy.toml allows it in tests, and does not see that their helpers are part of them"
)]

use std::process::Stdio;

use rmcp::model::{CallToolRequest, CallToolRequestParams, CallToolResult, ClientRequest};
use rmcp::service::{PeerRequestOptions, RunningService};
use rmcp::{RoleClient, ServiceExt};
use serde_json::{Value, json};
use tokio::io::AsyncReadExt;
use tokio::process::{Child, ChildStderr, Command};
use weir_tests::configuration::{every_provider, with_upstream};
use weir_tests::{Program, Tree, until};
use weir_upstream::{Api, Fault, FaultKind, Upstream};

/// The server's process and the client that speaks to it.
struct Session {
    child: Child,
    stderr: ChildStderr,
    client: RunningService<RoleClient, ()>,
}

fn indexed() -> (Program, Tree) {
    let (program, tree) = (
        Program::new().unwrap().env("RUST_LOG", "warn"),
        Tree::sample(1).unwrap(),
    );
    tree.write(
        "part0/src/connections.rs",
        "/// Closes the idle connections whose keep-alive has expired.\npub fn expire_idle_connections(pool: &mut Pool) \
         {\n    pool.idle.retain(|connection| !connection.is_expired());\n}\n",
    )
    .unwrap();
    let arguments = [
        "index".as_ref(),
        tree.path().as_os_str(),
        "--collection".as_ref(),
        "code".as_ref(),
    ];
    program.run(arguments).unwrap().success().unwrap();
    (program, tree)
}

async fn connect(program: &Program, arguments: &[&str]) -> Session {
    let mut command = Command::from(program.command([&["mcp"], arguments].concat()));
    let mut child = command.stdin(Stdio::piped()).kill_on_drop(true).spawn().unwrap();
    let transport = (child.stdout.take().unwrap(), child.stdin.take().unwrap());
    let stderr = child.stderr.take().unwrap();
    let client = ().serve(transport).await.unwrap();
    Session { child, stderr, client }
}

impl Session {
    async fn find(&self, arguments: Value) -> CallToolResult {
        let request = CallToolRequestParams::new("find_code").with_arguments(arguments.as_object().unwrap().clone());
        self.client.call_tool(request).await.unwrap()
    }

    /// Closes the program's input; its exit status and what it wrote to standard error.
    async fn end(mut self) -> (Option<i32>, String) {
        self.client.cancel().await.unwrap();
        let mut said = String::new();
        self.stderr.read_to_string(&mut said).await.unwrap();
        (self.child.wait().await.unwrap().code(), said)
    }
}

fn text(result: &CallToolResult) -> &str {
    &result.content[0].as_text().unwrap().text
}

fn refusal(result: &CallToolResult) -> &str {
    assert_eq!(result.is_error, Some(true), "{result:?}");
    text(result)
}

#[tokio::test(flavor = "multi_thread")]
async fn an_assistant_finds_code_by_what_it_does() {
    let (program, _tree) = indexed();
    let session = connect(&program, &[]).await;

    let info = session.client.peer_info().unwrap();
    assert_eq!(info.server_info.as_ref().unwrap().name, "weir");
    let tools = session.client.list_all_tools().await.unwrap();
    assert_eq!(tools.len(), 1);
    assert_eq!(tools[0].name, "find_code");
    assert_eq!(tools[0].input_schema["required"], json!(["query"]));
    for argument in ["query", "limit", "path", "language", "kind", "collection"] {
        assert!(
            tools[0].input_schema["properties"][argument]["description"].is_string(),
            "{argument}"
        );
    }

    let query = "where are idle connections expired";
    let found = session.find(json!({"query": query, "limit": 3})).await;
    assert_ne!(found.is_error, Some(true), "{found:?}");
    assert!(
        text(&found).starts_with("part0/src/connections.rs:1-4 expire_idle_connections"),
        "{found:?}"
    );
    assert!(text(&found).contains("```rust\n/// Closes the idle"), "{found:?}");
    let structured = found.structured_content.unwrap();
    assert_eq!(structured["ranked_by"], "hybrid");
    assert_eq!(structured["hits"].as_array().unwrap().len(), 3);
    assert_eq!(structured["hits"][0]["start_line"], 1);

    for (filter, extension) in [
        (json!({"query": query, "language": "python"}), ".py"),
        (json!({"query": query, "path": "docs/*.md"}), ".nothing"),
        (json!({"query": query, "path": "*.md", "collection": "code"}), ".md"),
    ] {
        let structured = session.find(filter).await.structured_content.unwrap();
        let hits = structured["hits"].as_array().unwrap();
        assert_eq!(hits.is_empty(), extension == ".nothing");
        assert!(
            hits.iter()
                .all(|hit| hit["path"].as_str().unwrap().ends_with(extension)),
            "{hits:?}"
        );
    }

    assert_eq!(session.end().await, (Some(0), String::new()));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_wrong_with_a_call_is_told_to_the_model_and_the_server_goes_on() {
    let (program, _tree) = indexed();
    let session = connect(&program, &["--collection", "code"]).await;

    for (arguments, words) in [
        (json!({}), ["`query`", "needed"]),
        (json!({"query": " "}), ["`query`", "empty"]),
        (json!({"query": "x", "limit": 0}), ["`limit` is 0", "from 1 to 50"]),
        (json!({"query": "x", "limit": "many"}), ["many", "u32"]),
        (json!({"query": "x", "file": "a.rs"}), ["`file`", "`path`"]),
        (json!({"query": "x", "path": "src/[a"}), ["`path`", "src/[a"]),
        (json!({"query": "x", "collection": "none"}), ["`none`", "weir index"]),
        (json!({"query": "x", "collection": "../x"}), ["../x", "letters"]),
    ] {
        let refused = session.find(arguments).await;
        for word in words {
            assert!(refusal(&refused).contains(word), "`{word}` is not in: {refused:?}");
        }
    }
    let unknown = session.client.call_tool(CallToolRequestParams::new("find_bugs")).await;
    assert!(unknown.unwrap_err().to_string().contains("`find_code`"));

    let found = session.find(json!({"query": "expire_idle_connections"})).await;
    assert!(text(&found).starts_with("part0/src/connections.rs"), "{found:?}");
    let (status, said) = session.end().await;
    assert_eq!(status, Some(0));
    assert!(said.contains("find_code failed"), "{said}");
}

#[tokio::test(flavor = "multi_thread")]
async fn where_nothing_is_indexed_the_call_says_what_to_run() {
    let program = Program::new().unwrap().env("RUST_LOG", "error");
    let session = connect(&program, &[]).await;
    let refused = session.find(json!({"query": "x"})).await;
    assert!(refusal(&refused).contains("run `weir index PATH`"), "{refused:?}");
    assert_eq!(session.end().await, (Some(0), String::new()));
}

#[test]
fn a_client_that_says_nothing_and_goes_leaves_no_error() {
    let program = Program::new().unwrap().env("RUST_LOG", "error");
    let finished = program.run(["mcp"]).unwrap();
    assert_eq!(
        (finished.status, finished.stdout.as_str(), finished.stderr.as_str()),
        (Some(0), "", "")
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_call_that_is_cancelled_frees_what_it_asked_and_the_server_goes_on() {
    let upstream = Upstream::start().await.unwrap();
    let program = with_upstream(&every_provider(&upstream, ""))
        .unwrap()
        .env("RUST_LOG", "warn");
    let tree = Tree::sample(1).unwrap();
    let indexed = program.run(["index", tree.path().to_str().unwrap(), "--collection", "code"]);
    indexed.unwrap().success().unwrap();
    let session = connect(&program, &["--collection", "code"]).await;
    let in_flight = || upstream.stats().apis[&Api::Voyage].in_flight;
    upstream.order(Fault::new(FaultKind::Hang).on(Api::Voyage).path("/embeddings"));
    let query = json!({"query": "which rain is forecast", "limit": 1});
    let arguments = query.as_object().unwrap().clone();
    let request = CallToolRequest::new(CallToolRequestParams::new("find_code").with_arguments(arguments));
    let call = session
        .client
        .send_cancellable_request(
            ClientRequest::CallToolRequest(request),
            PeerRequestOptions::no_options(),
        )
        .await
        .unwrap();
    until("the query is being embedded", || in_flight() == 1).await.unwrap();

    call.cancel(Some("the user went on".to_owned())).await.unwrap();

    until("the provider is free", || in_flight() == 0).await.unwrap();
    let found = session.find(query).await;
    assert_ne!(found.is_error, Some(true), "{found:?}");
    let (status, said) = session.end().await;
    assert_eq!(status, Some(0));
    assert!(!said.contains("find_code failed"), "{said}");
}
