//! `weir index` and `weir search` through real adapters: what is stored, what is sent again, what an interruption or a
//! failing provider leaves behind.
#![allow(
    clippy::unwrap_used,
    reason = "clippy.toml allows it in tests, and does not see that their helpers are part of them"
)]

use std::collections::{BTreeMap, BTreeSet};
use std::net::TcpListener;
use std::time::Duration;

use serde_json::{Map, Value};
use weir_tests::configuration::{every_provider, provider, with_upstream};
use weir_tests::indexing::{COLLECTION, index, index_arguments, stored, stored_at_once};
use weir_tests::{Finished, Program, Running, Tree, until};
use weir_upstream::{Api, Fault, FaultKind, Upstream};

/// A sample tree of one copy, with a function that nothing else is like, and files that are no source.
fn tree() -> anyhow::Result<Tree> {
    let tree = Tree::sample(1)?;
    tree.write(
        "part0/src/connections.rs",
        "/// Closes the idle connections whose keep-alive has expired.\npub fn expire_idle_connections(pool: &mut Pool) \
         {\n    pool.idle.retain(|connection| !connection.is_expired());\n}\n",
    )?;
    tree.write("assets/logo.png", b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR")?;
    tree.write("Cargo.lock", "version = 4\n")?;
    tree.write(".gitignore", "build/\n")?;
    tree.write("build/out.rs", "pub fn ignored() {}\n")?;
    Ok(tree)
}

fn search(program: &Program, arguments: &[&str]) -> anyhow::Result<Finished> {
    program.run([&["--json", "search", "--collection", COLLECTION], arguments].concat())
}

/// The payloads of each file's points, by their first line.
fn by_path(upstream: &Upstream) -> BTreeMap<String, Vec<Map<String, Value>>> {
    let mut files: BTreeMap<String, Vec<Map<String, Value>>> = BTreeMap::new();
    for point in upstream.points(COLLECTION) {
        files
            .entry(point.payload["path"].as_str().unwrap().to_owned())
            .or_default()
            .push(point.payload);
    }
    files
        .values_mut()
        .for_each(|points| points.sort_by_key(|payload| payload["start_line"].as_u64()));
    files
}

/// The texts of an embedding request.
fn texts(request: &Value) -> Vec<&str> {
    request["input"]
        .as_array()
        .unwrap()
        .iter()
        .map(|text| text.as_str().unwrap())
        .collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn every_line_of_every_source_is_stored_once() {
    let upstream = Upstream::start().await.unwrap();
    let program = with_upstream(&every_provider(&upstream, "")).unwrap();
    let tree = tree().unwrap();

    let done = index(&program, &tree).unwrap().success().unwrap().last_event().unwrap();

    let files = by_path(&upstream);
    // The sample's 30, the one with the function, and `.gitignore`.
    assert_eq!(files.len(), 32);
    assert!(!files.contains_key("build/out.rs") && !files.contains_key("Cargo.lock"));
    for (path, chunks) in &files {
        let text = tree.read(path).unwrap();
        let lines: Vec<&str> = text.split_inclusive('\n').collect();
        let mut next = 1;
        for chunk in chunks {
            let line = |key: &str| chunk[key].as_u64().unwrap() as usize;
            let (first, last) = (line("start_line"), line("end_line"));
            assert_eq!(chunk["text"], lines[first - 1..last].concat(), "{path}:{first}-{last}");
            assert!(
                lines[next - 1..first - 1].concat().trim().is_empty(),
                "{path}: lines before {first} are missing"
            );
            next = last + 1;
        }
        assert!(
            lines[next - 1..].concat().trim().is_empty(),
            "{path}: lines from {next} on are missing"
        );
    }
    assert!(files.values().any(|chunks| chunks.len() > 1), "no file was cut");

    let chunks: usize = files.values().map(Vec::len).sum();
    assert_eq!(done["event"], "done");
    assert_eq!(done["files"], 32);
    assert_eq!(done["chunks"], chunks);
    assert_eq!(done["skipped"], 2);
    assert_eq!(
        done["skipped_by_reason"],
        serde_json::json!({"binary": 1, "generated": 1})
    );
    assert_eq!(done["failed"], 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_run_sends_only_what_changed() {
    let upstream = Upstream::start().await.unwrap();
    let program = with_upstream(&every_provider(&upstream, "")).unwrap();
    let tree = tree().unwrap();
    index(&program, &tree).unwrap().success().unwrap();
    let embeddings = || upstream.stats().apis[&Api::Voyage].total;
    let first = (embeddings(), stored(&upstream));

    let done = index(&program, &tree).unwrap().success().unwrap().last_event().unwrap();
    assert_eq!((embeddings(), stored(&upstream)), first);
    assert_eq!(
        (&done["files"], &done["unchanged"], &done["chunks"]),
        (&0.into(), &32.into(), &0.into())
    );

    let path = "part0/scripts/harbour.py";
    tree.write(path, tree.read(path).unwrap().replace("harbour_part_0", "dock"))
        .unwrap();
    let done = index(&program, &tree).unwrap().success().unwrap().last_event().unwrap();
    let request = upstream.last_request(Api::Voyage).unwrap().json().unwrap();
    let sent = &by_path(&upstream)[path];
    assert_eq!(embeddings(), first.0 + 1);
    assert_eq!(texts(&request).len(), sent.len());
    assert!(texts(&request).iter().all(|text| text.starts_with(path)));
    assert!(sent[0]["text"].as_str().unwrap().contains("def dock("));
    assert_eq!((&done["files"], &done["unchanged"]), (&1.into(), &31.into()));

    tree.remove(path).unwrap();
    let done = index(&program, &tree).unwrap().success().unwrap().last_event().unwrap();
    assert_eq!(embeddings(), first.0 + 1);
    assert_eq!(done["removed"], 1);
    let left: BTreeSet<String> = by_path(&upstream).into_keys().collect();
    assert_eq!(left.len(), 31);
    assert!(!left.contains(path));
    assert_eq!(stored(&upstream), stored_at_once(&tree).await.unwrap());
}

#[tokio::test(flavor = "multi_thread")]
async fn search_names_the_place_and_who_ranked_it() {
    let upstream = Upstream::start().await.unwrap();
    let program = with_upstream(&every_provider(&upstream, "")).unwrap();
    let tree = tree().unwrap();
    index(&program, &tree).unwrap().success().unwrap();
    let asked = |api: Api, path: &str| {
        let path = format!("{api} POST {path}");
        upstream.stats().paths.get(&path).copied().unwrap_or_default()
    };

    let found = search(&program, &["expire_idle_connections", "--limit", "5"])
        .unwrap()
        .success()
        .unwrap();
    let found = found.json().unwrap();
    let hits = found["hits"].as_array().unwrap();
    assert_eq!(found["ranked_by"], "rerank");
    assert_eq!(asked(Api::Cohere, "/v2/rerank"), 1);
    assert_eq!(hits.len(), 5);
    assert_eq!(hits[0]["path"], "part0/src/connections.rs");
    assert_eq!((&hits[0]["start_line"], &hits[0]["end_line"]), (&1.into(), &4.into()));
    assert_eq!(hits[0]["language"], "rust");
    assert_eq!(hits[0]["text"], tree.read("part0/src/connections.rs").unwrap());
    let scores: Vec<f64> = hits.iter().map(|hit| hit["score"].as_f64().unwrap()).collect();
    assert!(scores.is_sorted_by(|better, worse| better >= worse), "{scores:?}");

    let found = search(&program, &["expire_idle_connections", "--no-rerank"])
        .unwrap()
        .success()
        .unwrap();
    let found = found.json().unwrap();
    assert_eq!(found["ranked_by"], "hybrid");
    assert_eq!(found["hits"][0]["path"], "part0/src/connections.rs");
    assert_eq!(asked(Api::Cohere, "/v2/rerank"), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn connections_are_bounded_and_reused() {
    const MAX_CONNECTIONS: u64 = 4;
    let upstream = Upstream::builder()
        .latency(Duration::from_millis(100))
        .start()
        .await
        .unwrap();
    let extra = format!("http_pool.max_connections = {MAX_CONNECTIONS}");
    let program = with_upstream(&every_provider(&upstream, &extra)).unwrap();
    let tree = Tree::sample(16).unwrap();

    let done = index(&program, &tree).unwrap().success().unwrap().last_event().unwrap();

    let stats = upstream.stats();
    for (api, name) in [(Api::Voyage, "voyage"), (Api::Qdrant, "qdrant")] {
        let (connections, requests, pool) = (stats.listeners[name], stats.apis[&api], &done["pools"][name]);
        let peak = pool["peak_in_flight"].as_u64().unwrap();
        assert!(peak > 1, "{name}: nothing ran side by side: {pool}");
        assert!(
            connections.opened <= peak.min(MAX_CONNECTIONS),
            "{name}: {connections:?} {pool}"
        );
        assert!(requests.peak_in_flight <= MAX_CONNECTIONS, "{name}: {requests:?}");
        assert!(
            requests.total > connections.opened,
            "{name}: {connections:?} {requests:?}"
        );
        assert_eq!(pool["opened"], connections.opened, "{name}");
        assert_eq!(pool["requests"], requests.total, "{name}");
    }
}

/// Runs the indexer until a request has met a fault that never answers it and so many points are stored: so it is surely
/// under way.
async fn run_until(
    program: &Program,
    tree: &Tree,
    upstream: &Upstream,
    hang: Fault,
    points: usize,
) -> anyhow::Result<Running> {
    let place = format!("{hang:?}");
    upstream.order(hang);
    let run = Running::start(program, index_arguments(tree.path()))?;
    until(&place, || {
        upstream.faults().is_empty() && stored(upstream).len() >= points
    })
    .await?;
    Ok(run)
}

fn hang(api: Api, path: &str, after: u32) -> Fault {
    Fault::new(FaultKind::Hang).on(api).path(path).after(after)
}

#[tokio::test(flavor = "multi_thread")]
async fn an_interrupted_run_goes_on_to_what_an_uninterrupted_one_makes() {
    let upstream = Upstream::builder()
        .latency(Duration::from_millis(50))
        .start()
        .await
        .unwrap();
    let program = with_upstream(&every_provider(&upstream, "")).unwrap();
    let tree = Tree::sample(16).unwrap();
    let complete = stored_at_once(&tree).await.unwrap();

    // What hangs is never stored, so that every run has something left to do.
    let places = [
        (hang(Api::Qdrant, "/collections/code", 0), 0),
        (hang(Api::Qdrant, "/points", 2), 1),
        (hang(Api::Voyage, "/embeddings", 0), 1),
        (hang(Api::Qdrant, "/points", 0), 1),
    ];
    let mut before = 0;
    for (place, points) in places {
        let run = run_until(&program, &tree, &upstream, place, points).await.unwrap();
        let interrupted = run.interrupt().unwrap();
        assert_eq!(interrupted.status, Some(130), "{interrupted:?}");
        assert_eq!(interrupted.last_event().unwrap()["outcome"], "interrupted");
        let now = stored(&upstream).len();
        assert!(
            now >= before && now < complete.len(),
            "{now} of {} points, {before} before",
            complete.len()
        );
        before = now;
    }

    let done = index(&program, &tree).unwrap().success().unwrap().last_event().unwrap();
    assert!(
        done["unchanged"].as_u64().unwrap() > 0,
        "the last run began anew: {done}"
    );
    assert!(stored(&upstream) == complete, "the points differ");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tree_that_changes_after_a_run_was_killed_is_stored_as_it_is() {
    let upstream = Upstream::start().await.unwrap();
    let program = with_upstream(&every_provider(&upstream, "")).unwrap();
    let tree = Tree::sample(16).unwrap();
    let run = run_until(&program, &tree, &upstream, hang(Api::Qdrant, "/points", 2), 20)
        .await
        .unwrap();
    assert_eq!(run.kill().unwrap().status, None);

    let files = by_path(&upstream);
    let paths: Vec<&str> = files.keys().map(String::as_str).collect();
    let [first, second, .., last] = paths[..] else {
        panic!("too few files are stored: {paths:?}")
    };
    tree.write(first, "# Something else altogether\n").unwrap();
    tree.remove(second).unwrap();
    tree.write(last, tree.read(last).unwrap() + "\nAn end.\n").unwrap();
    tree.write("new.md", "# New\n\nIt was not there before.\n").unwrap();
    index(&program, &tree).unwrap().success().unwrap();

    assert!(
        stored(&upstream) == stored_at_once(&tree).await.unwrap(),
        "the points differ"
    );
}

#[test]
fn without_configuration_key_or_network_search_finds_what_was_indexed() {
    let program = Program::new().unwrap();
    let tree = tree().unwrap();
    let done = program
        .run([
            std::ffi::OsStr::new("--json"),
            "index".as_ref(),
            tree.path().as_os_str(),
        ])
        .unwrap();
    let done = done.success().unwrap().last_event().unwrap();
    assert_eq!(done["files"], 32);
    assert_eq!(done["pools"], serde_json::json!({}));

    let found = program
        .run(["--json", "search", "expire_idle_connections"])
        .unwrap()
        .success()
        .unwrap();
    let found = found.json().unwrap();
    assert_eq!(found["ranked_by"], "hybrid");
    assert_eq!(found["hits"][0]["path"], "part0/src/connections.rs");
    let again = program
        .run(["--json", "search", "expire_idle_connections"])
        .unwrap()
        .success()
        .unwrap();
    assert_eq!(again.json().unwrap(), found);

    tree.remove("part0/src/connections.rs").unwrap();
    program
        .run([std::ffi::OsStr::new("index"), tree.path().as_os_str()])
        .unwrap()
        .success()
        .unwrap();
    let found = program
        .run(["--json", "search", "expire_idle_connections"])
        .unwrap()
        .success()
        .unwrap();
    assert!(!found.stdout.contains("part0/src/connections.rs"), "{}", found.stdout);
}

#[test]
fn a_path_that_is_not_there_leaves_nothing_behind() {
    let program = Program::new().unwrap();
    let refused = program.run(["index", "no-such-folder"]).unwrap();
    assert_eq!(refused.status, Some(2));
    assert_eq!(
        refused.stderr,
        "weir: no-such-folder can't be indexed: No such file or directory (os error 2)\n"
    );

    // The only collection there is needs no name.
    let tree = tree().unwrap();
    program
        .run([std::ffi::OsStr::new("index"), tree.path().as_os_str()])
        .unwrap()
        .success()
        .unwrap();
    program
        .run(["search", "expire_idle_connections"])
        .unwrap()
        .success()
        .unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_store_that_is_down_stops_the_run_and_the_same_command_goes_on_later() {
    let upstream = Upstream::start().await.unwrap();
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let config = format!(
        "{}{}[index]\nembedding = \"voyage\"\nstore = \"qdrant\"\n",
        provider("voyage", &upstream.voyage_url()),
        provider("qdrant", &format!("http://127.0.0.1:{port}/qdrant")),
    );
    let program = with_upstream(&config).unwrap();
    let tree = tree().unwrap();

    let finished = index(&program, &tree).unwrap();
    assert_eq!(finished.status, Some(1), "{finished:?}");
    let error: Value = serde_json::from_str(finished.stderr.lines().next_back().unwrap()).unwrap();
    let message = error["error"]["message"]
        .as_str()
        .unwrap()
        .replace(&port.to_string(), "PORT");
    assert_eq!(
        message,
        "qdrant list-collections: could not connect to http://127.0.0.1:PORT: Connection refused (os error 111); check that \
         the service runs and can be reached from here. What was acknowledged is kept: run the same command again to go on"
    );

    let store = Upstream::builder().port(port).start().await.unwrap();
    index(&program, &tree).unwrap().success().unwrap();
    assert_eq!(by_path(&store).len(), 32);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refused_embedding_key_stops_the_run_and_leaves_search_to_the_terms() {
    let upstream = Upstream::start().await.unwrap();
    let program = with_upstream(&every_provider(&upstream, "")).unwrap();
    let tree = tree().unwrap();
    let refusal = Fault::status(401).on(Api::Voyage).always();

    upstream.order(refusal.clone());
    let finished = index(&program, &tree).unwrap();
    assert_eq!(finished.status, Some(1), "{finished:?}");
    let error: Value = serde_json::from_str(finished.stderr.lines().next_back().unwrap()).unwrap();
    let message = error["error"]["message"].as_str().unwrap();
    let begin = "voyage embed: the key was refused (HTTP 401): This is an ordered fault";
    let end = "; check the provider's key (`weir doctor` tells which it is). What was acknowledged is kept: run the same \
               command again to go on";
    assert!(
        message.starts_with(begin) && message.ends_with(end) && !message.contains(".;"),
        "{message}"
    );

    upstream.call_off_faults();
    index(&program, &tree).unwrap().success().unwrap();
    upstream.order(refusal);
    let found = search(&program, &["expire_idle_connections", "--no-rerank"])
        .unwrap()
        .success()
        .unwrap();
    assert_eq!(
        found.stderr,
        "warning: ranked by sparse vectors alone: voyage embed: the key was refused (HTTP 401): This is an ordered fault.\n"
    );
    let found = found.json().unwrap();
    assert_eq!(found["ranked_by"], "sparse");
    assert_eq!(found["hits"][0]["path"], "part0/src/connections.rs");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_failing_reranker_leaves_the_hits_in_the_stores_order() {
    let upstream = Upstream::start().await.unwrap();
    let program = with_upstream(&every_provider(&upstream, "")).unwrap();
    index(&program, &tree().unwrap()).unwrap().success().unwrap();
    let unranked = search(&program, &["expire_idle_connections", "--no-rerank"])
        .unwrap()
        .success()
        .unwrap();
    upstream.order(Fault::status(500).on(Api::Cohere).always());

    let found = search(&program, &["expire_idle_connections"])
        .unwrap()
        .success()
        .unwrap();

    assert_eq!(found.json().unwrap(), unranked.json().unwrap());
    assert_eq!(
        found.stderr,
        "warning: not reranked: cohere rerank: the provider failed (HTTP 500): This is an ordered fault.\n"
    );
}
