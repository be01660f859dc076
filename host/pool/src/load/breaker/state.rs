//! When a breaker opens and closes: arithmetic over moments that are given to it, without a clock of its own.
//!
//! | state | a request | leads to |
//! |---|---|---|
//! | closed | passes | open, after failures in a row or too high a rate of them |
//! | open | is refused | half-open, for the first request after its time |
//! | half-open | is refused, but for the one that probes | closed or open again, as the probe ends |

use std::time::Duration;

use tokio::time::Instant;

use super::BreakerConfig;
use crate::options::later;

/// The slices of the window in which outcomes are counted. Ten lose at most a tenth of the window at its far end.
const SLICES: usize = 10;

/// While a probe is out nobody knows when the breaker closes: the shortest wait that `Retry-After` can express.
const WHILE_PROBING: Duration = Duration::from_secs(1);

/// What an exchange says of the server's health.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// The server works.
    Healthy,
    /// The server, or the way to it, does not.
    Failed,
    /// Nothing: the caller went away, or the failure was its own or the pool's.
    Neutral,
}

/// What a breaker does with requests.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum BreakerState {
    /// Lets them pass.
    Closed,
    /// Lets one pass, to see whether the server is well again.
    HalfOpen,
    /// Refuses them.
    Open,
}

impl BreakerState {
    /// The state's name in metrics and logs.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Closed => "closed",
            Self::HalfOpen => "half-open",
            Self::Open => "open",
        }
    }
}

/// The right of one request to pass, to be handed back with its outcome.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Pass {
    /// Which time between two changes of state it was given in; what was sent before the last change says nothing new.
    epoch: u64,
    probe: bool,
}

#[derive(Debug)]
enum State {
    Closed,
    Open {
        until: Instant,
        /// How long it stays open if the probe after that fails.
        next: Duration,
    },
    Probing {
        next: Duration,
    },
}

/// One breaker.
#[derive(Debug)]
pub(crate) struct Machine {
    config: BreakerConfig,
    state: State,
    epoch: u64,
    in_a_row: u32,
    window: Window,
}

impl Machine {
    pub fn new(config: BreakerConfig, now: Instant) -> Self {
        Self {
            state: State::Closed,
            epoch: 0,
            in_a_row: 0,
            window: Window::new(config.window, now),
            config,
        }
    }

    /// Whether a request may pass, or for how long it had better not come back.
    pub fn admit(&mut self, now: Instant) -> Result<Pass, Duration> {
        let probe = match self.state {
            State::Closed => false,
            State::Open { until, .. } if now < until => return Err(until - now),
            State::Open { next, .. } => {
                self.enter(State::Probing { next });
                true
            }
            State::Probing { .. } => return Err(WHILE_PROBING),
        };
        let epoch = self.epoch;
        Ok(Pass { epoch, probe })
    }

    /// A request that had passed has come to its end.
    pub fn settle(&mut self, pass: &Pass, outcome: Outcome, now: Instant) {
        if pass.epoch != self.epoch {
            return;
        }
        match (&self.state, outcome) {
            (State::Closed, Outcome::Healthy) => {
                self.in_a_row = 0;
                self.window.count(false, now);
            }
            (State::Closed, Outcome::Failed) => {
                self.in_a_row = self.in_a_row.saturating_add(1);
                self.window.count(true, now);
                if self.has_had_enough() {
                    self.open(self.config.open_for, self.config.open_after_failed_probe, now);
                }
            }
            (State::Probing { .. }, Outcome::Healthy) => {
                self.in_a_row = 0;
                self.window = Window::new(self.config.window, now);
                self.enter(State::Closed);
            }
            (State::Probing { next }, Outcome::Failed) => {
                let next = *next;
                self.open(next, next.saturating_mul(2), now);
            }
            // The probe has told nothing: the next request is one.
            (State::Probing { next }, Outcome::Neutral) => {
                let next = *next;
                self.enter(State::Open { until: now, next });
            }
            (State::Closed | State::Open { .. }, _) => {}
        }
    }

    /// What it would do with a request now.
    pub fn state(&self, now: Instant) -> BreakerState {
        match self.state {
            State::Closed => BreakerState::Closed,
            State::Open { until, .. } if now < until => BreakerState::Open,
            // Without this, a pool that is not asked since it is unhealthy would stay so for ever.
            State::Open { .. } | State::Probing { .. } => BreakerState::HalfOpen,
        }
    }

    /// The number of changes of state so far.
    pub fn epoch(&self) -> u64 {
        self.epoch
    }

    /// Whether forgetting the breaker would change nothing.
    pub fn is_at_rest(&mut self, now: Instant) -> bool {
        matches!(self.state, State::Closed) && self.in_a_row == 0 && self.window.totals(now).1 == 0
    }

    fn has_had_enough(&mut self) -> bool {
        let row = self.config.consecutive_failures;
        if row.is_some_and(|row| self.in_a_row >= row.get()) {
            return true;
        }
        let (all, failed) = self.window.sums();
        let percent = self.config.failure_percent;
        all >= u64::from(self.config.min_requests)
            && percent.is_some_and(|percent| failed * 100 >= all * u64::from(percent.get()))
    }

    fn open(&mut self, length: Duration, next: Duration, now: Instant) {
        let longest = self.config.longest_open;
        let until = later(now, length.min(longest));
        self.enter(State::Open {
            until,
            next: next.min(longest),
        });
    }

    fn enter(&mut self, state: State) {
        self.epoch += 1;
        self.state = state;
    }
}

/// Outcomes of the last while, in slices that are forgotten one after the other.
#[derive(Debug)]
struct Window {
    slice: Duration,
    /// All and failed, the current slice last.
    slices: [(u64, u64); SLICES],
    current_since: Instant,
}

impl Window {
    fn new(length: Duration, now: Instant) -> Self {
        Self {
            // A window of no length would never move on.
            slice: (length / SLICES as u32).max(Duration::from_nanos(1)),
            slices: [(0, 0); SLICES],
            current_since: now,
        }
    }

    fn count(&mut self, failed: bool, now: Instant) {
        self.advance(now);
        if let Some(current) = self.slices.last_mut() {
            current.0 += 1;
            current.1 += u64::from(failed);
        }
    }

    fn totals(&mut self, now: Instant) -> (u64, u64) {
        self.advance(now);
        self.sums()
    }

    fn sums(&self) -> (u64, u64) {
        self.slices
            .iter()
            .fold((0, 0), |sum, slice| (sum.0 + slice.0, sum.1 + slice.1))
    }

    fn advance(&mut self, now: Instant) {
        let passed = now.saturating_duration_since(self.current_since).as_nanos() / self.slice.as_nanos();
        if passed == 0 {
            return;
        }
        if passed >= SLICES as u128 {
            self.slices = [(0, 0); SLICES];
            self.current_since = now;
            return;
        }
        let steps = passed as usize;
        self.slices.rotate_left(steps);
        for slice in self.slices.iter_mut().rev().take(steps) {
            *slice = (0, 0);
        }
        self.current_since += self.slice * steps as u32;
    }
}

#[cfg(test)]
mod tests;
