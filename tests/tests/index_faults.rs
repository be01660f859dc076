//! `weir index` while providers misbehave, stop, or the program itself is killed: what is stored in the end is what a run
//! in peace stores. The long forms are in `index_soak.rs`.
#![allow(
    clippy::unwrap_used,
    reason = "clippy.toml allows it in tests, and does not see that their helpers are part of them"
)]

use std::time::Duration;

use serde_json::Value;
use weir_tests::configuration::{every_provider, with_upstream};
use weir_tests::indexing::{index, index_arguments, stored, stored_at_once};
use weir_tests::{Running, Tree, until};
use weir_upstream::{Api, Fault, FaultKind, Upstream};

/// The APIs that a run asks.
const APIS: [(Api, &str); 2] = [(Api::Voyage, "voyage"), (Api::Qdrant, "qdrant")];

/// Retries at once, and is told of a failure rather than left alone for half a minute.
const BRISK: &str = "resilience.breaker = false";

#[tokio::test(flavor = "multi_thread")]
async fn faults_on_the_way_leave_no_trace_in_the_store() {
    const MAX_CONNECTIONS: u64 = 4;
    let upstream = Upstream::builder()
        .latency(Duration::from_millis(20))
        .start()
        .await
        .unwrap();
    let extra = format!("{BRISK}\nhttp_pool.max_connections = {MAX_CONNECTIONS}");
    let program = with_upstream(&every_provider(&upstream, &extra)).unwrap();
    let tree = Tree::sample(16).unwrap();
    for (api, _) in APIS {
        upstream.order(Fault::too_many_requests(0).on(api).every(4).always());
        upstream.order(Fault::status(503).on(api).every(5).always());
        upstream.order(Fault::new(FaultKind::Reset).on(api).every(6).always());
    }

    let finished = index(&program, &tree).unwrap().success().unwrap();

    assert!(
        stored(&upstream) == stored_at_once(&tree).await.unwrap(),
        "the points differ"
    );
    assert_eq!(finished.stderr, "", "an error reached the user");
    let done = finished.last_event().unwrap();
    assert_eq!((&done["failed"], &done["outcome"]), (&0.into(), &"complete".into()));
    let stats = upstream.stats();
    for (_, name) in APIS {
        let pool = &done["pools"][name];
        assert!(pool["retries"].as_u64().unwrap() > 0, "{name} met no fault: {pool}");
        assert!(pool["exhaustions"].is_u64() && pool["timeouts"].is_u64(), "{pool}");
        assert!(stats.listeners[name].peak <= MAX_CONNECTIONS, "{name}: {stats:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn without_pooling_every_attempt_opens_a_connection() {
    let upstream = Upstream::start().await.unwrap();
    let program = with_upstream(&every_provider(&upstream, "http_pool.enabled = false")).unwrap();
    let tree = Tree::sample(8).unwrap();

    index(&program, &tree).unwrap().success().unwrap();

    assert!(
        stored(&upstream) == stored_at_once(&tree).await.unwrap(),
        "the points differ"
    );
    let stats = upstream.stats();
    for (api, name) in APIS {
        assert_eq!(stats.listeners[name].opened, stats.apis[&api].total, "{name}");
    }
}

/// SplitMix64: numbers that are the same in every run.
struct Seeded(u64);

impl Seeded {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut bits = self.0;
        bits = (bits ^ (bits >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (bits ^ (bits >> 31)) % bound
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn killed_at_any_moment_and_run_again_the_store_ends_as_after_one_run() {
    const KILLS: u64 = 4;
    let upstream = Upstream::builder()
        .latency(Duration::from_millis(30))
        .start()
        .await
        .unwrap();
    let program = with_upstream(&every_provider(&upstream, "")).unwrap();
    let tree = Tree::sample(16).unwrap();
    let complete = stored_at_once(&tree).await.unwrap();
    let mut random = Seeded(6);

    let mut survived = 0;
    for kill in 0..KILLS {
        // A moment between two requests, or in the middle of some: whichever it is when that many have come.
        let requests = upstream.stats().requests.total + 1 + random.below(4 + 2 * kill);
        let mut run = Running::start(&program, index_arguments(tree.path())).unwrap();
        while upstream.stats().requests.total < requests && !run.has_ended() {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        survived += u64::from(run.kill().unwrap().status.is_some());
    }

    assert!(survived < KILLS, "no run was killed on its way");
    index(&program, &tree).unwrap().success().unwrap();
    assert!(stored(&upstream) == complete, "the points differ");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_upstream_that_stops_in_the_middle_is_waited_for() {
    let upstream = Upstream::builder()
        .latency(Duration::from_millis(30))
        .start()
        .await
        .unwrap();
    let program = with_upstream(&every_provider(&upstream, BRISK)).unwrap();
    let tree = Tree::sample(16).unwrap();
    // What hangs keeps the run from its end until the upstream stops.
    upstream.order(Fault::new(FaultKind::Hang).on(Api::Voyage).after(2).always());
    let run = Running::start(&program, index_arguments(tree.path())).unwrap();
    until("something is stored", || !stored(&upstream).is_empty())
        .await
        .unwrap();

    upstream.go_down();
    until("the run says that it waits", || run.count("waiting") > 0)
        .await
        .unwrap();
    upstream.call_off_faults();
    upstream.come_up();

    let finished = run.wait().unwrap().success().unwrap();
    assert_eq!(finished.last_event().unwrap()["failed"], 0);
    assert!(
        stored(&upstream) == stored_at_once(&tree).await.unwrap(),
        "the points differ"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn without_embeddings_changed_files_are_kept_by_their_terms_until_they_are_back() {
    let upstream = Upstream::start().await.unwrap();
    let program = with_upstream(&every_provider(&upstream, BRISK)).unwrap();
    let tree = Tree::sample(1).unwrap();
    index(&program, &tree).unwrap().success().unwrap();
    tree.write("new.md", "# Barnacle\n\nOne word that no other file has: barnacle.\n")
        .unwrap();
    let elsewhere = with_upstream(&every_provider(&upstream, "").replace(
        &upstream.own_url_of(Api::Voyage),
        // Nobody listens there.
        "http://127.0.0.1:9/v1",
    ))
    .unwrap();
    std::fs::rename(program.folder().join("data"), elsewhere.folder().join("data")).unwrap();

    let finished = index(&elsewhere, &tree).unwrap();

    assert_eq!(finished.status, Some(1), "{finished:?}");
    let done = finished.last_event().unwrap();
    assert_eq!(
        (&done["sparse_only"], &done["outcome"]),
        (&1.into(), &"complete".into())
    );
    assert!(finished.stdout.contains("sparse vectors alone"), "{}", finished.stdout);
    let without_dense = || {
        let points = stored(&upstream);
        points.iter().filter(|(_, dense, ..)| dense.is_empty()).count()
    };
    assert_eq!(without_dense(), 1);

    std::fs::rename(elsewhere.folder().join("data"), program.folder().join("data")).unwrap();
    let done = index(&program, &tree).unwrap().success().unwrap().last_event().unwrap();
    assert_eq!((&done["files"], &done["sparse_only"]), (&1.into(), &0.into()));
    assert_eq!(without_dense(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pipe_gets_lines_and_no_control_characters() {
    let upstream = Upstream::start().await.unwrap();
    let program = with_upstream(&every_provider(&upstream, "")).unwrap();
    let tree = Tree::sample(4).unwrap();
    upstream.order(Fault::new(FaultKind::Hang).on(Api::Voyage).after(1).always());
    let [_, arguments @ ..] = index_arguments(tree.path());
    let run = Running::start(&program, arguments).unwrap();
    until("progress is told", || run.errors().contains(" calls in flight"))
        .await
        .unwrap();
    upstream.call_off_faults();
    // What hangs is sent again.
    upstream.close_connections();

    let finished = run.wait().unwrap().success().unwrap();

    for (place, text) in [("output", finished.stdout), ("errors", finished.stderr)] {
        let control = text
            .chars()
            .find(|character| character.is_control() && *character != '\n');
        assert_eq!(control, None, "{place}: {text:?}");
    }
}

/// The events of a run are those that programs read.
#[tokio::test(flavor = "multi_thread")]
async fn events_tell_of_every_file_and_of_what_is_left() {
    let upstream = Upstream::start().await.unwrap();
    let program = with_upstream(&every_provider(&upstream, "")).unwrap();
    let tree = Tree::sample(4).unwrap();
    upstream.order(Fault::new(FaultKind::Hang).on(Api::Voyage).after(1).always());
    let run = Running::start(&program, index_arguments(tree.path())).unwrap();
    until("progress is told", || run.count("progress") > 0).await.unwrap();
    upstream.call_off_faults();
    upstream.close_connections();
    let finished = run.wait().unwrap().success().unwrap();

    let events: Vec<Value> = finished
        .stdout
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    let named = |name: &'static str| events.iter().filter(move |event| event["event"] == name);
    assert_eq!((named("started").count(), named("done").count()), (1, 1));
    assert_eq!(named("walked").next().unwrap()["files"], 120);
    assert_eq!(named("indexed").count(), 120);
    let done = events.last().unwrap();
    let progress = named("progress").next().unwrap();
    assert_eq!(progress["total"], 120);
    // All is cut by then, so nothing is a guess.
    assert_eq!(progress["total_chunks"], done["chunks"]);
    assert!(progress["in_flight"].as_u64().unwrap() > 0, "{progress}");
}
