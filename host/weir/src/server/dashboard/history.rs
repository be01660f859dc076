//! A reading a second of what each pool and each provider has counted, for five minutes; and what follows from two of
//! them: rates, and how long requests took.

use std::borrow::Cow;
use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde::Serialize;
use tokio::time::{Instant, MissedTickBehavior, interval};
use weir_pool::{HistogramSnapshot, PoolStats};
use weir_runtime::ProviderStats;

use crate::server::app::App;
use crate::server::backend::Backend;

/// What a person can follow; and each reading costs a few microseconds a pool.
pub(super) const EVERY: Duration = Duration::from_secs(1);

/// Readings that are kept: five minutes.
const KEPT: usize = 300;

/// Readings between the two that times are told of: a minute, long enough for a p99 of a small load.
const LATENCY_OVER: usize = 60;

/// Readings between the two that a rate is told of: short enough to follow a load, long enough not to flicker.
const RATE_OVER: usize = 5;

/// The last five minutes.
#[derive(Default)]
pub(crate) struct History(Mutex<VecDeque<Moment>>);

/// Everything that was counted up to one moment.
struct Moment {
    at: Instant,
    /// Seconds since 1970.
    time: f64,
    pools: BTreeMap<String, Reading>,
    providers: BTreeMap<String, Reading>,
}

/// One pool or provider at one moment. The first three come and go; the rest only grows.
#[derive(Debug, Clone, Default)]
struct Reading {
    active: usize,
    idle: usize,
    waiting: usize,
    requests: u64,
    failed: u64,
    latency: HistogramSnapshot,
}

/// What went through a pool or a provider of late.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize)]
pub(crate) struct Traffic {
    /// Requests a second.
    pub rate: f64,
    /// Requests that failed in the time that is remembered.
    pub failed: u64,
    #[serde(flatten)]
    pub latency: Latency,
}

/// How long requests of the last minute took, in seconds; none if there was none. They are counted in buckets: the
/// figure is as near as the buckets are narrow.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize)]
pub(crate) struct Latency {
    pub p50: Option<f64>,
    pub p99: Option<f64>,
}

/// What a plot shows of one second: the time, active, idle, waiting, requests a second, p50, p99.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub(crate) struct Point(f64, usize, usize, usize, f64, Option<f64>, Option<f64>);

/// Points by the name of the pool; under the empty name, of all pools together.
pub(crate) type Points = BTreeMap<String, Vec<Point>>;

