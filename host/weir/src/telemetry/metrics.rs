//! Pools and providers as Prometheus metrics. Nothing is counted here: the counters are the pools' and the providers'
//! own, read at the moment of the scrape.

use std::collections::BTreeMap;
use std::fmt;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeLabelSet, MetricEncoder, NoLabelSet};
use prometheus_client::metrics::MetricType;
use prometheus_client::registry::Unit;
use weir_pool::{BreakerState, HistogramSnapshot, PoolStats};
use weir_runtime::ProviderStats;

use crate::host::Reloads;
use crate::server::reloads::ConfigReloads;

/// What there is to tell at one moment, by the name of the pool and of the provider.
#[derive(Debug)]
pub(crate) struct Snapshot {
    pub pools: Vec<(String, PoolStats)>,
    /// How often another pool was given than the one asked for, by the name asked for.
    pub fallbacks: BTreeMap<String, u64>,
    pub providers: Vec<(String, ProviderStats)>,
    pub reloads: Vec<(String, Reloads)>,
    pub config_reloads: ConfigReloads,
}

/// Which histogram of a pool.
type HistogramOf = fn(&PoolStats) -> &HistogramSnapshot;

/// A sample's labels and value.
type Sample<const N: usize, V> = ([(&'static str, String); N], V);

impl Collector for Snapshot {
    fn encode(&self, mut encoder: DescriptorEncoder) -> Result<(), fmt::Error> {
        self.encode_pools(&mut encoder)?;
        self.encode_providers(&mut encoder)
    }
}

impl Snapshot {
    fn encode_pools(&self, encoder: &mut DescriptorEncoder) -> Result<(), fmt::Error> {
        let pools = || self.pools.iter();
        gauges(
            encoder,
            "weir_pool_connections",
            "Connections of a pool.",
            pools().flat_map(|(name, stats)| {
                let states = [
                    ("active", stats.active),
                    ("idle", stats.idle),
                    ("connecting", stats.connecting),
                    ("closing", stats.closing),
                ];
                states.map(|(state, count)| ([("pool", name.clone()), ("state", state.to_owned())], count))
            }),
        )?;
        gauges(
            encoder,
            "weir_pool_waiters",
            "Requests that wait for a connection.",
            pools().map(|(name, stats)| ([("pool", name.clone())], stats.waiting)),
        )?;
        counters(
            encoder,
            "weir_pool_requests",
            "Requests that have ended.",
            pools().flat_map(|(name, stats)| {
                stats
                    .requests_by_operation_and_outcome
                    .iter()
                    .map(|((operation, outcome), count)| {
                        let labels = [
                            ("pool", name.clone()),
                            ("operation", operation.to_string()),
                            ("outcome", (*outcome).to_owned()),
                        ];
                        (labels, *count)
                    })
            }),
        )?;
        counters(
            encoder,
            "weir_pool_connections_opened",
            "Connections that were opened.",
            pools().map(|(name, stats)| ([("pool", name.clone())], stats.connections_opened)),
        )?;
        counters(
            encoder,
            "weir_pool_connections_closed",
            "Connections that were closed.",
            pools().flat_map(|(name, stats)| by("reason", name, &stats.connections_closed)),
        )?;
        counters(
            encoder,
            "weir_pool_exhaustions",
            "Requests that got no connection in time.",
            pools().map(|(name, stats)| ([("pool", name.clone())], stats.pool_exhaustions)),
        )?;
        counters(
            encoder,
            "weir_pool_timeouts",
            "Deadlines that ran out.",
            pools().flat_map(|(name, stats)| by("kind", name, &stats.timeouts)),
        )?;
        counters(
            encoder,
            "weir_pool_retries",
            "Requests that were sent again.",
            pools().flat_map(|(name, stats)| {
                let replays = ([("pool", name.clone()), ("reason", "replay".to_owned())], stats.replays);
                std::iter::once(replays).chain(by("reason", name, &stats.retries))
            }),
        )?;
        counters(
            encoder,
            "weir_pool_retries_denied",
            "Requests that were not sent again since too much of the traffic had been.",
            pools().map(|(name, stats)| ([("pool", name.clone())], stats.retries_denied)),
        )?;
        counters(
            encoder,
            "weir_pool_hedges",
            "Requests that were sent a second time beside the first.",
            pools().map(|(name, stats)| ([("pool", name.clone())], stats.hedges)),
        )?;
        counters(
            encoder,
            "weir_pool_rate_limit_waits",
            "Attempts that were held to their rate.",
            pools().map(|(name, stats)| ([("pool", name.clone())], stats.rate_limit_waits)),
        )?;
        counters(
            encoder,
            "weir_pool_rate_limit_refusals",
            "Attempts that would have had to wait too long for their turn.",
            pools().map(|(name, stats)| ([("pool", name.clone())], stats.rate_limit_refusals)),
        )?;
        gauges(
            encoder,
            "weir_pool_concurrency_limit",
            "Requests that may be under way at once, where that is limited.",
            pools().filter_map(|(name, stats)| Some(([("pool", name.clone())], stats.concurrency_limit?))),
        )?;
        counters(
            encoder,
            "weir_pool_fallbacks",
            "Pools that could not be had as asked, and were replaced by one without kept connections.",
            self.fallbacks
                .iter()
                .map(|(name, count)| ([("pool", name.clone())], *count)),
        )?;
        gauges(
            encoder,
            "weir_breaker_state",
            "What an origin's breaker does: 0 closed, 1 half-open, 2 open.",
            pools().flat_map(|(name, stats)| {
                stats.breakers.iter().map(|(origin, state)| {
                    let value = match state {
                        BreakerState::Closed => 0,
                        BreakerState::HalfOpen => 1,
                        BreakerState::Open => 2,
                    };
                    ([("pool", name.clone()), ("origin", origin.clone())], value)
                })
            }),
        )?;
        counters(
            encoder,
            "weir_breaker_refusals",
            "Attempts that an open breaker refused.",
            pools().map(|(name, stats)| ([("pool", name.clone())], stats.breaker_refusals)),
        )?;
        let histograms: [(&str, &str, HistogramOf); 4] = [
            ("weir_pool_wait", "Time until a connection was granted.", |stats| {
                &stats.wait
            }),
            (
                "weir_pool_connect",
                "Time that dials took which ended in a connection.",
                |stats| &stats.connect,
            ),
            (
                "weir_pool_first_byte",
                "Time from the grant of a connection to the head of the answer.",
                |stats| &stats.first_byte,
            ),
            (
                "weir_pool_request",
                "Time from the call to the end of the answer.",
                |stats| &stats.total,
            ),
        ];
        for (name, help, of) in histograms {
            seconds(
                encoder,
                name,
                help,
                pools().map(|(pool, stats)| ([("pool", pool.clone())], of(stats))),
            )?;
        }
        Ok(())
    }

    fn encode_providers(&self, encoder: &mut DescriptorEncoder) -> Result<(), fmt::Error> {
        let providers = || self.providers.iter();
        gauges(
            encoder,
            "weir_guest_instances",
            "Instances of a provider's component.",
            providers().flat_map(|(name, stats)| {
                let states = [("idle", stats.instances.idle), ("leased", stats.instances.leased)];
                states.map(|(state, count)| ([("provider", name.clone()), ("state", state.to_owned())], count))
            }),
        )?;
        gauges(
            encoder,
            "weir_guest_waiters",
            "Calls that wait for an instance.",
            providers().map(|(name, stats)| ([("provider", name.clone())], stats.instances.waiting)),
        )?;
        counters(
            encoder,
            "weir_guest_calls",
            "Calls that have ended.",
            providers().flat_map(|(name, stats)| {
                stats.calls.iter().map(|(operation, outcome, count)| {
                    let labels = [
                        ("provider", name.clone()),
                        ("operation", (*operation).to_owned()),
                        ("outcome", (*outcome).to_owned()),
                    ];
                    (labels, *count)
                })
            }),
        )?;
        counters(
            encoder,
            "weir_guest_traps",
            "Instances lost to a trap or a limit.",
            providers().flat_map(|(name, stats)| {
                stats
                    .traps
                    .iter()
                    .map(|(kind, count)| ([("provider", name.clone()), ("kind", (*kind).to_owned())], *count))
            }),
        )?;
        counters(
            encoder,
            "weir_guest_retries",
            "Calls run again, since their instance was lost before it did anything.",
            providers().map(|(name, stats)| ([("provider", name.clone())], stats.retries)),
        )?;
        counters(
            encoder,
            "weir_provider_reloads",
            "Components that were to replace the one that serves.",
            self.reloads.iter().flat_map(|(name, reloads)| {
                let outcomes = [("swapped", reloads.swapped), ("refused", reloads.refused)];
                outcomes.map(|(outcome, count)| ([("provider", name.clone()), ("outcome", outcome.to_owned())], count))
            }),
        )?;
        let ConfigReloads { applied, refused } = self.config_reloads;
        counters(
            encoder,
            "weir_config_reloads",
            "Configurations that were to replace the one in force.",
            [("applied", applied), ("refused", refused)]
                .into_iter()
                .map(|(outcome, count)| ([("outcome", outcome.to_owned())], count)),
        )?;
        counters(
            encoder,
            "weir_egress_denied",
            "Requests that were denied their origin or address.",
            providers().map(|(name, stats)| ([("provider", name.clone())], stats.egress_denied)),
        )?;
        seconds(
            encoder,
            "weir_guest_call",
            "Time that calls took.",
            providers().map(|(name, stats)| ([("provider", name.clone())], &stats.call_seconds)),
        )
    }
}

fn by(label: &'static str, pool: &str, counts: &BTreeMap<&'static str, u64>) -> Vec<Sample<2, u64>> {
    counts
        .iter()
        .map(|(key, count)| ([("pool", pool.to_owned()), (label, (*key).to_owned())], *count))
        .collect()
}

fn gauges<const N: usize>(
    encoder: &mut DescriptorEncoder,
    name: &str,
    help: &str,
    samples: impl Iterator<Item = Sample<N, usize>>,
) -> Result<(), fmt::Error> {
    let value =
        |encoder: &mut MetricEncoder, value: usize| encoder.encode_gauge(&i64::try_from(value).unwrap_or(i64::MAX));
    family(encoder, name, help, None, MetricType::Gauge, samples, value)
}

/// The format adds `_total` to the name.
fn counters<const N: usize>(
    encoder: &mut DescriptorEncoder,
    name: &str,
    help: &str,
    samples: impl Iterator<Item = Sample<N, u64>>,
) -> Result<(), fmt::Error> {
    let value = |encoder: &mut MetricEncoder, value: u64| encoder.encode_counter::<NoLabelSet, _, u64>(&value, None);
    family(encoder, name, help, None, MetricType::Counter, samples, value)
}

/// The format adds `_seconds` to the name.
fn seconds<'a, const N: usize>(
    encoder: &mut DescriptorEncoder,
    name: &str,
    help: &str,
    samples: impl Iterator<Item = Sample<N, &'a HistogramSnapshot>>,
) -> Result<(), fmt::Error> {
    let value = |encoder: &mut MetricEncoder, histogram: &HistogramSnapshot| {
        let bounds = histogram.bounds_seconds.iter().copied().chain([f64::INFINITY]);
        let buckets: Vec<(f64, u64)> = bounds.zip(histogram.counts.iter().copied()).collect();
        encoder.encode_histogram::<NoLabelSet>(histogram.sum_seconds, histogram.count, &buckets, None)
    };
    family(
        encoder,
        name,
        help,
        Some(&Unit::Seconds),
        MetricType::Histogram,
        samples,
        value,
    )
}

/// One family. A family without samples is left out.
fn family<const N: usize, V>(
    encoder: &mut DescriptorEncoder,
    name: &str,
    help: &str,
    unit: Option<&Unit>,
    kind: MetricType,
    samples: impl Iterator<Item = Sample<N, V>>,
    value: impl Fn(&mut MetricEncoder, V) -> Result<(), fmt::Error>,
) -> Result<(), fmt::Error>
where
    [(&'static str, String); N]: EncodeLabelSet,
{
    let mut samples = samples.peekable();
    if samples.peek().is_none() {
        return Ok(());
    }
    let mut metric = encoder.encode_descriptor(name, help, unit, kind)?;
    for (labels, sample) in samples {
        value(&mut metric.encode_family(&labels)?, sample)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::server::fake::pool_stats;
    use crate::telemetry::exposition::Exposition;

    fn text(stats: PoolStats) -> String {
        let snapshot = Snapshot {
            pools: vec![("voyage".to_owned(), stats)],
            fallbacks: BTreeMap::from([("voyage".to_owned(), 1)]),
            providers: Vec::new(),
            reloads: vec![("acme".to_owned(), Reloads { swapped: 2, refused: 1 })],
            config_reloads: ConfigReloads { applied: 3, refused: 4 },
        };
        Exposition::OpenMetrics.write(snapshot).unwrap()
    }

    #[test]
    fn reloads_are_told_by_their_outcome() {
        let text = text(pool_stats());
        for line in [
            "weir_provider_reloads_total{provider=\"acme\",outcome=\"swapped\"} 2\n",
            "weir_provider_reloads_total{provider=\"acme\",outcome=\"refused\"} 1\n",
            "weir_config_reloads_total{outcome=\"applied\"} 3\n",
            "weir_config_reloads_total{outcome=\"refused\"} 4\n",
        ] {
            assert!(text.contains(line), "{line}{text}");
        }
    }

    #[test]
    fn a_pool_is_told_under_the_names_of_the_contract() {
        let mut stats = pool_stats();
        (stats.active, stats.waiting, stats.connections_opened, stats.replays) = (2, 3, 7, 1);
        stats.connections_closed.insert("expired", 4);
        stats.timeouts.insert("read", 5);
        stats.retries.insert("429", 2);
        (stats.hedges, stats.rate_limit_waits, stats.concurrency_limit) = (8, 9, Some(25));
        let breakers = [
            ("https://a", BreakerState::Closed),
            ("https://b", BreakerState::HalfOpen),
            ("https://c", BreakerState::Open),
        ];
        stats
            .breakers
            .extend(breakers.map(|(origin, state)| (origin.to_owned(), state)));
        stats
            .requests_by_operation_and_outcome
            .insert(("embed".into(), "2xx"), 6);
        let text = text(stats);
        for line in [
            "weir_pool_connections{pool=\"voyage\",state=\"active\"} 2",
            "weir_pool_waiters{pool=\"voyage\"} 3",
            "weir_pool_requests_total{pool=\"voyage\",operation=\"embed\",outcome=\"2xx\"} 6",
            "weir_pool_connections_opened_total{pool=\"voyage\"} 7",
            "weir_pool_connections_closed_total{pool=\"voyage\",reason=\"expired\"} 4",
            "weir_pool_exhaustions_total{pool=\"voyage\"} 0",
            "weir_pool_timeouts_total{pool=\"voyage\",kind=\"read\"} 5",
            "weir_pool_retries_total{pool=\"voyage\",reason=\"replay\"} 1",
            "weir_pool_retries_total{pool=\"voyage\",reason=\"429\"} 2",
            "weir_pool_hedges_total{pool=\"voyage\"} 8",
            "weir_pool_rate_limit_waits_total{pool=\"voyage\"} 9",
            "weir_pool_concurrency_limit{pool=\"voyage\"} 25",
            "weir_pool_fallbacks_total{pool=\"voyage\"} 1",
            "weir_breaker_state{pool=\"voyage\",origin=\"https://a\"} 0",
            "weir_breaker_state{pool=\"voyage\",origin=\"https://b\"} 1",
            "weir_breaker_state{pool=\"voyage\",origin=\"https://c\"} 2",
            "weir_pool_wait_seconds_count{pool=\"voyage\"} 0",
            "weir_pool_connect_seconds_sum{pool=\"voyage\"} 0.0",
            "weir_pool_first_byte_seconds_bucket{le=\"+Inf\",pool=\"voyage\"} 0",
            "weir_pool_request_seconds_count{pool=\"voyage\"} 0",
        ] {
            assert!(text.lines().any(|found| found == line), "{line}\nis not in\n{text}");
        }
        assert!(text.ends_with("# EOF\n"));
    }

    #[test]
    fn the_buckets_of_a_histogram_add_up() {
        let mut stats = pool_stats();
        stats.wait.counts[0] = 2;
        stats.wait.counts[2] = 1;
        *stats.wait.counts.last_mut().unwrap() = 1;
        (stats.wait.count, stats.wait.sum_seconds) = (4, 200.5);
        let text = text(stats);
        let buckets: Vec<u64> = text
            .lines()
            .filter(|line| line.starts_with("weir_pool_wait_seconds_bucket"))
            .map(|line| line.rsplit_once(' ').unwrap().1.parse().unwrap())
            .collect();
        assert_eq!(buckets[..3], [2, 2, 3]);
        assert_eq!((buckets[buckets.len() - 2], buckets[buckets.len() - 1]), (3, 4));
        assert!(text.contains("weir_pool_wait_seconds_sum{pool=\"voyage\"} 200.5\n"));
    }

    #[test]
    fn every_family_has_help_and_a_name_in_base_units() {
        let text = text(pool_stats());
        let families: Vec<&str> = text.lines().filter_map(|line| line.strip_prefix("# TYPE ")).collect();
        assert!(!families.is_empty());
        for family in families {
            let (name, kind) = family.split_once(' ').unwrap();
            assert!(text.contains(&format!("# HELP {name} ")), "{name}");
            assert!(
                name.starts_with("weir_") && name.chars().all(|c| c.is_ascii_lowercase() || c == '_'),
                "{name}"
            );
            assert_eq!(kind == "histogram", name.ends_with("_seconds"), "{name}");
            assert!(!name.ends_with("_total"), "{name}: the format adds it");
        }
    }
}
