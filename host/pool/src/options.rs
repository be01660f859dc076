//! What a caller decides about one request: [`SendOptions`].

use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use crate::config::PoolConfig;

/// How one request is to be sent.
#[derive(Clone, Debug, Default)]
pub struct SendOptions {
    /// What the request is for (`embed`, `query`), as a label in spans and metrics. Keep the set of values small.
    pub operation: Option<Arc<str>>,
    /// Marks a request of a non-idempotent method that may safely reach the server twice, such as an embedding.
    pub replay_safe: bool,
    /// Deadlines that differ from the pool's, within what it allows ([`PoolConfig::caller_timeouts`]).
    pub timeouts: Timeouts,
    /// How long after the call of `send` load control may still let the request wait, for another attempt or for its
    /// turn; instead of waiting longer it returns what it has. Nothing under way is cut off by it. For callers whose own
    /// time is limited and who would rather have the last answer than none.
    pub patience: Option<Duration>,
    /// How many tokens the request will cost, as far as that can be told beforehand; it counts towards
    /// [`crate::RateConfig::tokens_per_minute`].
    pub tokens: u32,
}

/// Deadlines of one request; `None` means the pool's own.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Timeouts {
    /// From the call of `send` until a connection is granted.
    pub pool: Option<Duration>,
    /// Name resolution, TCP and TLS together, for a dial made on behalf of this request.
    pub connect: Option<Duration>,
    /// Longest time without progress while the request is written.
    pub write: Option<Duration>,
    /// From the end of the request to the head of the answer.
    pub first_byte: Option<Duration>,
    /// Between two pieces of the body.
    pub read: Option<Duration>,
    /// From the call of `send` to the last byte of the body.
    pub total: Option<Duration>,
}

/// What a caller's own [`Timeouts`] are measured against.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum CallerTimeouts {
    /// They replace the operator's.
    #[default]
    Replace,
    /// They can shorten the operator's and never lengthen them: for callers that are not trusted with the pool's time.
    Shorten,
}

/// The deadlines in force for one request, the operator's and the caller's put together.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Deadlines {
    /// When the wait for a connection began: with the request, or with its latest attempt.
    pub started: Instant,
    pub pool: Duration,
    pub connect: Duration,
    pub write: Duration,
    pub first_byte: Duration,
    pub read: Duration,
    pub total: Option<Duration>,
    total_at: Option<Instant>,
    patience_at: Option<Instant>,
}

impl Deadlines {
    /// The caller's, else the operation's, else the pool's, within what the pool's policy allows.
    pub fn new(config: &PoolConfig, options: &SendOptions, started: Instant) -> Self {
        let operation = options.operation.as_deref();
        let granted = operation.and_then(|name| config.operations.get(name));
        let (granted, asked) = (granted.copied().unwrap_or_default(), &options.timeouts);
        let policy = config.caller_timeouts;
        let least = |asked: Option<Duration>, granted: Option<Duration>, own: Duration| {
            policy.settle(asked, Some(granted.unwrap_or(own))).unwrap_or(own)
        };
        let total = policy.settle(asked.total, granted.total.or(config.total_timeout));
        Self {
            started,
            pool: least(asked.pool, granted.pool, config.pool_timeout),
            connect: least(asked.connect, granted.connect, config.connect_timeout),
            write: least(asked.write, granted.write, config.write_timeout),
            first_byte: least(asked.first_byte, granted.first_byte, config.read_timeout),
            read: least(asked.read, granted.read, config.read_timeout),
            total,
            total_at: total.map(|total| later(started, total)),
            patience_at: options.patience.map(|patience| later(started, patience)),
        }
    }

    /// Those of an attempt that begins now: it has the whole of `pool` to wait, and ends with the request.
    pub fn restarted(self, now: Instant) -> Self {
        Self { started: now, ..self }
    }

    /// When the caller stops waiting for a connection.
    pub fn pool_at(&self) -> Instant {
        later(self.started, self.pool)
    }

    /// When the caller stops waiting altogether.
    pub fn total_at(&self) -> Option<Instant> {
        self.total_at
    }

