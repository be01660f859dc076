//! How a pool is doing, in one word and with its reasons: [`Health`].

use std::fmt;
use std::time::Duration;

use crate::origin::Origin;

/// What one can expect of a pool.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Health {
    /// Everything that speaks against the pool, the gravest first.
    pub reasons: Vec<HealthReason>,
}

/// The word for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum HealthStatus {
    /// Requests can be expected to be answered.
    Healthy,
    /// Some are refused, or wait longer than they should.
    Degraded,
    /// None can be expected to be answered.
    Unhealthy,
}

/// What speaks against a pool.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum HealthReason {
    /// The pool is closed or closing.
    Closed,
    /// The probe has failed so many times in a row, as often as it takes to count.
    ProbeFailing {
        /// Failures since the last success.
        failures: u32,
    },
    /// The breaker of an origin lets no request pass, or only one to see whether it is well again.
    BreakerOpen {
        /// Whose breaker it is.
        origin: Origin,
        /// Whether the breakers of all origins that the pool knows let none pass.
        everywhere: bool,
    },
    /// Callers wait while the pool has as many connections, or requests under way, as it may.
    Exhausted {
        /// How many wait.
        waiting: usize,
    },
    /// An origin has said that it takes no request at present.
    Throttled {
        /// Who has said it.
        origin: Origin,
        /// For how much longer.
        wait: Duration,
    },
    /// Fewer requests may be under way than the operator allows, since the server was overloaded.
    ConcurrencyLowered {
        /// How many may be under way.
        limit: usize,
    },
}

impl HealthStatus {
    /// The word in metrics and answers.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Healthy => "healthy",
            Self::Degraded => "degraded",
            Self::Unhealthy => "unhealthy",
        }
    }
}

impl HealthReason {
    /// What it comes to alone.
    pub fn status(&self) -> HealthStatus {
        match self {
            Self::Closed | Self::ProbeFailing { .. } | Self::BreakerOpen { everywhere: true, .. } => {
                HealthStatus::Unhealthy
            }
            Self::BreakerOpen { .. }
            | Self::Exhausted { .. }
            | Self::Throttled { .. }
            | Self::ConcurrencyLowered { .. } => HealthStatus::Degraded,
        }
    }
}

impl Health {
    pub(crate) fn of(mut reasons: Vec<HealthReason>) -> Self {
        reasons.sort_by_key(|reason| std::cmp::Reverse(reason.status()));
        Self { reasons }
    }

    /// The gravest of the reasons; healthy where there is none.
    pub fn status(&self) -> HealthStatus {
        let gravest = self.reasons.iter().map(HealthReason::status).max();
        gravest.unwrap_or(HealthStatus::Healthy)
    }
}

impl fmt::Display for HealthReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Closed => f.write_str("the pool is closed"),
            Self::ProbeFailing { failures } => write!(f, "the last {failures} probes failed"),
            Self::BreakerOpen { origin, .. } => write!(f, "the breaker of {origin} is open"),
            Self::Exhausted { waiting } => write!(f, "{waiting} requests wait"),
            Self::Throttled { origin, wait } => write!(f, "{origin} takes no request for another {wait:?}"),
            Self::ConcurrencyLowered { limit } => write!(f, "only {limit} requests may be under way"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_gravest_reason_decides_and_comes_first() {
        let health = Health::of(vec![HealthReason::Exhausted { waiting: 3 }, HealthReason::Closed]);
        assert_eq!(health.status(), HealthStatus::Unhealthy);
        assert_eq!(health.reasons[0], HealthReason::Closed);
        assert_eq!(Health::default().status(), HealthStatus::Healthy);
    }
}
