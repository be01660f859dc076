//! What a failure of a provider does to a run.

use std::fs;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use weir_runtime::CallError;
use weir_runtime::types::{Error, HttpError};

use super::fake::{POISON, SPARSE_ONLY, World, rate_limited};
use super::*;
use crate::failing::refused;

#[tokio::test]
async fn one_file_that_fails_is_tried_twice_and_stops_no_other() {
    let world = Arc::new(World::new());
    let mut files = first_tree();
    files.push(("bad.txt", format!("{POISON}\n")));
    let project = Project::new(&files);
    let run = project.run(&world).await;
    assert_eq!(run.end.unwrap(), End::Complete);
    assert_eq!((run.counts.failed, run.counts.files), (1, 4));
    assert_eq!(world.paths(), ["changes.md", "goes.txt", "stays.txt"]);
    assert!(
        run.recorder
            .0
            .iter()
            .any(|event| matches!(event, Event::Failed { path, .. } if path == "bad.txt"))
    );

    fs::write(project.tree.path().join("bad.txt"), "good now\n").unwrap();
    let run = project.run(&world).await;
    assert_eq!((run.counts.files, run.counts.unchanged), (1, 4));
    assert_eq!(world.paths(), ["bad.txt", "changes.md", "goes.txt", "stays.txt"]);
}

#[tokio::test]
async fn a_failing_upsert_is_tried_again() {
    let world = Arc::new(World::new());
    world
        .upsert_errors
        .lock()
        .unwrap()
        .push(refused("upsert", Error::Upstream));
    let run = Project::new(&first_tree()).run(&world).await;
    assert_eq!((run.end.unwrap(), run.counts.failed), (End::Complete, 0));
    assert_eq!(contents(&world), points_of(&first_tree()).await);
}

#[tokio::test]
async fn a_call_that_is_too_large_is_halved_until_it_fits() {
    let world = Arc::new(World {
        max_texts: Some(1),
        ..World::new()
    });
    let run = Project::new(&first_tree()).run(&world).await;
    assert_eq!((run.end.unwrap(), run.counts.failed), (End::Complete, 0));
    assert_eq!(contents(&world), points_of(&first_tree()).await);
}

#[tokio::test(start_paused = true)]
async fn a_rate_limit_is_waited_out_and_shown() {
    let world = Arc::new(World::new());
    world
        .embed_errors
        .lock()
        .unwrap()
        .push(rate_limited(Duration::from_secs(7)));
    let began = Instant::now();
    let run = Project::new(&first_tree()).run(&world).await;
    assert_eq!(run.end.unwrap(), End::Complete);
    assert!(began.elapsed() >= Duration::from_secs(7));
    let waits = |event: &Event| matches!(event, Event::Waiting { seconds, .. } if *seconds == 7.0);
    assert!(run.recorder.0.iter().any(waits));
    assert_eq!(contents(&world), points_of(&first_tree()).await);
}

#[tokio::test]
async fn a_refused_key_stops_the_run_at_once_and_the_next_goes_on() {
    let world = Arc::new(World::new());
    *world.embed_errors.lock().unwrap() = (0..100).map(|_| refused("embed", Error::Unauthorized)).collect();
    let project = Project::new(&first_tree());
    let run = project.run(&world).await;
    let message = run.end.unwrap_err().to_string();
    assert!(message.contains("check the provider's key"), "{message}");
    assert!(message.contains("run the same command again to go on"), "{message}");
    assert!(world.embed_calls.load(Ordering::SeqCst) <= 2);
    assert_eq!(world.upsert_calls.load(Ordering::SeqCst), 0);

    world.embed_errors.lock().unwrap().clear();
    project.run(&world).await.end.unwrap();
    assert_eq!(contents(&world), points_of(&first_tree()).await);
}

fn gone(operation: &'static str) -> CallError {
    refused(operation, |_| {
        Error::Http(HttpError::ConnectFailed("connection refused".into()))
    })
}

