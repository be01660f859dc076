//! Searches over 100,000 chunks with the embedded default: how long one takes in a running server, and as a command that
//! reads the store first. Figures of a machine that does nothing else, so a soak and no test.

use std::path::{Path, PathBuf};
use std::time::Duration;

use serde_json::{Value, json};
use tokio::time::Instant;
use weir_tests::{Program, Server};

const CHUNKS: usize = 100_000;
const LINES: usize = 40;

/// Texts and points in one call, as many as `local` takes.
const AT_ONCE: usize = 256;

/// Searches of which the middle one counts.
const SEARCHES: usize = 21;

const QUERIES: [&str; 7] = [
    "where are idle connections closed",
    "parse a floating point number from a string",
    "split a slice at a separator",
    "how is the hash of a key computed",
    "write the header of a compressed block",
    "wait until the future of another task is done",
    "HeaderMap insert",
];

#[tokio::test(flavor = "multi_thread")]
#[ignore = "soak: stores 100,000 chunks"]
async fn soak_a_search_over_100_000_chunks_takes_50_ms_in_a_server_and_500_as_a_command() {
    let program = Program::new().unwrap().env("RUST_LOG", "warn");
    let server = Server::start(&program).unwrap();
    let begun = Instant::now();
    fill(&server).await.unwrap();
    println!("{CHUNKS} chunks stored in {:.1?}", begun.elapsed());

    for (name, filter) in [
        ("without a filter", json!(null)),
        (
            "of one language",
            json!({"must": [{"key": "language", "equals": "rust"}]}),
        ),
        (
            "of no path there is",
            json!({"must": [{"key": "path", "contains": "no such path"}]}),
        ),
    ] {
        let mut times = Vec::new();
        for number in 0..SEARCHES {
            let begun = Instant::now();
            search(&server, QUERIES[number % QUERIES.len()], &filter).await.unwrap();
            times.push(begun.elapsed());
        }
        println!("in a server, {name}: {:.1?}", middle(times));
    }
    let mut in_a_server = Vec::new();
    for number in 0..SEARCHES {
        let begun = Instant::now();
        search(&server, QUERIES[number % QUERIES.len()], &Value::Null)
            .await
            .unwrap();
        in_a_server.push(begun.elapsed());
    }
    drop(server);

    let mut as_a_command = Vec::new();
    for number in 0..SEARCHES {
        let query = QUERIES[number % QUERIES.len()];
        let begun = Instant::now();
        let found = program
            .run(["--json", "search", query, "--collection", "code"])
            .unwrap();
        as_a_command.push(begun.elapsed());
        assert_eq!(found.success().unwrap().json().unwrap()["ranked_by"], "hybrid");
    }
    let (in_a_server, as_a_command) = (middle(in_a_server), middle(as_a_command));
    println!("in a server: {in_a_server:.1?}; as a command: {as_a_command:.1?}");
    assert!(in_a_server < Duration::from_millis(50), "{in_a_server:?}");
    assert!(as_a_command < Duration::from_millis(500), "{as_a_command:?}");
}

fn middle(mut times: Vec<Duration>) -> Duration {
    times.sort_unstable();
    times[times.len() / 2]
}

async fn search(server: &Server, query: &str, filter: &Value) -> anyhow::Result<usize> {
    let input = json!({"inputs": [query], "kind": "query"});
    let dense = call(server, "local", "embed", input.clone()).await?;
    let sparse = call(server, "local", "embed-sparse", input).await?;
    let mut request = json!({
        "collection": "code", "limit": 10, "vector": dense["vectors"][0], "sparse": sparse["vectors"][0],
    });
    if !filter.is_null() {
        request["filter"] = filter.clone();
    }
    let found = call(server, "memory", "query", request).await?;
    Ok(found["points"].as_array().map_or(0, Vec::len))
}

async fn call(server: &Server, provider: &str, operation: &str, input: Value) -> anyhow::Result<Value> {
    let (status, answer) = server
        .post(&format!("/v1/providers/{provider}/{operation}"), input)
        .await?;
    anyhow::ensure!(status == 200, "{provider} {operation}: {answer}");
    Ok(answer)
}

/// Stores chunks of 40 lines of the registry's sources, as `weir index` does; again from the start where they are fewer
/// than wanted.
async fn fill(server: &Server) -> anyhow::Result<()> {
    let collection = json!({"collection": "code", "dimensions": 256, "sparse": true});
    call(server, "memory", "ensure-collection", collection).await?;
    let mut files = Vec::new();
    sources(&registry(), &mut files)?;
    let mut payloads = Vec::with_capacity(CHUNKS);
    for turn in 0.. {
        for file in &files {
            // One that is no UTF-8 is a test of somebody's.
            let Ok(text) = std::fs::read_to_string(file) else {
                continue;
            };
            let lines: Vec<&str> = text.lines().collect();
            for (number, lines) in lines.chunks(LINES).enumerate() {
                let start = number * LINES + 1;
                payloads.push(json!({
                    "path": format!("{turn}{}", file.display()), "start_line": start, "end_line": start + lines.len() - 1,
                    "language": "rust", "text": lines.join("\n"), "hash": "0".repeat(64),
                }));
            }
            if payloads.len() >= CHUNKS {
                break;
            }
        }
        anyhow::ensure!(!payloads.is_empty(), "no sources in {}", registry().display());
        if payloads.len() >= CHUNKS {
            break;
        }
    }
    payloads.truncate(CHUNKS);
    let mut id = 0;
    for payloads in payloads.chunks(AT_ONCE) {
        let texts: Vec<&Value> = payloads.iter().map(|payload| &payload["text"]).collect();
        let input = json!({"inputs": texts, "kind": "document"});
        let dense = call(server, "local", "embed", input.clone()).await?;
        let sparse = call(server, "local", "embed-sparse", input).await?;
        let point = |(number, payload): (usize, &Value)| {
            json!({
                "id": id + number, "vector": dense["vectors"][number], "sparse": sparse["vectors"][number],
                "payload": payload,
            })
        };
        let points: Vec<Value> = payloads.iter().enumerate().map(point).collect();
        call(
            server,
            "memory",
            "upsert",
            json!({"collection": "code", "points": points}),
        )
        .await?;
        id += payloads.len();
    }
    Ok(())
}

fn sources(folder: &Path, files: &mut Vec<PathBuf>) -> anyhow::Result<()> {
    let mut entries: Vec<PathBuf> = std::fs::read_dir(folder)?
        .map(|entry| Ok(entry?.path()))
        .collect::<anyhow::Result<_>>()?;
    entries.sort();
    for path in entries {
        if path.is_dir() {
            sources(&path, files)?;
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            files.push(path);
        }
    }
    Ok(())
}

/// Where Cargo keeps the sources of crates.
fn registry() -> PathBuf {
    let home = std::env::var_os("CARGO_HOME").map(PathBuf::from);
    let home = home.or_else(|| Some(Path::new(&std::env::var_os("HOME")?).join(".cargo")));
    home.unwrap_or_default().join("registry/src")
}
