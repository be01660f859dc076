//! Indexing at full length: ten thousand files and more of the packages that cargo has unpacked on this machine.
//!
//! `just soak` runs these one after the other, and prints what it measured. `WEIR_SOAK_FILES` sets another number of files.
#![allow(
    clippy::unwrap_used,
    reason = "clippy.toml allows it in tests, and does not see that their helpers are part of them"
)]

use std::ffi::{OsStr, OsString};
use std::fs;
use std::time::Duration;

use serde_json::Value;
use tokio::time::{Instant, sleep};
use weir_tests::configuration::{every_provider, with_upstream};
use weir_tests::indexing::{index_arguments, stored};
use weir_tests::{Finished, Kinds, Program, Running, Tree};
use weir_upstream::{Api, Fault, FaultKind, Upstream};

const LATENCY: Duration = Duration::from_millis(50);

/// What a run may hold in memory.
const MOST_MEMORY: u64 = 300 << 20;

fn files() -> usize {
    let set = std::env::var("WEIR_SOAK_FILES").ok();
    set.map_or(10_000, |set| set.parse().unwrap())
}

/// A run that is over, and what it took.
struct Measured {
    finished: Finished,
    elapsed: Duration,
    /// Of all its threads, in the kernel too.
    cpu: Duration,
    /// The most memory it had resident, in bytes.
    memory: u64,
}

impl Measured {
    fn done(&self) -> Value {
        self.finished.last_event().unwrap()
    }

    fn tell(&self, what: &str, upstream: Option<&Upstream>) {
        let done = self.done();
        let connections = upstream.map_or(0, |upstream| upstream.stats().connections.opened);
        println!(
            "{what}: {} files, {} chunks, {} tokens, {} requests, {connections} connections, {:.1} s, {:.1} s of CPU, \
             {} MiB, {:.0} files/s; pools {}",
            done["files"],
            done["chunks"],
            done["tokens"],
            done["requests"],
            self.elapsed.as_secs_f64(),
            self.cpu.as_secs_f64(),
            self.memory >> 20,
            done["files"].as_f64().unwrap() / self.elapsed.as_secs_f64(),
            done["pools"],
        );
    }
}

fn arguments(tree: &Tree) -> Vec<OsString> {
    index_arguments(tree.path()).into_iter().map(OsStr::to_owned).collect()
}

/// Runs it to the end, looking at what it takes meanwhile.
async fn measure(program: &Program, tree: &Tree) -> Measured {
    let began = Instant::now();
    let mut run = Running::start(program, arguments(tree)).unwrap();
    let (mut memory, mut ticks) = (0, 0);
    while !run.has_ended() {
        memory = memory.max(peak_memory(run.pid()).unwrap_or(0));
        ticks = ticks.max(cpu_ticks(run.pid()).unwrap_or(0));
        sleep(Duration::from_millis(20)).await;
    }
    Measured {
        elapsed: began.elapsed(),
        finished: run.wait().unwrap().success().unwrap(),
        // Linux counts in hundredths of a second, whatever its clock (`USER_HZ`).
        cpu: Duration::from_millis(10 * ticks),
        memory,
    }
}

fn peak_memory(pid: u32) -> Option<u64> {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    Some(line.trim().strip_suffix(" kB")?.parse::<u64>().ok()? << 10)
}

fn cpu_ticks(pid: u32) -> Option<u64> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The name in parentheses may hold anything; utime and stime are the 12th and 13th behind it.
    let fields: Vec<&str> = stat.rsplit_once(')')?.1.split_whitespace().collect();
    Some(fields.get(11)?.parse::<u64>().ok()? + fields.get(12)?.parse::<u64>().ok()?)
}

async fn upstream() -> Upstream {
    Upstream::builder().latency(LATENCY).start().await.unwrap()
}

/// Without a log: at this length the one for the sentinel is most of the work.
fn program(upstream: &Upstream, extra: &str) -> Program {
    with_upstream(&every_provider(upstream, extra))
        .unwrap()
        .env("RUST_LOG", "warn")
}

fn disturb(upstream: &Upstream) {
    for api in [Api::Voyage, Api::Qdrant] {
        upstream.order(Fault::too_many_requests(1).on(api).every(100).always());
        upstream.order(Fault::status(503).on(api).every(200).always());
        upstream.order(Fault::new(FaultKind::Reset).on(api).every(200).always());
    }
}