#[tokio::test(start_paused = true)]
async fn a_store_that_is_gone_for_a_while_is_waited_for() {
    let world = Arc::new(World::new());
    *world.upsert_errors.lock().unwrap() = (0..5).map(|_| gone("upsert")).collect();
    let run = Project::new(&first_tree()).run(&world).await;
    assert_eq!((run.end.unwrap(), run.counts.failed), (End::Complete, 0));
    assert!(run.recorder.waits() > 0);
    assert_eq!(contents(&world), points_of(&first_tree()).await);
}

#[tokio::test(start_paused = true)]
async fn a_store_that_stays_away_stops_the_run_and_the_next_goes_on() {
    let world = Arc::new(World::new());
    *world.upsert_errors.lock().unwrap() = (0..100).map(|_| gone("upsert")).collect();
    let project = Project::new(&first_tree());
    let began = Instant::now();
    let run = project.run(&world).await;
    assert!(matches!(run.end.unwrap_err(), IndexError::Stopped { error, .. } if error.kind() == "connect-failed"));
    assert!(began.elapsed() > Duration::from_secs(60) && began.elapsed() < Duration::from_secs(600));

    world.upsert_errors.lock().unwrap().clear();
    project.run(&world).await.end.unwrap();
    assert_eq!(contents(&world), points_of(&first_tree()).await);
}

#[tokio::test]
async fn without_embeddings_files_are_kept_by_their_sparse_vectors_until_the_next_run() {
    let world = Arc::new(World::new());
    let project = Project::new(&first_tree());
    project.run(&world).await.end.unwrap();
    *world.embed_errors.lock().unwrap() = (0..100).map(|_| gone("embed")).collect();
    project.set(&second_tree());

    let run = project.run(&world).await;

    assert_eq!(run.end.unwrap(), End::Complete);
    assert_eq!(
        (
            run.counts.sparse_only,
            run.counts.files,
            run.counts.failed,
            run.counts.removed
        ),
        (2, 0, 0, 1)
    );
    assert_eq!(run.recorder.warnings(), 1);
    assert_eq!(world.paths(), ["changes.md", "comes.txt", "stays.txt"]);
    let sparse_only = |world: &World| {
        contents(world)
            .iter()
            .filter(|(_, payload)| payload.starts_with(SPARSE_ONLY))
            .count()
    };
    assert_eq!(sparse_only(&world) as u64, run.counts.chunks);

    world.embed_errors.lock().unwrap().clear();
    let run = project.run(&world).await;
    assert_eq!(
        (run.counts.sparse_only, run.counts.files, run.counts.unchanged),
        (0, 2, 2)
    );
    assert_eq!(contents(&world), points_of(&second_tree()).await);
}

#[tokio::test(start_paused = true)]
async fn embeddings_that_go_away_in_a_run_are_waited_for_and_then_done_without() {
    let world = Arc::new(World::new());
    // Errors are taken from the end; one call answers before them.
    *world.embed_errors.lock().unwrap() = (0..100).map(|_| gone("embed")).collect();
    world.answers_first.store(1, Ordering::SeqCst);
    let run = Project::new(&first_tree()).run(&world).await;
    assert_eq!(run.end.unwrap(), End::Complete);
    assert!(run.recorder.waits() > 1);
    assert!(run.counts.sparse_only > 0 && run.counts.failed == 0);
    assert_eq!(world.paths(), ["changes.md", "goes.txt", "stays.txt"]);
}

#[tokio::test]
async fn a_new_collection_can_t_be_made_without_embeddings() {
    let world = Arc::new(World::new());
    *world.embed_errors.lock().unwrap() = (0..100).map(|_| gone("embed")).collect();
    let run = Project::new(&first_tree()).run(&world).await;
    assert!(matches!(run.end.unwrap_err(), IndexError::Stopped { .. }));
    assert!(world.collections.lock().unwrap().is_empty());
}

#[tokio::test]
async fn many_failures_in_a_row_stop_the_run() {
    let names: Vec<String> = (0..100).map(|n| format!("{n:03}.txt")).collect();
    let files: Vec<(&str, String)> = names.iter().map(|name| (name.as_str(), POISON.to_owned())).collect();
    let run = Project::new(&files).run(&Arc::new(World::new())).await;
    assert!(
        run.end
            .unwrap_err()
            .to_string()
            .contains("files have failed one after the other")
    );
    assert_eq!(run.counts.failed, MAX_FAILURES as usize);
}