impl History {
    /// Takes a reading every second, and tells whoever watches.
    pub async fn keep(app: Arc<App>) {
        let mut ticks = interval(EVERY);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Skip);
        loop {
            ticks.tick().await;
            app.history.read(app.backend().as_ref());
            app.watchers.tell(&app);
        }
    }

    /// Takes a reading.
    pub fn read(&self, backend: &dyn Backend) {
        let pools = backend.pools().into_iter();
        let providers = backend.provider_stats().into_iter();
        let moment = Moment {
            at: Instant::now(),
            time: since_1970(),
            pools: pools.map(|pool| (pool.name, Reading::of_pool(pool.stats))).collect(),
            providers: providers
                .map(|(name, stats)| (name, Reading::of_provider(stats)))
                .collect(),
        };
        let mut moments = self.moments();
        if moments.len() > KEPT {
            moments.pop_front();
        }
        moments.push_back(moment);
    }

    /// What went through a pool.
    pub fn of_pool(&self, name: &str) -> Traffic {
        self.traffic(|moment| moment.pools.get(name).map(Cow::Borrowed))
    }

    /// What went through all pools together.
    pub fn of_all_pools(&self) -> Traffic {
        self.traffic(|moment| Some(Cow::Owned(sum(moment.pools.values()))))
    }

    /// What went through a provider.
    pub fn of_provider(&self, name: &str) -> Traffic {
        self.traffic(|moment| moment.providers.get(name).map(Cow::Borrowed))
    }

    /// Every second that is remembered.
    pub fn points(&self) -> Points {
        let moments = self.moments();
        let mut points = Points::new();
        for (before, now) in moments.iter().zip(moments.iter().skip(1)) {
            add_points(&mut points, before, now);
        }
        points
    }

    /// The last second.
    pub fn last_points(&self) -> Points {
        let moments = self.moments();
        let mut points = Points::new();
        let mut last = moments.iter().rev();
        if let (Some(now), Some(before)) = (last.next(), last.next()) {
            add_points(&mut points, before, now);
        }
        points
    }

    fn traffic(&self, of: impl Fn(&Moment) -> Option<Cow<'_, Reading>>) -> Traffic {
        let moments = self.moments();
        let Some((last, now)) = moments.back().and_then(|last| Some((last, of(last)?))) else {
            return Traffic::default();
        };
        // Of one that is younger than the span, what was counted since its first reading.
        let before = |over: usize| {
            let known = moments.iter().skip(moments.len().saturating_sub(over + 1));
            known.filter_map(|moment| Some((moment.at, of(moment)?))).next()
        };
        let Some(((rate_from, first), (_, minute_ago))) = before(RATE_OVER).zip(before(LATENCY_OVER)) else {
            return Traffic::default();
        };
        let failed_before = before(KEPT).map_or(0, |(_, reading)| reading.failed);
        Traffic {
            rate: now.rate(&first, last.at - rate_from),
            failed: now.failed.saturating_sub(failed_before),
            latency: now.latency_since(&minute_ago),
        }
    }

    fn moments(&self) -> MutexGuard<'_, VecDeque<Moment>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Reading {
    fn of_pool(stats: PoolStats) -> Self {
        let answered = |outcome: &str| outcome.starts_with(['1', '2', '3']) || outcome == "cancelled";
        let ended = stats.requests_by_operation_and_outcome.iter();
        Self {
            active: stats.active,
            idle: stats.idle,
            waiting: stats.waiting,
            requests: stats.total_requests,
            failed: ended
                .filter(|((_, outcome), _)| !answered(outcome))
                .map(|(_, count)| count)
                .sum(),
            latency: stats.total,
        }
    }

    fn of_provider(stats: ProviderStats) -> Self {
        let ended = || stats.calls.iter();
        Self {
            active: stats.instances.leased,
            idle: stats.instances.idle,
            waiting: stats.instances.waiting,
            requests: ended().map(|(_, _, count)| count).sum(),
            failed: ended()
                .filter(|(_, outcome, _)| !matches!(*outcome, "ok" | "cancelled"))
                .map(|(_, _, count)| count)
                .sum(),
            latency: stats.call_seconds,
        }
    }

    fn rate(&self, before: &Self, elapsed: Duration) -> f64 {
        if elapsed.is_zero() {
            return 0.0;
        }
        thousandths(self.requests.saturating_sub(before.requests) as f64 / elapsed.as_secs_f64())
    }

    fn latency_since(&self, before: &Self) -> Latency {
        let earlier = before.latency.counts.iter().copied().chain(std::iter::repeat(0));
        let counts: Vec<u64> = self
            .latency
            .counts
            .iter()
            .zip(earlier)
            .map(|(now, before)| now.saturating_sub(before))
            .collect();
        Latency {
            p50: quantile(self.latency.bounds_seconds, &counts, 0.5),
            p99: quantile(self.latency.bounds_seconds, &counts, 0.99),
        }
    }

    fn point(&self, before: &Self, time: f64, elapsed: Duration) -> Point {
        let Latency { p50, p99 } = self.latency_since(before);
        let rate = self.rate(before, elapsed);
        Point(time, self.active, self.idle, self.waiting, rate, p50, p99)
    }

    fn add(&mut self, other: &Self) {
        self.active += other.active;
        self.idle += other.idle;
        self.waiting += other.waiting;
        self.requests += other.requests;
        self.failed += other.failed;
        if self.latency.counts.is_empty() {
            self.latency = other.latency.clone();
        } else {
            for (sum, count) in self.latency.counts.iter_mut().zip(&other.latency.counts) {
                *sum += count;
            }
        }
    }
}

fn add_points(points: &mut Points, before: &Moment, now: &Moment) {
    let elapsed = now.at - before.at;
    let none = Reading::default();
    for (name, reading) in &now.pools {
        // What one that is new has counted was counted since.
        let earlier = before.pools.get(name).unwrap_or(&none);
        let point = reading.point(earlier, now.time, elapsed);
        points.entry(name.clone()).or_default().push(point);
    }
    // One that is gone takes what it counted with it, from both.
    let still_there = before.pools.iter().filter(|(name, _)| now.pools.contains_key(*name));
    let all_before = sum(still_there.map(|(_, reading)| reading));
    let all = sum(now.pools.values()).point(&all_before, now.time, elapsed);
    points.entry(String::new()).or_default().push(all);
}

fn sum<'a>(readings: impl Iterator<Item = &'a Reading>) -> Reading {
    readings.fold(Reading::default(), |mut sum, reading| {
        sum.add(reading);
        sum
    })
}

