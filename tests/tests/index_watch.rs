//! `weir index --watch`: the store follows the tree.
#![allow(
    clippy::unwrap_used,
    reason = "clippy.toml allows it in tests, and does not see that their helpers are part of them"
)]

use std::collections::BTreeSet;
use std::ffi::OsStr;

use weir_tests::configuration::{every_provider, with_upstream};
use weir_tests::indexing::{COLLECTION, index_arguments, stored, stored_at_once};
use weir_tests::{Program, Running, Tree, until};
use weir_upstream::{Api, Fault, Upstream};

/// A run over the tree that watches it.
async fn watching(program: &Program, tree: &Tree) -> Running {
    let arguments = index_arguments(tree.path());
    let watch: [&OsStr; 1] = ["--watch".as_ref()];
    let run = Running::start(program, arguments.into_iter().chain(watch)).unwrap();
    until("it watches", || run.count("watching") > 0).await.unwrap();
    run
}

fn paths(upstream: &Upstream) -> BTreeSet<String> {
    let path = |point: weir_upstream::Point| point.payload["path"].as_str().unwrap().to_owned();
    upstream.points(COLLECTION).into_iter().map(path).collect()
}

fn has(upstream: &Upstream, path: &str) -> bool {
    paths(upstream).contains(path)
}

#[tokio::test(flavor = "multi_thread")]
async fn the_store_follows_files_that_come_change_move_and_go() {
    let upstream = Upstream::start().await.unwrap();
    let tree = Tree::sample(1).unwrap();
    tree.write(".gitignore", "build/\n").unwrap();
    let program = with_upstream(&every_provider(&upstream, "")).unwrap();
    let run = watching(&program, &tree).await;

    tree.write("a/b/new.md", "# New\n").unwrap();
    until("a file in a new folder", || has(&upstream, "a/b/new.md"))
        .await
        .unwrap();
    tree.write("a/b/new.md", "# Changed\n").unwrap();
    let changed = || {
        stored(&upstream)
            .iter()
            .any(|(.., payload)| payload["text"] == "# Changed\n")
    };
    until("a change", changed).await.unwrap();
    std::fs::rename(tree.path().join("a/b"), tree.path().join("c")).unwrap();
    until("a folder renamed", || {
        has(&upstream, "c/new.md") && !has(&upstream, "a/b/new.md")
    })
    .await
    .unwrap();
    tree.remove("part0/src/garden.rs").unwrap();
    until("a file deleted", || !has(&upstream, "part0/src/garden.rs"))
        .await
        .unwrap();
    tree.write("build/out.rs", "pub fn ignored() {}\n").unwrap();
    for number in 0..200 {
        tree.write(&format!("burst/{number}.md"), format!("# Number {number}\n"))
            .unwrap();
    }
    until("a burst", || {
        paths(&upstream)
            .iter()
            .filter(|path| path.starts_with("burst/"))
            .count()
            == 200
    })
    .await
    .unwrap();

    until("it waits for more", || {
        run.events().last().is_some_and(|event| event["event"] == "watching")
    })
    .await
    .unwrap();

    let runs = run.count("done");
    assert!(runs < 100, "{runs} runs for six changes");
    let finished = run.interrupt().unwrap().success().unwrap();
    assert!(
        stored(&upstream) == stored_at_once(&tree).await.unwrap(),
        "the points differ"
    );
    assert_eq!(finished.last_event().unwrap()["event"], "watching");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_that_fails_does_not_end_the_watch() {
    let upstream = Upstream::start().await.unwrap();
    let tree = Tree::sample(1).unwrap();
    let program = with_upstream(&every_provider(&upstream, "")).unwrap();
    let run = watching(&program, &tree).await;

    upstream.order(Fault::status(401).on(Api::Voyage).always());
    tree.write("one.md", "# One\n").unwrap();
    until("the failure is told", || run.count("warning") > 0).await.unwrap();
    assert!(!has(&upstream, "one.md"));
    upstream.call_off_faults();
    tree.write("two.md", "# Two\n").unwrap();
    until("both are stored", || {
        has(&upstream, "one.md") && has(&upstream, "two.md")
    })
    .await
    .unwrap();

    run.interrupt().unwrap().success().unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_path_that_is_not_there_is_not_watched() {
    let upstream = Upstream::start().await.unwrap();
    let program = with_upstream(&every_provider(&upstream, "")).unwrap();
    let refused = program.run(["index", "no-such-folder", "--watch"]).unwrap();
    assert_eq!(refused.status, Some(2));
}