/// The progress at a third of a run, and how far its outlook was from what came.
fn outlook(measured: &Measured) -> Option<f64> {
    let chunks = measured.done()["chunks"].as_f64()?;
    let progress: Vec<Value> = measured
        .finished
        .stdout
        .lines()
        .filter_map(|line| serde_json::from_str::<Value>(line).ok())
        .filter(|event| event["event"] == "progress")
        .collect();
    let third = progress
        .iter()
        .find(|event| event["chunks"].as_f64().unwrap() >= chunks / 3.0)?;
    Some(third["total_chunks"].as_f64()? / chunks)
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "minutes: `just soak` runs it"]
async fn ten_thousand_files_through_faults_end_as_without() {
    const MAX_CONNECTIONS: u64 = 8;
    let tree = Tree::of_packages(files(), Kinds::Sources).unwrap();
    let extra = format!("http_pool.max_connections = {MAX_CONNECTIONS}");
    let peaceful = upstream().await;
    let undisturbed = program(&peaceful, &extra);
    let first = measure(&undisturbed, &tree).await;
    first.tell("without faults", Some(&peaceful));
    let expected = stored(&peaceful);

    let requests = peaceful.stats().requests.total;
    let again = measure(&undisturbed, &tree).await;
    again.tell("again, without a change", Some(&peaceful));
    // The one is the list of collections.
    assert_eq!(peaceful.stats().requests.total, requests + 1);
    assert!(again.elapsed < Duration::from_secs(5), "{:?}", again.elapsed);

    let disturbed = upstream().await;
    disturb(&disturbed);
    let run = measure(&program(&disturbed, &extra), &tree).await;
    run.tell("with faults", Some(&disturbed));
    assert!(stored(&disturbed) == expected, "the points differ");
    assert_eq!(run.done()["failed"], 0);
    assert_eq!(run.finished.stderr, "");
    for name in ["voyage", "qdrant"] {
        assert!(disturbed.stats().listeners[name].peak <= MAX_CONNECTIONS);
    }
    assert!(run.memory < MOST_MEMORY, "{} MiB", run.memory >> 20);

    if let Some(outlook) = outlook(&first) {
        println!(
            "after a third, {:.1} % of the chunks that came were expected",
            100.0 * outlook
        );
        assert!((0.9..=1.1).contains(&outlook));
    }

    let unpooled = upstream().await;
    let run = measure(
        &program(&unpooled, &format!("{extra}\nhttp_pool.enabled = false")),
        &tree,
    )
    .await;
    run.tell("without pooling", Some(&unpooled));
    assert!(stored(&unpooled) == expected, "the points differ");
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "minutes: `just soak` runs it"]
async fn five_times_the_files_need_no_more_memory() {
    let mut memory = Vec::new();
    for count in [files(), 5 * files()] {
        let tree = Tree::of_packages(count, Kinds::Sources).unwrap();
        let upstream = upstream().await;
        let run = measure(&program(&upstream, ""), &tree).await;
        run.tell(&format!("{count} files"), Some(&upstream));
        memory.push(run.memory);
    }
    assert!(memory[0] < MOST_MEMORY, "{memory:?}");
    assert!(memory[1] as f64 <= memory[0] as f64 * 1.1, "{memory:?}");
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "minutes: `just soak` runs it"]
async fn killed_twenty_times_the_store_ends_as_after_one_run() {
    const KILLS: u64 = 20;
    let tree = Tree::of_packages(files(), Kinds::Sources).unwrap();
    let peaceful = upstream().await;
    let length = measure(&program(&peaceful, ""), &tree).await.elapsed;
    let expected = stored(&peaceful);

    let upstream = upstream().await;
    let program = program(&upstream, "");
    let mut killed = 0;
    for kill in 0..KILLS {
        // Early in what is left, so that there is a run to kill each time; by the golden ratio: spread out, and the same every time.
        let moment = length.mul_f64((kill as f64 * 0.618).fract() / 15.0);
        let run = Running::start(&program, arguments(&tree)).unwrap();
        sleep(moment).await;
        killed += usize::from(run.kill().unwrap().status.is_none());
    }
    println!(
        "{killed} of {KILLS} runs were killed on their way, {} points by then",
        stored(&upstream).len()
    );
    measure(&program, &tree).await.tell("after them", Some(&upstream));
    assert!(stored(&upstream) == expected, "the points differ");
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "minutes: `just soak` runs it"]
async fn an_upstream_that_stops_for_half_a_minute_is_waited_for() {
    let tree = Tree::of_packages(files(), Kinds::Sources).unwrap();
    let peaceful = upstream().await;
    let length = measure(&program(&peaceful, ""), &tree).await.elapsed;
    let expected = stored(&peaceful);

    let upstream = upstream().await;
    let program = program(&upstream, "");
    let run = Running::start(&program, arguments(&tree)).unwrap();
    sleep(length / 2).await;
    upstream.go_down();
    sleep(Duration::from_secs(30)).await;
    let waits = run.count("waiting");
    upstream.come_up();
    let finished = run.wait().unwrap().success().unwrap();
    assert!(waits > 0, "it did not say that it waits");
    assert_eq!(finished.last_event().unwrap()["failed"], 0);
    assert!(stored(&upstream) == expected, "the points differ");
}

/// With a server that is slow enough, its latency and the calls that may be under way are all that bounds a run.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "minutes: `just soak` runs it"]
async fn throughput_is_what_latency_and_concurrency_permit() {
    const CONNECTIONS: u32 = 4;
    const LATENCY: Duration = Duration::from_secs(1);
    let tree = Tree::of_packages((files() / 5).max(500), Kinds::Sources).unwrap();
    let upstream = Upstream::start().await.unwrap();
    upstream.set_latency_of(Api::Voyage, LATENCY);
    let run = measure(
        &program(&upstream, &format!("http_pool.max_connections = {CONNECTIONS}")),
        &tree,
    )
    .await;
    run.tell("a second for a call, four at once", Some(&upstream));
    let calls = u32::try_from(upstream.stats().apis[&Api::Voyage].total).unwrap();
    let permitted = LATENCY * calls.div_ceil(CONNECTIONS);
    let share = permitted.as_secs_f64() / run.elapsed.as_secs_f64();
    println!(
        "{:.1} % of what is permitted: {permitted:?} for {calls} calls",
        100.0 * share
    );
    assert!(share >= 0.85);
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "minutes: `just soak` runs it"]
async fn the_embedded_default_indexes_offline() {
    for kinds in [Kinds::All, Kinds::Sources] {
        let tree = Tree::of_packages(files(), kinds).unwrap();
        let program = Program::new().unwrap().env("RUST_LOG", "warn");
        measure(&program, &tree)
            .await
            .tell(&format!("offline, {kinds:?}"), None);
        let again = measure(&program, &tree).await;
        again.tell("the same without a change", None);
        assert!(again.elapsed < Duration::from_secs(5), "{:?}", again.elapsed);
    }
}
