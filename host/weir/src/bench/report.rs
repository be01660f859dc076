//! The result of a load, for people and for programs.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::time::Duration;

use serde::Serialize;
use weir_pool::PoolStats;

use super::chart::{self, Span};
use super::{Load, Run};
use crate::table;

/// What a load came to.
#[derive(Debug, Serialize)]
pub struct Report {
    /// What was asked: a URL without its query, or a provider and its operation.
    pub target: String,
    /// Requests at once.
    pub in_flight: usize,
    /// How long it took.
    pub seconds: f64,
    /// Whether it was interrupted.
    pub interrupted: bool,
    /// Requests by how they ended.
    pub requests: Requests,
    /// Failures by kind.
    pub failures: BTreeMap<String, Failures>,
    /// Requests answered in a second.
    pub answers_per_second: f64,
    /// Processor time of this process for each request that ended; none if none did.
    pub cpu_us_per_request: Option<f64>,
    /// How long answers took; none if there was none.
    pub latency_us: Option<Latency>,
    /// Answers by how long they took.
    pub histogram: Vec<Span>,
    /// What the pools did.
    pub pools: BTreeMap<String, Connections>,
}

/// Requests by how they ended.
#[derive(Debug, Serialize)]
pub struct Requests {
    /// Answered.
    pub answered: u64,
    /// Failed.
    pub failed: u64,
    /// Under way at the end, and cut off.
    pub cut_off: u64,
}

/// Failures of one kind.
#[derive(Debug, Serialize)]
pub struct Failures {
    /// How many there were.
    pub count: u64,
    /// What the first one said.
    pub first: String,
}

/// How long answers took, in microseconds, with three digits.
#[derive(Debug, Serialize)]
pub struct Latency {
    /// The shortest.
    pub min: f64,
    /// The average.
    pub mean: f64,
    /// Half of them took no longer.
    pub p50: f64,
    /// 9 in 10 took no longer.
    pub p90: f64,
    /// 99 in 100 took no longer.
    pub p99: f64,
    /// 999 in 1,000 took no longer.
    pub p99_9: f64,
    /// The longest.
    pub max: f64,
}

/// What a pool did.
#[derive(Debug, Serialize)]
pub struct Connections {
    /// The cap.
    pub max_connections: usize,
    /// HTTP requests sent; an operation may take several.
    pub requests: u64,
    /// Connections opened.
    pub opened: u64,
    /// Dials that came to nothing.
    pub dials_failed: u64,
    /// Requests sent over a connection that was there.
    pub reused: u64,
    /// Connections closed before the report, by reason.
    pub closed: BTreeMap<&'static str, u64>,
    /// Requests that waited for a connection for longer than a millisecond.
    pub waits: u64,
    /// Requests sent once more, on a fresh connection.
    pub replays: u64,
    /// Most requests under way at once.
    pub peak_in_flight: usize,
    /// Bytes written to sockets.
    pub bytes_sent: u64,
    /// Bytes read from sockets.
    pub bytes_received: u64,
}

impl From<&PoolStats> for Connections {
    fn from(stats: &PoolStats) -> Self {
        let used = crate::pool_use::PoolUse::from(stats);
        Self {
            max_connections: stats.max_connections,
            requests: used.requests,
            opened: used.opened,
            dials_failed: stats.dials_failed,
            reused: used.reused,
            closed: stats.connections_closed.clone(),
            waits: used.waits,
            replays: stats.replays,
            peak_in_flight: used.peak_in_flight,
            bytes_sent: stats.bytes_sent,
            bytes_received: stats.bytes_received,
        }
    }
}

impl Report {
    /// Puts together what is known of a load. Pools without a request are left out.
    pub fn new(target: String, load: &Load, run: &Run, pools: &[(String, PoolStats)]) -> Self {
        let (tally, seconds) = (&run.tally, run.took.as_secs_f64());
        let us = |time: Duration| time.as_secs_f64() * 1e6;
        let within = |part| us(tally.within(part));
        let latency = Latency {
            min: within(0.0),
            mean: tally.latencies.mean() / 1e3,
            p50: within(0.5),
            p90: within(0.9),
            p99: within(0.99),
            p99_9: within(0.999),
            max: within(1.0),
        };
        let failures = tally.failures.iter().map(|(kind, failures)| {
            let (count, first) = (failures.count, failures.first.clone());
            (kind.clone(), Failures { count, first })
        });
        Self {
            target,
            in_flight: load.in_flight.get(),
            seconds,
            interrupted: run.interrupted,
            requests: Requests {
                answered: tally.answered(),
                failed: tally.failed(),
                cut_off: run.cut_off,
            },
            failures: failures.collect(),
            answers_per_second: tally.answered() as f64 / seconds.max(f64::MIN_POSITIVE),
            cpu_us_per_request: (tally.ended() > 0).then(|| us(run.cpu) / tally.ended() as f64),
            latency_us: (tally.answered() > 0).then_some(latency),
            histogram: chart::spans(&tally.latencies),
            pools: pools
                .iter()
                .filter(|(_, stats)| stats.total_requests > 0)
                .map(|(name, stats)| (name.clone(), Connections::from(stats)))
                .collect(),
        }
    }

