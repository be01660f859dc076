//! When the next request may go to an origin: [`Throttle`].

use std::num::NonZeroU32;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use governor::clock::Clock;
use governor::middleware::NoOpMiddleware;
use governor::state::{InMemoryState, NotKeyed};
use governor::{Quota, RateLimiter};
use tokio::time::{Instant, timeout_at};

use super::RateConfig;
use crate::load::call::{Call, Closing};
use crate::load::origins::Forgettable;
use crate::options::later;

const MINUTE: Duration = Duration::from_secs(60);

/// A clock that a test can stop: the time since the throttle was made.
#[derive(Clone, Copy, Debug)]
struct Since(Instant);

impl Clock for Since {
    type Instant = Duration;

    fn now(&self) -> Duration {
        Instant::now().saturating_duration_since(self.0)
    }
}

/// One quota a minute.
#[derive(Debug)]
struct Bucket {
    limiter: RateLimiter<NotKeyed, InMemoryState, Since, NoOpMiddleware<Duration>>,
    clock: Since,
    per_minute: NonZeroU32,
    /// What may be taken at once: a second's worth, since servers divide a minute's quota into shorter ones.
    burst: NonZeroU32,
}

/// Why nobody is let through.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Held {
    /// It would take longer than the caller may wait.
    TooLong(Duration),
    /// The pool closes.
    Closing,
}

impl From<Closing> for Held {
    fn from(_: Closing) -> Self {
        Self::Closing
    }
}

impl Bucket {
    fn new(per_minute: NonZeroU32, clock: Since) -> Self {
        let burst = NonZeroU32::new(per_minute.get() / 60).unwrap_or(NonZeroU32::MIN);
        // Never none: a minute divided by any number of 32 bits is some nanoseconds.
        let period = MINUTE / per_minute.get();
        let quota = Quota::with_period(period).unwrap_or(Quota::per_second(NonZeroU32::MIN));
        Self {
            limiter: RateLimiter::direct_with_clock(quota.allow_burst(burst), clock),
            clock,
            per_minute,
            burst,
        }
    }

    /// How long it takes until so many have come together, the first burst not counted.
    fn time_for(&self, amount: u32) -> Duration {
        let nanos = MINUTE.as_nanos() * u128::from(amount) / u128::from(self.per_minute.get());
        Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX))
    }

    /// Takes `amount`, piece by piece, or tells at once that it would take longer than until `give_up_at`.
    async fn take(&self, amount: u32, give_up_at: Instant, call: &Call) -> Result<(), Held> {
        let least = self.time_for(amount.saturating_sub(self.burst.get()));
        if later(Instant::now(), least) > give_up_at {
            return Err(Held::TooLong(least));
        }
        let mut left = amount;
        while let Some(piece) = NonZeroU32::new(left.min(self.burst.get())) {
            match self.limiter.check_n(piece) {
                Ok(Ok(())) => left -= piece.get(),
                Ok(Err(not_until)) => {
                    let wait = not_until.wait_time_from(self.clock.now());
                    let (now, ahead) = (Instant::now(), wait + self.time_for(left - piece.get()));
                    if later(now, ahead) > give_up_at {
                        return Err(Held::TooLong(ahead));
                    }
                    call.sleep_until(later(now, wait)).await?;
                }
                // A piece is never more than the burst.
                Err(_) => return Ok(()),
            }
        }
        Ok(())
    }
}

#[derive(Debug)]
struct Moments {
    /// Before then the server takes no request, as it has said.
    held_until: Instant,
    /// When somebody last asked.
    asked_at: Instant,
}

/// The rate at which requests go to one origin.
#[derive(Debug)]
pub(super) struct Throttle {
    requests: Option<Bucket>,
    tokens: Option<Bucket>,
    max_hold: Duration,
    /// Held by whoever is the next to go; tokio's locks are fair.
    line: tokio::sync::Mutex<()>,
    moments: Mutex<Moments>,
}

impl Throttle {
    pub fn new(config: &RateConfig, now: Instant) -> Self {
        let bucket = |per_minute: Option<NonZeroU32>| per_minute.map(|number| Bucket::new(number, Since(now)));
        Self {
            requests: bucket(config.requests_per_minute),
            tokens: bucket(config.tokens_per_minute),
            max_hold: config.max_hold,
            line: tokio::sync::Mutex::new(()),
            moments: Mutex::new(Moments {
                held_until: now,
                asked_at: now,
            }),
        }
    }

    /// The server takes no request for that long.
    pub fn hold(&self, wait: Duration) {
        let until = later(Instant::now(), wait.min(self.max_hold));
        let mut moments = self.lock();
        moments.held_until = moments.held_until.max(until);
    }

    /// How much longer the server takes no request.
    pub fn held_for(&self) -> Duration {
        let until = self.lock().held_until;
        until.saturating_duration_since(Instant::now())
    }

    /// Waits for the request's turn, in the order of arrival, and until its quotas have come together.
    pub async fn admit(&self, call: &Call, give_up_at: Instant) -> Result<(), Held> {
        self.lock().asked_at = Instant::now();
        self.check_hold(give_up_at)?;
        let turn = call.unless_closing(timeout_at(give_up_at, self.line.lock())).await?;
        let Ok(_turn) = turn else {
            // Those ahead have not got through either; nobody gets through while the server says so.
            return Err(Held::TooLong(self.held_for().max(self.next_turn())));
        };
        self.check_hold(give_up_at)?;
        if let Some(requests) = &self.requests {
            requests.take(1, give_up_at, call).await?;
        }
        if let Some(tokens) = &self.tokens {
            tokens.take(call.tokens, give_up_at, call).await?;
        }
        loop {
            self.check_hold(give_up_at)?;
            match self.held_for() {
                Duration::ZERO => return Ok(()),
                wait => call.sleep_until(later(Instant::now(), wait)).await?,
            }
        }
    }

    fn check_hold(&self, give_up_at: Instant) -> Result<(), Held> {
        let wait = self.held_for();
        if later(Instant::now(), wait) > give_up_at {
            return Err(Held::TooLong(wait));
        }
        Ok(())
    }

    /// The least that one more caller has to wait when there is a line.
    fn next_turn(&self) -> Duration {
        self.requests
            .as_ref()
            .map_or(Duration::ZERO, |requests| requests.time_for(1))
    }

    fn lock(&self) -> MutexGuard<'_, Moments> {
        self.moments.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Forgettable for Throttle {
    /// Buckets that nobody has drawn from for a minute are full again.
    fn is_at_rest(&self) -> bool {
        let moments = self.lock();
        let now = Instant::now();
        moments.held_until <= now && now.saturating_duration_since(moments.asked_at) >= MINUTE
    }
}
