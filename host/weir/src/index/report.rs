//! What a run tells while it goes on, and at its end.

use std::collections::BTreeMap;

use serde::Serialize;

use super::source::Skip;
use crate::pool_use::PoolUses;

/// Takes what a run tells.
pub trait Reporter: Send {
    /// Something happened.
    fn report(&mut self, event: Event);
}

/// Something that happened in a run. With `--json`, a line each.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(tag = "event", rename_all = "kebab-case")]
pub enum Event {
    /// The run begins.
    Started {
        /// The tree.
        root: String,
        /// The collection.
        collection: String,
        /// The providers, as the configuration names them.
        embedding: String,
        /// None: no sparse vectors.
        sparse: Option<String>,
        /// The vector store.
        store: String,
    },
    /// The tree was walked.
    Walked {
        /// Files found, those included that will be skipped.
        files: usize,
    },
    /// A file is not indexed.
    Skipped {
        /// Its path.
        path: String,
        /// Why.
        reason: Skip,
    },
    /// A file's points are all in the store.
    Indexed {
        /// Its path.
        path: String,
        /// How many.
        chunks: usize,
    },
    /// A file's points are all in the store, but without dense vectors. The next run sends it again.
    SparseOnly {
        /// Its path.
        path: String,
    },
    /// A file that is no longer in the tree left the store.
    Removed {
        /// Its path.
        path: String,
    },
    /// A file was given up for this run.
    Failed {
        /// Its path.
        path: String,
        /// Why.
        message: String,
    },
    /// A provider asked to wait, or is out of reach.
    Waiting {
        /// Its name.
        provider: String,
        /// For how long.
        seconds: f64,
        /// In its words.
        message: String,
    },
    /// Something to know that stops nothing.
    Warning {
        /// What.
        message: String,
    },
    /// Where the run is. Comes a few times a second.
    Progress(Progress),
    /// The run is over. Always the last event of a run.
    Done(Box<Summary>),
    /// With `--watch`, after a run that changed something: the next begins when a file changes.
    Watching {
        /// The folders that are watched.
        folders: usize,
    },
}

/// Where a run is.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Progress {
    /// Files that are dealt with: sent, unchanged, skipped or failed.
    pub files: usize,
    /// Of how many.
    pub total: usize,
    /// Chunks acknowledged by the store.
    pub chunks: u64,
    /// How many there will be at the end, as far as can be told; none before a file was cut.
    pub total_chunks: Option<u64>,
    /// Tokens embedded.
    pub tokens: u64,
    /// Calls under way.
    pub in_flight: usize,
    /// Since the run began.
    pub seconds: f64,
    /// Until its end, at the rate so far; none before a chunk was acknowledged.
    pub seconds_left: Option<f64>,
}

/// What a run counted.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct Counts {
    /// Files whose points were sent.
    pub files: usize,
    /// Files that the store had as they are.
    pub unchanged: usize,
    /// Files that were removed from the store.
    pub removed: usize,
    /// Chunks that were sent and acknowledged; in a dry run, those that would be.
    pub chunks: u64,
    /// Files that are not indexed.
    pub skipped: usize,
    /// The same, by reason.
    pub skipped_by_reason: BTreeMap<Skip, usize>,
    /// Files that were given up for this run.
    pub failed: usize,
    /// Files that were sent without dense vectors, since their provider is down. The next run sends them again.
    pub sparse_only: usize,
    /// Tokens embedded, as the provider counts them; estimated in a dry run, and where the provider does not say.
    pub tokens: u64,
    /// Calls of providers.
    pub requests: u64,
}

/// How a run ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Outcome {
    /// The tree was gone through. Single files may have failed.
    Complete,
    /// The user stopped it.
    Interrupted,
    /// A failure that would repeat stopped it.
    Stopped,
}

/// A run that is over.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Summary {
    /// How it ended.
    pub outcome: Outcome,
    /// Whether nothing was sent because nothing was to be.
    pub dry_run: bool,
    /// The collection.
    pub collection: String,
    /// What was counted.
    #[serde(flatten)]
    pub counts: Counts,
    /// How long it took.
    pub seconds: f64,
    /// The pools of the providers it used, by name.
    pub pools: PoolUses,
}