/// The value below which the share `q` of the observations lies, taken to be spread evenly within each bucket. What lies
/// above the last bound is told as that bound.
fn quantile(bounds: &[f64], counts: &[u64], q: f64) -> Option<f64> {
    let total: u64 = counts.iter().sum();
    if total == 0 {
        return None;
    }
    let rank = q * total as f64;
    let (mut below, mut lower) = (0.0, 0.0);
    for (count, upper) in counts.iter().zip(bounds) {
        let count = *count as f64;
        if count > 0.0 && below + count >= rank {
            return Some(lower + (upper - lower) * ((rank - below) / count));
        }
        below += count;
        lower = *upper;
    }
    bounds.last().copied()
}

/// Seconds since 1970, to the millisecond.
pub(super) fn since_1970() -> f64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    thousandths(since.as_secs_f64())
}

fn thousandths(value: f64) -> f64 {
    (value * 1_000.0).round() / 1_000.0
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::server::fake::{FakeBackend, pool_stats};

    /// A pool that has sent so many requests, one in ten of them in vain, each of them answered within 10 to 25 ms.
    fn after(requests: u64) -> FakeBackend {
        let mut stats = pool_stats();
        (stats.total_requests, stats.active, stats.idle) = (requests, 2, 3);
        stats.total.counts[4] = requests;
        let outcomes = [("2xx", requests * 8 / 10), ("5xx", requests / 10), ("cancelled", 1)];
        stats
            .requests_by_operation_and_outcome
            .extend(outcomes.map(|(outcome, count)| (("embed".into(), outcome), count)));
        FakeBackend::default().pool("voyage", stats)
    }

    async fn read(history: &History, backend: &FakeBackend) {
        history.read(backend);
        tokio::time::advance(EVERY).await;
    }

    #[tokio::test(start_paused = true)]
    async fn rates_and_times_are_those_of_the_last_readings_not_of_all_time() {
        let history = History::default();
        for requests in [1_000, 1_020, 1_040, 1_060] {
            read(&history, &after(requests)).await;
        }
        let traffic = history.of_pool("voyage");
        assert_eq!((traffic.rate, traffic.failed), (20.0, 6));
        let p50 = traffic.latency.p50.unwrap();
        assert!((0.017..0.018).contains(&p50), "{p50}");
        assert!(traffic.latency.p99.unwrap() < 0.025);
        for _ in 0..LATENCY_OVER {
            read(&history, &after(1_060)).await;
        }
        let quiet = history.of_pool("voyage");
        assert_eq!((quiet.rate, quiet.latency), (0.0, Latency::default()));
        assert_eq!(quiet.failed, 6, "errors are remembered for longer");
    }

    #[tokio::test(start_paused = true)]
    async fn a_point_is_a_second_of_one_pool_or_of_all() {
        let history = History::default();
        let two = |requests| {
            let both = after(requests);
            let other = after(2 * requests).pools().remove(0).stats;
            both.pool("qdrant", other)
        };
        read(&history, &two(10)).await;
        assert_eq!(history.points(), Points::new());
        read(&history, &two(20)).await;
        read(&history, &two(30)).await;
        let points = history.points();
        assert_eq!(points.keys().collect::<Vec<_>>(), ["", "qdrant", "voyage"]);
        let shown = |name: &str| points[name].iter().map(|p| (p.1, p.2, p.4)).collect::<Vec<_>>();
        assert_eq!(shown("voyage"), [(2, 3, 10.0); 2]);
        assert_eq!(shown(""), [(4, 6, 30.0); 2]);
        assert_eq!(history.last_points()[""], points[""][1..]);
    }

    #[tokio::test(start_paused = true)]
    async fn five_minutes_are_kept_and_no_more() {
        let history = History::default();
        for requests in 0..400 {
            read(&history, &after(requests)).await;
        }
        assert_eq!(history.points()["voyage"].len(), KEPT);
    }

    #[test]
    fn a_quantile_lies_in_its_bucket() {
        let bounds = [0.1, 0.2, 0.4];
        assert_eq!(quantile(&bounds, &[0, 0, 0, 0], 0.5), None);
        assert_eq!(quantile(&bounds, &[0, 4, 0, 0], 0.5), Some(0.1 + 0.1 * 0.5));
        assert_eq!(quantile(&bounds, &[50, 49, 1, 0], 0.99), Some(0.2));
        assert_eq!(quantile(&bounds, &[0, 0, 0, 3], 0.5), Some(0.4));
    }
}