    /// When load control has to be done with waiting.
    pub fn waits_end_at(&self) -> Option<Instant> {
        let both = self
            .total_at
            .zip(self.patience_at)
            .map(|(total, patience)| total.min(patience));
        both.or(self.total_at).or(self.patience_at)
    }
}

impl CallerTimeouts {
    fn settle(self, asked: Option<Duration>, granted: Option<Duration>) -> Option<Duration> {
        match (self, asked, granted) {
            (Self::Shorten, Some(asked), Some(granted)) => Some(asked.min(granted)),
            (_, asked, granted) => asked.or(granted),
        }
    }
}

/// `instant + duration`, far in the future where that cannot be told: an operator may write a huge number for "never".
pub(crate) fn later(instant: Instant, duration: Duration) -> Instant {
    const NEVER: Duration = Duration::from_secs(60 * 60 * 24 * 365);
    instant.checked_add(duration).unwrap_or_else(|| instant + NEVER)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    const HOUR: Option<Duration> = Some(Duration::from_secs(3_600));
    const SECOND: Option<Duration> = Some(Duration::from_secs(1));

    fn settled(policy: CallerTimeouts, wish: Option<Duration>) -> Deadlines {
        let granted = Timeouts {
            read: Some(Duration::from_secs(120)),
            ..Timeouts::default()
        };
        let config = PoolConfig {
            operations: BTreeMap::from([("embed".to_owned(), granted)]),
            caller_timeouts: policy,
            ..PoolConfig::default()
        };
        let options = SendOptions {
            operation: Some("embed".into()),
            timeouts: Timeouts {
                pool: wish,
                connect: wish,
                write: wish,
                first_byte: wish,
                read: wish,
                total: wish,
            },
            ..SendOptions::default()
        };
        Deadlines::new(&config, &options, Instant::now())
    }

    #[test]
    fn an_operation_has_the_time_that_the_operator_gives_it() {
        let deadlines = settled(CallerTimeouts::Replace, None);
        assert_eq!((deadlines.read.as_secs(), deadlines.first_byte.as_secs()), (120, 60));
        assert_eq!(deadlines.total_at(), None);
    }

    #[test]
    fn a_caller_who_may_only_shorten_cannot_lengthen_any() {
        let long = settled(CallerTimeouts::Shorten, HOUR);
        assert_eq!((long.read.as_secs(), long.first_byte.as_secs()), (120, 60));
        assert_eq!(
            (long.pool.as_secs(), long.connect.as_secs(), long.write.as_secs()),
            (5, 10, 10)
        );
        // Where the operator sets none, any is shorter.
        assert_eq!(long.total, HOUR);
        let short = settled(CallerTimeouts::Shorten, SECOND);
        assert_eq!(
            (short.read.as_secs(), short.pool.as_secs(), short.total),
            (1, 1, SECOND)
        );
    }

    #[test]
    fn another_caller_can() {
        let long = settled(CallerTimeouts::Replace, HOUR);
        assert_eq!((Some(long.read), Some(long.pool)), (HOUR, HOUR));
    }

    #[test]
    fn a_further_attempt_may_wait_again_and_ends_with_the_request() {
        let first = settled(CallerTimeouts::Replace, HOUR);
        let again = first.restarted(first.started + Duration::from_secs(9));
        assert_eq!(again.pool_at(), first.pool_at() + Duration::from_secs(9));
        assert_eq!(again.total_at(), first.total_at());
    }

    #[test]
    fn load_control_waits_as_long_as_the_caller_has_patience_within_the_total() {
        let waits = |patience, total| {
            let options = SendOptions {
                patience,
                timeouts: Timeouts {
                    total,
                    ..Timeouts::default()
                },
                ..SendOptions::default()
            };
            let deadlines = Deadlines::new(&PoolConfig::default(), &options, Instant::now());
            deadlines.waits_end_at().map(|at| at - deadlines.started)
        };
        assert_eq!(waits(None, None), None);
        assert_eq!(waits(SECOND, None), SECOND);
        assert_eq!((waits(SECOND, HOUR), waits(HOUR, SECOND)), (SECOND, SECOND));
    }
}
