//! Providers that keep everything in memory, and can be told to fail, or to be interrupted, at any step.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::sync::Notify;
use weir_runtime::CallError;
use weir_runtime::types::{Error, Failure, SparseVector};
use weir_runtime::vector_store::{Collection, Point, PointId};

use crate::failing::refused;
use crate::index::services::{Embedded, Embedder, Store};

/// A text with this in it can't be embedded.
pub const POISON: &str = "POISON";

/// Stands before the payload of a point without a dense vector.
pub const SPARSE_ONLY: &str = "sparse only: ";

/// Both providers, and what they count.
#[derive(Default)]
pub struct World {
    pub collections: Mutex<BTreeMap<String, Collection>>,
    /// Points by id: what a search could find.
    pub points: Mutex<BTreeMap<String, String>>,
    /// Errors that the next calls for vectors are answered with.
    pub embed_errors: Mutex<Vec<CallError>>,
    /// How many calls for vectors are answered before those errors come.
    pub answers_first: AtomicUsize,
    /// The same for upserts.
    pub upsert_errors: Mutex<Vec<CallError>>,
    pub model: Mutex<String>,
    /// Most texts in one call.
    pub max_texts: Option<usize>,
    pub never_embeds: bool,
    /// How many calls of each provider may be under way.
    pub calls: AtomicUsize,
    /// Calls for vectors under way, and the most there were.
    pub in_flight: AtomicUsize,
    pub peak: AtomicUsize,
    pub embed_calls: AtomicUsize,
    pub upsert_calls: AtomicUsize,
    pub texts: AtomicUsize,
    /// Before and after each call's effect, a step is taken; at this one the world stands still.
    pub trip_at: Option<usize>,
    pub steps: AtomicUsize,
    pub tripped: Notify,
}

impl World {
    pub fn new() -> World {
        World {
            model: Mutex::new("m".into()),
            calls: AtomicUsize::new(2),
            ..World::default()
        }
    }

    async fn step(&self) {
        let step = self.steps.fetch_add(1, Ordering::SeqCst);
        if self.trip_at.is_some_and(|at| step >= at) {
            self.tripped.notify_one();
            std::future::pending::<()>().await;
        }
    }

    pub fn paths(&self) -> Vec<String> {
        let points = self.points.lock().unwrap();
        let path = |payload: &String| {
            let payload = payload.trim_start_matches(SPARSE_ONLY);
            let payload: serde_json::Value = serde_json::from_str(payload).unwrap();
            payload["path"].as_str().unwrap().to_owned()
        };
        let mut paths: Vec<String> = points.values().map(path).collect();
        paths.sort();
        paths.dedup();
        paths
    }
}

pub fn rate_limited(wait: Duration) -> CallError {
    let nanoseconds = u64::try_from(wait.as_nanos()).unwrap();
    refused("embed", |failure| {
        Error::RateLimited(Failure {
            retry_after: Some(nanoseconds),
            ..failure
        })
    })
}

pub struct FakeEmbedder(pub Arc<World>);

impl Embedder for FakeEmbedder {
    fn calls(&self) -> usize {
        self.0.calls.load(Ordering::SeqCst)
    }

    async fn embed_sparse(&self, texts: Vec<String>) -> Result<Embedded, CallError> {
        Ok(Embedded {
            vectors: Vec::new(),
            tokens: 0,
            calls: 1,
            sparse: Some(("terms".into(), terms(&texts))),
            model: String::new(),
        })
    }

    async fn embed(&self, texts: Vec<String>) -> Result<Embedded, CallError> {
        let world = &self.0;
        world.embed_calls.fetch_add(1, Ordering::SeqCst);
        let in_flight = world.in_flight.fetch_add(1, Ordering::SeqCst) + 1;
        world.peak.fetch_max(in_flight, Ordering::SeqCst);
        tokio::task::yield_now().await;
        world.in_flight.fetch_sub(1, Ordering::SeqCst);
        world.step().await;
        if world.never_embeds {
            std::future::pending::<()>().await;
        }
        let answers = world
            .answers_first
            .fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| left.checked_sub(1));
        let ordered = answers.err().and_then(|_| world.embed_errors.lock().unwrap().pop());
        if let Some(error) = ordered {
            return Err(error);
        }
        if world.max_texts.is_some_and(|most| texts.len() > most) {
            return Err(refused("embed", Error::TooLarge));
        }
        if texts.iter().any(|text| text.contains(POISON)) {
            return Err(refused("embed", Error::InvalidInput));
        }
        world.texts.fetch_add(texts.len(), Ordering::SeqCst);
        world.step().await;
        Ok(Embedded {
            model: world.model.lock().unwrap().clone(),
            vectors: texts.iter().map(|text| vec![1.0, text.len() as f32]).collect(),
            sparse: Some(("terms".into(), terms(&texts))),
            tokens: 10 * texts.len() as u64,
            calls: 2,
        })
    }
}

fn terms(texts: &[String]) -> Vec<SparseVector> {
    let term = |text: &String| SparseVector {
        indices: vec![text.len() as u32],
        values: vec![1.0],
    };
    texts.iter().map(term).collect()
}

pub struct FakeStore(pub Arc<World>);

impl FakeStore {
    async fn check(&self, collection: &str) -> Result<(), CallError> {
        let there = self.0.collections.lock().unwrap().contains_key(collection);
        if there {
            Ok(())
        } else {
            Err(refused("upsert", Error::NotFound))
        }
    }
}

fn uuid(id: &PointId) -> String {
    match id {
        PointId::Uuid(id) => id.clone(),
        PointId::Number(id) => panic!("a numeric id: {id}"),
    }
}

impl Store for FakeStore {
    fn calls(&self) -> usize {
        self.0.calls.load(Ordering::SeqCst)
    }

    async fn collections(&self) -> Result<Vec<String>, CallError> {
        self.0.step().await;
        Ok(self.0.collections.lock().unwrap().keys().cloned().collect())
    }

    async fn ensure(&self, collection: Collection) -> Result<bool, CallError> {
        self.0.step().await;
        let made = self
            .0
            .collections
            .lock()
            .unwrap()
            .insert(collection.name.clone(), collection)
            .is_none();
        self.0.step().await;
        Ok(made)
    }

    async fn drop_collection(&self, name: String) -> Result<bool, CallError> {
        self.0.step().await;
        let dropped = self.0.collections.lock().unwrap().remove(&name).is_some();
        self.0.points.lock().unwrap().clear();
        self.0.step().await;
        Ok(dropped)
    }

    async fn upsert(&self, collection: String, points: Vec<Point>) -> Result<u64, CallError> {
        self.0.upsert_calls.fetch_add(1, Ordering::SeqCst);
        self.0.step().await;
        self.check(&collection).await?;
        let ordered = self.0.upsert_errors.lock().unwrap().pop();
        if let Some(error) = ordered {
            return Err(error);
        }
        for point in &points {
            assert!(point.sparse.is_some());
            assert!(point.vector.as_ref().is_none_or(|vector| vector.len() == 2));
            let kept = match point.vector {
                Some(_) => point.payload.clone(),
                None => format!("{SPARSE_ONLY}{}", point.payload),
            };
            self.0.points.lock().unwrap().insert(uuid(&point.id), kept);
        }
        self.0.step().await;
        Ok(points.len() as u64)
    }

    async fn delete(&self, collection: String, ids: Vec<PointId>) -> Result<(), CallError> {
        self.0.step().await;
        self.check(&collection).await?;
        ids.iter().for_each(|id| {
            self.0.points.lock().unwrap().remove(&uuid(id));
        });
        self.0.step().await;
        Ok(())
    }
}
