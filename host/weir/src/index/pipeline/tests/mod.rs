//! Runs of the pipeline over real trees and manifests, with providers in memory.

mod failures;
mod fake;

use std::fs;
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tempfile::TempDir;
use tokio_util::sync::CancellationToken;

use self::fake::{FakeEmbedder, FakeStore, World};
use super::*;
use crate::index::walk::walk;

/// What a run reported.
#[derive(Default)]
struct Recorder(Vec<Event>);

impl Reporter for Recorder {
    fn report(&mut self, event: Event) {
        if !matches!(event, Event::Progress(_)) {
            self.0.push(event);
        }
    }
}

impl Recorder {
    fn waits(&self) -> usize {
        let waits = |event: &&Event| matches!(event, Event::Waiting { .. });
        self.0.iter().filter(waits).count()
    }

    fn warnings(&self) -> usize {
        self.0
            .iter()
            .filter(|event| matches!(event, Event::Warning { .. }))
            .count()
    }
}

/// A tree and its manifest.
struct Project {
    tree: TempDir,
    manifest: Arc<Manifest>,
    _data: TempDir,
}

impl Project {
    fn new(files: &[(&str, String)]) -> Project {
        let data = tempfile::tempdir().unwrap();
        let manifest = Arc::new(Manifest::open(&data.path().join("c.redb")).unwrap());
        let project = Project {
            tree: tempfile::tempdir().unwrap(),
            manifest,
            _data: data,
        };
        project.set(files);
        project
    }

    /// Makes the tree consist of these files.
    fn set(&self, files: &[(&str, String)]) {
        for entry in fs::read_dir(self.tree.path()).unwrap() {
            fs::remove_file(entry.unwrap().path()).unwrap();
        }
        for (path, text) in files {
            fs::write(self.tree.path().join(path), text).unwrap();
        }
    }

    async fn run(&self, world: &Arc<World>) -> Run {
        self.run_with(world, false, &CancellationToken::new()).await
    }

    async fn run_with(&self, world: &Arc<World>, rebuild: bool, cancel: &CancellationToken) -> Run {
        let plan = plan(self.tree.path());
        let mut recorder = Recorder::default();
        let mut pipeline = pipeline(&plan, world, &self.manifest, &mut recorder);
        let end = pipeline.run(walk(self.tree.path()).unwrap(), rebuild, cancel).await;
        let counts = pipeline.counts;
        Run { counts, end, recorder }
    }
}

struct Run {
    counts: Counts,
    end: Result<End, IndexError>,
    recorder: Recorder,
}

fn plan(root: &Path) -> Plan {
    Plan {
        wanted: Wanted {
            collection: "c".into(),
            root: root.display().to_string(),
            store: "fake".into(),
            embedding: "fake".into(),
            model: None,
            sparse: Some("fake".into()),
        },
        max_characters: 200,
        embed: BatchLimits {
            items: 3,
            weight: 10_000,
        },
        embed_calls: 2,
        upsert: BatchLimits {
            items: 4,
            weight: 1 << 20,
        },
        store_calls: 2,
        delete: BatchLimits {
            items: 2,
            weight: u64::MAX,
        },
    }
}

fn pipeline<'run>(
    plan: &'run Plan,
    world: &Arc<World>,
    manifest: &Arc<Manifest>,
    reporter: &'run mut dyn Reporter,
) -> Pipeline<'run, FakeEmbedder, FakeStore> {
    let (embedder, store) = (FakeEmbedder(Arc::clone(world)), FakeStore(Arc::clone(world)));
    Pipeline::new(
        plan,
        Arc::new(embedder),
        Arc::new(store),
        Arc::clone(manifest),
        reporter,
    )
}

/// Some chunks of text.
fn text(name: &str, paragraphs: usize) -> String {
    (0..paragraphs)
        .map(|n| format!("{name}: paragraph {n}. {}\n\n", "word ".repeat(25)))
        .collect()
}

