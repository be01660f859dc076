//! How often the configuration was read again, and what speaks against the one that is there now.

use std::sync::{Mutex, MutexGuard, PoisonError};

/// What became of the configurations after the first one.
#[derive(Default)]
pub(crate) struct Reloads(Mutex<History>);

/// How often another configuration took the place of the one in force, or did not.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct ConfigReloads {
    /// It is in force.
    pub applied: u64,
    /// It was refused, and the old one serves on.
    pub refused: u64,
}

#[derive(Default)]
struct History {
    counts: ConfigReloads,
    refusal: Option<String>,
}

impl Reloads {
    /// Another configuration is in force.
    pub fn apply(&self) {
        let mut history = self.history();
        history.counts.applied += 1;
        history.refusal = None;
    }

    /// What is there now is what is in force.
    pub fn is_current(&self) {
        self.history().refusal = None;
    }

    /// What is there now can't be used.
    pub fn refuse(&self, reason: String) {
        let mut history = self.history();
        history.counts.refused += 1;
        history.refusal = Some(reason);
    }

    /// Why what is there now is not in force.
    pub fn refusal(&self) -> Option<String> {
        self.history().refusal.clone()
    }

    pub fn counts(&self) -> ConfigReloads {
        self.history().counts
    }

    fn history(&self) -> MutexGuard<'_, History> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
