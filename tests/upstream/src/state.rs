//! What all parts of a running server share.

use std::{
    collections::BTreeMap,
    sync::{
        PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use uuid::Uuid;

use crate::{Api, counters::Counters, faults::Faults, model::Model, records::Records, store::Store};

/// The keys clients must present.
#[derive(Debug, Clone)]
pub(crate) struct Keys {
    pub(crate) common: String,
    pub(crate) own: BTreeMap<Api, String>,
    pub(crate) read_only: Option<String>,
}

impl Keys {
    /// The key of an API.
    pub(crate) fn of(&self, api: Api) -> &str {
        self.own.get(&api).unwrap_or(&self.common)
    }

    /// Qdrant's key that may only read.
    pub(crate) fn read_only(&self) -> Option<&str> {
        self.read_only.as_deref()
    }
}

/// How long an API takes to answer, besides its work.
#[derive(Debug, Default)]
pub(crate) struct Latency([AtomicU64; Api::ALL.len()]);

impl Latency {
    pub(crate) fn set(&self, api: Option<Api>, latency: Duration) {
        let millis = u64::try_from(latency.as_millis()).unwrap_or(u64::MAX);
        for (one, slot) in Api::ALL.iter().zip(&self.0) {
            if api.is_none_or(|wanted| wanted == *one) {
                slot.store(millis, Ordering::Relaxed);
            }
        }
    }

    pub(crate) fn of(&self, api: Api) -> Duration {
        let slot = Api::ALL.iter().zip(&self.0).find(|(one, _)| **one == api);
        Duration::from_millis(slot.map_or(0, |(_, slot)| slot.load(Ordering::Relaxed)))
    }
}

/// The shared state of one server.
pub(crate) struct State {
    pub(crate) keys: Keys,
    pub(crate) latency: Latency,
    pub(crate) counters: Counters,
    pub(crate) faults: Faults,
    pub(crate) records: Records,
    pub(crate) model: Model,
    store: RwLock<Store>,
    answers: AtomicU64,
}

impl State {
    pub(crate) fn new(keys: Keys, model: Model) -> Self {
        Self {
            keys,
            latency: Latency::default(),
            counters: Counters::default(),
            faults: Faults::default(),
            records: Records::default(),
            model,
            store: RwLock::default(),
            answers: AtomicU64::new(0),
        }
    }

    /// The collections, to read.
    pub(crate) fn store(&self) -> RwLockReadGuard<'_, Store> {
        self.store.read().unwrap_or_else(PoisonError::into_inner)
    }

    /// The collections, to change.
    pub(crate) fn store_mut(&self) -> RwLockWriteGuard<'_, Store> {
        self.store.write().unwrap_or_else(PoisonError::into_inner)
    }

    /// A number no other answer of this server has.
    pub(crate) fn next_number(&self) -> u64 {
        self.answers.fetch_add(1, Ordering::Relaxed) + 1
    }

    /// The same as a UUID.
    pub(crate) fn next_uuid(&self) -> Uuid {
        Uuid::from_u128(u128::from(self.next_number()))
    }
}