fn first_tree() -> Vec<(&'static str, String)> {
    vec![
        ("changes.md", text("one", 4)),
        ("empty.rs", String::new()),
        ("goes.txt", text("goes", 2)),
        ("stays.txt", text("stays", 3)),
    ]
}

fn second_tree() -> Vec<(&'static str, String)> {
    vec![
        ("changes.md", text("one", 1) + &text("two", 3)),
        ("comes.txt", text("comes", 7)),
        ("empty.rs", String::new()),
        ("stays.txt", text("stays", 3)),
    ]
}

fn third_tree() -> Vec<(&'static str, String)> {
    vec![
        ("changes.md", text("three", 2)),
        ("goes.txt", text("goes", 1)),
        ("stays.txt", text("stays", 3)),
    ]
}

/// What an uninterrupted first run leaves in the store.
async fn points_of(files: &[(&str, String)]) -> Vec<(String, String)> {
    let world = Arc::new(World::new());
    assert_eq!(Project::new(files).run(&world).await.end.unwrap(), End::Complete);
    contents(&world)
}

fn contents(world: &World) -> Vec<(String, String)> {
    world.points.lock().unwrap().clone().into_iter().collect()
}

#[tokio::test]
async fn a_first_run_sends_everything() {
    let world = Arc::new(World::new());
    let project = Project::new(&first_tree());
    let run = project.run(&world).await;
    assert_eq!(run.end.unwrap(), End::Complete);
    assert_eq!(world.paths(), ["changes.md", "goes.txt", "stays.txt"]);
    assert_eq!(run.counts.files, 4);
    assert_eq!(run.counts.chunks as usize, world.points.lock().unwrap().len());
    assert_eq!(run.counts.tokens, 10 * run.counts.chunks);
    assert_eq!(run.recorder.warnings(), 0);
    let collection = world.collections.lock().unwrap()["c"].clone();
    assert_eq!((collection.dimensions, collection.sparse), (2, true));
    let known = project.manifest.description().unwrap().unwrap();
    assert_eq!((known.embedding.model.as_str(), known.dimensions), ("m", 2));
}

#[tokio::test]
async fn a_second_run_sends_only_what_changed() {
    let world = Arc::new(World::new());
    let project = Project::new(&first_tree());
    project.run(&world).await.end.unwrap();
    let (texts, calls) = (
        world.texts.load(Ordering::SeqCst),
        world.embed_calls.load(Ordering::SeqCst),
    );

    let run = project.run(&world).await;
    assert_eq!((run.counts.files, run.counts.chunks, run.counts.unchanged), (0, 0, 4));
    assert_eq!(world.embed_calls.load(Ordering::SeqCst), calls);

    project.set(&second_tree());
    let run = project.run(&world).await;
    assert_eq!((run.counts.files, run.counts.unchanged, run.counts.removed), (2, 2, 1));
    let sent = world.texts.load(Ordering::SeqCst) - texts;
    assert_eq!(sent as u64, run.counts.chunks);
    assert_eq!(contents(&world), points_of(&second_tree()).await);
}

#[tokio::test]
async fn a_file_that_is_no_longer_worth_indexing_leaves_the_store() {
    let world = Arc::new(World::new());
    let project = Project::new(&first_tree());
    project.run(&world).await.end.unwrap();
    fs::write(project.tree.path().join("stays.txt"), "\0").unwrap();
    let run = project.run(&world).await;
    assert_eq!((run.counts.removed, run.counts.skipped), (1, 1));
    assert_eq!(world.paths(), ["changes.md", "goes.txt"]);
}

/// Runs until the world stands still at a step, then ends the run: in an orderly way, or as a crash would.
async fn interrupted(project: &Project, world: &Arc<World>, orderly: bool) -> bool {
    let cancel = CancellationToken::new();
    let running = project.run_with(world, false, &cancel);
    let trip = async {
        world.tripped.notified().await;
        if orderly {
            cancel.cancel();
            std::future::pending::<()>().await;
        }
    };
    tokio::select! {
        run = running => {
            let end = run.end.unwrap();
            assert!(end == End::Complete || orderly);
            end == End::Interrupted
        }
        () = trip => true,
    }
}

