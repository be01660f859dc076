//! Why a run could not be made, or ended early.

use weir_runtime::{CallError, Capability};

use super::manifest::ManifestError;
use super::walk::WalkError;
use crate::host::HostError;

/// A run failed as a whole. A file that fails is none of these: it is counted, and the run goes on.
#[derive(Debug, thiserror::Error)]
pub enum IndexError {
    /// The tree can't be walked.
    #[error(transparent)]
    Walk(#[from] WalkError),
    /// The manifest can't be used.
    #[error(transparent)]
    Manifest(#[from] ManifestError),
    /// A provider can't be used.
    #[error(transparent)]
    Host(#[from] HostError),
    /// A provider does not offer what it was chosen for.
    #[error("provider `{provider}` offers no {capability}; choose another with --{flag} or in [index]")]
    Lacks {
        /// The provider.
        provider: String,
        /// What it lacks.
        capability: Capability,
        /// The flag that chose it.
        flag: &'static str,
    },
    /// A collection's name can't be a file's.
    #[error("`{name}` can't be a collection's name: use 1 to 128 letters, digits, `-`, `_` and `.`, not `.` first")]
    CollectionName {
        /// The name.
        name: String,
    },
    /// The collection holds vectors that those of the present settings can't be mixed with.
    #[error(
        "collection `{collection}` was indexed with {what} {was}, and now it would be {now}; vectors of both can't be \
         mixed. Use another collection (--collection NAME), or index this one anew (--rebuild)"
    )]
    Changed {
        /// The collection.
        collection: String,
        /// What changed.
        what: &'static str,
        /// What the manifest says.
        was: String,
        /// What the configuration or the provider says.
        now: String,
    },
    /// A provider failed in a way that would repeat.
    #[error("{}; {advice}. What was acknowledged is kept: run the same command again to go on", .error.to_string().trim_end_matches('.'))]
    Stopped {
        /// The failure.
        error: Box<CallError>,
        /// What to do about it.
        advice: String,
    },
    /// The user stopped it.
    #[error("interrupted; what was acknowledged is kept: run the same command again to go on")]
    Interrupted,
    /// A part of this program failed.
    #[error("the indexer failed: {0}. What was acknowledged is kept: run the same command again to go on")]
    Task(String),
}

impl IndexError {
    /// Whether the command or the configuration is to blame, rather than what happened during the run.
    pub fn is_usage(&self) -> bool {
        match self {
            IndexError::Lacks { .. } | IndexError::CollectionName { .. } | IndexError::Changed { .. } => true,
            IndexError::Host(error) => error.is_configuration(),
            _ => false,
        }
    }
}

impl From<tokio::task::JoinError> for IndexError {
    fn from(error: tokio::task::JoinError) -> Self {
        IndexError::Task(error.to_string())
    }
}
