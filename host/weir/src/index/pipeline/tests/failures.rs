//! What a failure of a provider does to a run.

use std::fs;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use weir_runtime::types::{Error, HttpError};

use super::fake::{POISON, World, rate_limited};
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

#[tokio::test]
async fn a_store_that_is_down_stops_the_run() {
    let world = Arc::new(World::new());
    let down = |_| Error::Http(HttpError::ConnectFailed("connection refused".into()));
    *world.upsert_errors.lock().unwrap() = (0..100).map(|_| refused("upsert", down)).collect();
    let run = Project::new(&first_tree()).run(&world).await;
    assert!(matches!(run.end.unwrap_err(), IndexError::Stopped { error, .. } if error.kind() == "connect-failed"));
    assert!(world.upsert_calls.load(Ordering::SeqCst) <= 2);
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