#[tokio::test]
async fn interrupted_at_any_step_and_run_again_the_store_is_as_after_one_run() {
    for next in [second_tree(), third_tree(), first_tree()] {
        let expected = points_of(&next).await;
        for orderly in [true, false] {
            for step in 0.. {
                let project = Project::new(&first_tree());
                let mut world = Arc::new(World::new());
                project.run(&world).await.end.unwrap();
                project.set(&second_tree());
                let at = world.steps.load(Ordering::SeqCst) + step;
                Arc::get_mut(&mut world).unwrap().trip_at = Some(at);
                let was_interrupted = interrupted(&project, &world, orderly).await;

                project.set(&next);
                let again = Arc::new(World::new());
                *again.collections.lock().unwrap() = world.collections.lock().unwrap().clone();
                *again.points.lock().unwrap() = world.points.lock().unwrap().clone();
                assert_eq!(project.run(&again).await.end.unwrap(), End::Complete);
                assert_eq!(contents(&again), expected, "step {step}, orderly {orderly}");
                if !was_interrupted {
                    assert!(step > 10, "only {step} steps");
                    break;
                }
            }
        }
    }
}

#[tokio::test]
async fn a_first_run_can_be_interrupted_at_any_step_too() {
    let expected = points_of(&first_tree()).await;
    for step in 0.. {
        let project = Project::new(&first_tree());
        let world = Arc::new(World {
            trip_at: Some(step),
            ..World::new()
        });
        let was_interrupted = interrupted(&project, &world, false).await;
        let again = Arc::new(World::new());
        *again.collections.lock().unwrap() = world.collections.lock().unwrap().clone();
        *again.points.lock().unwrap() = world.points.lock().unwrap().clone();
        assert_eq!(project.run(&again).await.end.unwrap(), End::Complete);
        assert_eq!(contents(&again), expected, "step {step}");
        if !was_interrupted {
            break;
        }
    }
}

#[tokio::test]
async fn what_was_finished_before_an_interruption_is_not_sent_again() {
    let project = Project::new(&[("a.txt", text("a", 2)), ("b.txt", text("b", 2))]);
    let world = Arc::new(World {
        embed_errors: Mutex::new(vec![]),
        ..World::new()
    });
    project.run(&world).await.end.unwrap();
    project.set(&[
        ("a.txt", text("a", 2)),
        ("b.txt", text("b", 2)),
        ("z.txt", text("z", 40)),
    ]);
    let mut world = world;
    let at = world.steps.load(Ordering::SeqCst) + 12;
    Arc::get_mut(&mut world).unwrap().trip_at = Some(at);
    assert!(interrupted(&project, &world, true).await);

    let again = Arc::new(World::new());
    *again.collections.lock().unwrap() = world.collections.lock().unwrap().clone();
    let run = project.run(&again).await;
    assert_eq!((run.counts.unchanged, run.counts.files), (2, 1));
}

#[tokio::test]
async fn vectors_of_another_model_are_not_mixed_in_and_a_rebuild_starts_anew() {
    let world = Arc::new(World::new());
    let project = Project::new(&first_tree());
    project.run(&world).await.end.unwrap();
    *world.model.lock().unwrap() = "n".into();
    let mut next = first_tree();
    next[0].1 = text("three", 2);
    project.set(&next);
    let before = contents(&world);
    let run = project.run(&world).await;
    assert!(matches!(run.end.unwrap_err(), IndexError::Changed { was, now, .. } if was == "m" && now == "n"));
    assert_eq!(contents(&world), before);

    project
        .run_with(&world, true, &CancellationToken::new())
        .await
        .end
        .unwrap();
    assert_eq!(project.manifest.description().unwrap().unwrap().embedding.model, "n");
    assert_eq!(contents(&world), points_of(&next).await);
}