    /// Whether there was any answer.
    pub fn has_answers(&self) -> bool {
        self.requests.answered > 0
    }

    /// For people.
    pub fn text(&self) -> String {
        let mut text = self.headline();
        if let Some(latency) = &self.latency_us {
            let told = [
                ("p50", latency.p50),
                ("p90", latency.p90),
                ("p99", latency.p99),
                ("p99.9", latency.p99_9),
                ("max", latency.max),
            ]
            .map(|(name, us)| format!("{name} {}", chart::time(Duration::from_secs_f64(us / 1e6))));
            add(&mut text, &format!("latency: {}", told.join(", ")));
            add(&mut text, &chart::draw(&self.histogram));
        }
        if !self.failures.is_empty() {
            let rows = self
                .failures
                .iter()
                .map(|(kind, failures)| vec![kind.clone(), failures.count.to_string(), failures.first.clone()]);
            add(&mut text, &table::render(&["failure", "count", "the first"], rows));
        }
        if !self.pools.is_empty() {
            add(&mut text, &self.pool_table());
        }
        text
    }

    fn headline(&self) -> String {
        let Requests {
            answered,
            failed,
            cut_off,
        } = self.requests;
        let mut line = format!(
            "{}: {answered} answers in {}, {} in flight, {:.0}/s",
            self.target,
            chart::time(Duration::from_secs_f64(self.seconds)),
            self.in_flight,
            self.answers_per_second,
        );
        for (number, what) in [(failed, "failed"), (cut_off, "cut off")] {
            if number > 0 {
                let _ = write!(line, ", {number} {what}");
            }
        }
        if let Some(cpu) = self.cpu_us_per_request {
            let _ = write!(line, ", {cpu:.1} µs of processor time a request");
        }
        if self.interrupted {
            line.push_str(", interrupted");
        }
        line
    }

    fn pool_table(&self) -> String {
        let headings = [
            "pool", "requests", "opened", "reused", "waits", "replays", "sent", "received", "closed",
        ];
        let rows = self.pools.iter().map(|(name, pool)| {
            let closed: Vec<_> = pool
                .closed
                .iter()
                .map(|(reason, count)| format!("{count} {reason}"))
                .collect();
            let size = |bytes| indicatif::BinaryBytes(bytes).to_string();
            vec![
                name.clone(),
                pool.requests.to_string(),
                pool.opened.to_string(),
                pool.reused.to_string(),
                pool.waits.to_string(),
                pool.replays.to_string(),
                size(pool.bytes_sent),
                size(pool.bytes_received),
                closed.join(", "),
            ]
        });
        table::render(&headings, rows)
    }
}

/// One more part, with a line between it and the one before.
fn add(text: &mut String, part: &str) {
    text.push_str("\n\n");
    text.push_str(part);
}

#[cfg(test)]
mod tests {
    use std::num::NonZeroUsize;

    use super::*;
    use crate::bench::tally::{Outcome, Tally};

    const LOAD: Load = Load {
        in_flight: NonZeroUsize::new(4).unwrap(),
        requests: Some(3),
        duration: None,
    };

    fn report(tally: Tally) -> Report {
        let run = Run {
            tally,
            cut_off: 1,
            took: Duration::from_millis(500),
            cpu: Duration::from_micros(90),
            interrupted: false,
        };
        let stats = PoolStats {
            total_requests: 3,
            connections_opened: 2,
            connections_closed: BTreeMap::from([("expired", 1)]),
            bytes_sent: 2_048,
            ..PoolStats::default()
        };
        let idle = ("idle".to_owned(), PoolStats::default());
        Report::new("x".to_owned(), &LOAD, &run, &[("bench".to_owned(), stats), idle])
    }

    #[test]
    fn a_report_tells_answers_failures_and_connections() {
        let mut tally = Tally::default();
        tally.add(Outcome::Answered, Duration::from_millis(2));
        tally.add(Outcome::Answered, Duration::from_millis(2));
        let (kind, message) = ("tls".to_owned(), "no".to_owned());
        tally.add(Outcome::Failed { kind, message }, Duration::ZERO);
        let text = report(tally).text();
        assert_eq!(
            text,
            format!(
                "x: 2 answers in 500 ms, 4 in flight, 4/s, 1 failed, 1 cut off, 30.0 µs of processor time a request\n\n\
                 latency: p50 2.00 ms, p90 2.00 ms, p99 2.00 ms, p99.9 2.00 ms, max 2.00 ms\n\n\
                 \x20 2.00 ms |{} 2\n\n\
                 FAILURE  COUNT  THE FIRST\n\
                 tls      1      no\n\n\
                 POOL   REQUESTS  OPENED  REUSED  WAITS  REPLAYS  SENT      RECEIVED  CLOSED\n\
                 bench  3         2       0       0      0        2.00 KiB  0 B       1 expired",
                "#".repeat(50)
            )
        );
    }

    #[test]
    fn without_an_answer_there_are_no_latencies() {
        let report = report(Tally::default());
        assert!(!report.has_answers() && report.latency_us.is_none() && report.cpu_us_per_request.is_none());
        assert_eq!(
            report.text().lines().next(),
            Some("x: 0 answers in 500 ms, 4 in flight, 0/s, 1 cut off")
        );
    }
}
