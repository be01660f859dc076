//! Chance, as far as waits need it: [`Jitter`].

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

/// Where waits get their random part from. Seeded, it gives the same waits again.
#[derive(Debug)]
pub(crate) struct Jitter {
    random: Mutex<fastrand::Rng>,
}

impl Jitter {
    pub fn new() -> Self {
        Self {
            random: Mutex::new(fastrand::Rng::new()),
        }
    }

    #[cfg(test)]
    pub fn seeded(seed: u64) -> Self {
        Self {
            random: Mutex::new(fastrand::Rng::with_seed(seed)),
        }
    }

    /// Something between nothing and `most`.
    pub fn up_to(&self, most: Duration) -> Duration {
        let share = self.random.lock().unwrap_or_else(PoisonError::into_inner).f64();
        most.mul_f64(share)
    }
}