#[tokio::test]
async fn a_rebuild_that_was_interrupted_is_finished_by_the_next_run() {
    let mut world = Arc::new(World::new());
    let project = Project::new(&first_tree());
    project.run(&world).await.end.unwrap();
    let at = world.steps.load(Ordering::SeqCst) + 1;
    Arc::get_mut(&mut world).unwrap().trip_at = Some(at);
    let cancel = CancellationToken::new();
    let run = project.run_with(&world, true, &cancel);
    tokio::select! {
        _ = run => panic!("it was to be interrupted"),
        () = world.tripped.notified() => {}
    }
    let again = Arc::new(World::new());
    project.run(&again).await.end.unwrap();
    assert_eq!(contents(&again), points_of(&first_tree()).await);
}

#[tokio::test]
async fn a_collection_that_the_store_has_lost_is_indexed_again() {
    let project = Project::new(&first_tree());
    project.run(&Arc::new(World::new())).await.end.unwrap();
    let world = Arc::new(World::new());
    let run = project.run(&world).await;
    assert_eq!(run.recorder.warnings(), 1);
    assert_eq!(contents(&world), points_of(&first_tree()).await);
}

#[tokio::test]
async fn files_below_a_place_that_could_not_be_read_are_not_taken_for_deleted() {
    let world = Arc::new(World::new());
    let project = Project::new(&first_tree());
    project.run(&world).await.end.unwrap();
    fs::remove_file(project.tree.path().join("goes.txt")).unwrap();
    let mut tree = walk(project.tree.path()).unwrap();
    tree.errors.push("permission denied".into());
    let (plan, mut recorder) = (plan(project.tree.path()), Recorder::default());
    let mut pipeline = pipeline(&plan, &world, &project.manifest, &mut recorder);
    pipeline.run(tree, false, &CancellationToken::new()).await.unwrap();
    assert_eq!(pipeline.counts.removed, 0);
    assert!(world.paths().contains(&"goes.txt".to_owned()));
    assert_eq!(recorder.warnings(), 1);
}

#[tokio::test]
async fn what_is_under_way_is_bounded_whatever_the_tree_s_size() {
    let names: Vec<String> = (0..1_000).map(|n| format!("{n:04}.txt")).collect();
    let files: Vec<(&str, String)> = names.iter().map(|name| (name.as_str(), text(name, 1))).collect();
    let project = Project::new(&files);
    let world = Arc::new(World {
        never_embeds: true,
        ..World::new()
    });
    let cancel = CancellationToken::new();
    let stop = async {
        tokio::time::sleep(Duration::from_millis(500)).await;
        cancel.cancel();
    };
    let (run, ()) = tokio::join!(project.run_with(&world, false, &cancel), stop);
    assert_eq!(run.end.unwrap(), End::Interrupted);
    let under_way = project.manifest.paths(|_| true).unwrap().len();
    assert!(under_way > 0);
    assert!(
        under_way <= plan(project.tree.path()).window() + TAKEN_TOGETHER,
        "{under_way}"
    );
}

#[tokio::test]
async fn a_store_that_takes_one_call_at_a_time_is_given_full_ones() {
    let project = Project::new(&[("a.txt", text("a", 42))]);
    let world = Arc::new(World {
        calls: AtomicUsize::new(1),
        ..World::new()
    });
    let run = project.run(&world).await;
    let full = plan(project.tree.path()).upsert.items;
    let calls = world.upsert_calls.load(Ordering::SeqCst);
    assert_eq!(calls, (run.counts.chunks as usize).div_ceil(full));
}

#[tokio::test]
async fn as_many_calls_are_under_way_as_the_provider_s_pool_lets_through() {
    let files: Vec<(&str, String)> = vec![("a.txt", text("a", 60))];
    for allowed in [1, 2] {
        let world = Arc::new(World::new());
        world.calls.store(allowed, Ordering::SeqCst);
        Project::new(&files).run(&world).await.end.unwrap();
        assert_eq!(world.peak.load(Ordering::SeqCst), allowed);
    }
    // The plan's own bound is two.
    let world = Arc::new(World::new());
    world.calls.store(50, Ordering::SeqCst);
    Project::new(&files).run(&world).await.end.unwrap();
    assert_eq!(world.peak.load(Ordering::SeqCst), 2);
}
