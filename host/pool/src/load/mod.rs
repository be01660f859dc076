//! Load control: what stands between a caller and the connections when a server is slow, broken or sparing.
//!
//! Each part is a [`tower::Layer`] over requests as this crate has them ([`call::Call`]); each can be left out, and
//! without any of them a request goes straight to its connection. From the outside in:
//!
//! | layer | its subject |
//! |---|---|
//! | [`retry`] | sends again what may be sent again |
//! | [`hedge`] | sends a second time what is answered late |
//! | [`breaker`] | asks nothing of an origin that does not work |
//! | [`rate`] | keeps to what an origin allows a minute |
//! | [`concurrency`] | keeps to what a server can do at once |
//!
//! A breaker refuses before anybody waits; the limit of concurrency is the last, so that no place is held by those who
//! wait for something else.

pub(crate) mod breaker;
pub(crate) mod budget;
pub(crate) mod call;
pub(crate) mod concurrency;
pub(crate) mod headers;
pub(crate) mod health;
pub(crate) mod hedge;
mod jitter;
mod numbers;
mod origins;
pub(crate) mod probe;
pub(crate) mod rate;
pub(crate) mod retry;
#[cfg(test)]
mod script;

use std::sync::{Arc, Once};

use http::Response;
use tokio_util::sync::CancellationToken;
use tower::util::{BoxCloneSyncService, option_layer};
use tower::{Layer, Service, ServiceExt};

use self::breaker::{BreakerConfig, BreakerLayer, BreakerState, Breakers};
use self::budget::{Budget, BudgetConfig};
use self::call::Call;
use self::concurrency::{AdaptiveConcurrency, ConcurrencyLayer, Limiter};
use self::health::HealthReason;
use self::hedge::{HedgeConfig, HedgeLayer};
use self::jitter::Jitter;
use self::numbers::Numbers;
use self::probe::{Findings, ProbeConfig};
use self::rate::{RateConfig, RateLayer, Throttles};
use self::retry::{RetryConfig, RetryLayer};
use crate::body::ResponseBody;
use crate::config::PoolConfig;
use crate::error::SendError;
use crate::options::Deadlines;
use crate::outgoing::Outgoing;
use crate::stats::PoolStats;

/// Which parts of load control a pool has. The default has none.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LoadConfig {
    /// Sends requests again.
    pub retry: Option<RetryConfig>,
    /// Sends slow requests a second time.
    pub hedge: Option<HedgeConfig>,
    /// Stops asking an origin that does not work.
    pub breaker: Option<BreakerConfig>,
    /// Keeps to what an origin allows a minute, and to what its answers say.
    pub rate: Option<RateConfig>,
    /// Lets the limit of requests under way follow the server.
    pub adaptive_concurrency: Option<AdaptiveConcurrency>,
    /// Asks from time to time whether the server is well.
    pub probe: Option<ProbeConfig>,
}

impl LoadConfig {
    /// What serves most callers of a provider over the internet: retries, a breaker, the server's own word on its
    /// quotas, and a limit of concurrency that adapts, each as its default has it. No hedging and no probe, which need
    /// numbers of the operator's.
    pub fn recommended() -> Self {
        Self {
            retry: Some(RetryConfig::default()),
            hedge: None,
            breaker: Some(BreakerConfig::default()),
            rate: Some(RateConfig::default()),
            adaptive_concurrency: Some(AdaptiveConcurrency::default()),
            probe: None,
        }
    }
}

type Stack = BoxCloneSyncService<Call, Response<ResponseBody>, SendError>;

/// The load control of one pool.
#[derive(Debug)]
pub(crate) struct Load {
    stack: Stack,
    pool: Arc<str>,
    config: LoadConfig,
    budget: Option<Arc<Budget>>,
    breakers: Option<Arc<Breakers>>,
    throttles: Option<Arc<Throttles>>,
    limiter: Option<Arc<Limiter>>,
    probe: Option<(ProbeConfig, Arc<Findings>)>,
    probing: Once,
    numbers: Arc<Numbers>,
    closing: Arc<CancellationToken>,
}

impl Load {
    /// The layers that `config` asks for, over `inner`; `None` if it asks for none. What was counted before goes on, and
    /// so does what was found out about origins by a part that is asked for as it was. Callers in line for a place under
    /// the limit of concurrency stay in it, and the limit is the new one for them too.
    pub fn over<S>(inner: S, pool: Arc<str>, config: &PoolConfig, before: Option<&Self>) -> Option<Arc<Self>>
    where
        S: Service<Call, Response = Response<ResponseBody>, Error = SendError> + Clone + Send + Sync + 'static,
        S::Future: Send + 'static,
    {
        let LoadConfig {
            retry,
            hedge,
            breaker,
            rate,
            adaptive_concurrency,
            probe,
        } = config.load.clone();
        let adaptive = adaptive_concurrency.as_ref();
        let most = config
            .max_concurrent_requests
            .or(adaptive.map(|_| config.max_connections));
        let parts = (&retry, &hedge, &breaker, &rate, &most, &probe);
        if parts == (&None, &None, &None, &None, &None, &None) {
            return None;
        }
        let numbers = before.map_or_else(Arc::default, |before| before.numbers.clone());
        let budget = match (&retry, &hedge) {
            (Some(retry), _) => Some(retry.budget.clone()),
            (None, Some(_)) => Some(BudgetConfig::default()),
            (None, None) => None,
        };
        let budget = budget.map(|config| Arc::new(Budget::new(&config)));
        let as_before = |same: fn(&LoadConfig, &LoadConfig) -> bool| before.filter(|b| same(&b.config, &config.load));
        let breakers = as_before(|one, other| one.breaker == other.breaker)
            .map_or_else(|| breaker.map(Breakers::new), |before| before.breakers.clone());
        let throttles = as_before(|one, other| one.rate == other.rate)
            .map_or_else(|| rate.map(Throttles::new), |before| before.throttles.clone());
        let limiter = most.map(|most| match before.and_then(|before| before.limiter.clone()) {
            Some(limiter) => {
                limiter.resize(most, adaptive, config.max_waiters);
                limiter
            }
            None => Limiter::new(most, adaptive, config.max_waiters),
        });

        let service = option_layer(limiter.clone().map(|limiter| ConcurrencyLayer { limiter })).layer(inner);
        let rate = throttles.clone().map(|throttles| RateLayer {
            throttles,
            numbers: numbers.clone(),
        });
        let service = option_layer(rate).layer(service);
        let breaker = breakers.clone().map(|breakers| BreakerLayer {
            breakers,
            numbers: numbers.clone(),
        });
        let service = option_layer(breaker).layer(service);
        let hedge = hedge.zip(budget.clone()).map(|(config, budget)| HedgeLayer {
            config,
            budget,
            numbers: numbers.clone(),
        });
        let service = option_layer(hedge).layer(service);
        let retry = retry
            .zip(budget.clone())
            .map(|(config, budget)| RetryLayer::new(config, budget, Jitter::new(), numbers.clone()));
        let service = option_layer(retry).layer(service);
        Some(Arc::new(Self {
            stack: BoxCloneSyncService::new(service),
            pool,
            config: config.load.clone(),
            budget,
            breakers,
            throttles,
            limiter,
            probe: probe.map(|config| (config, Arc::default())),
            probing: Once::new(),
            numbers,
            closing: Arc::new(CancellationToken::new()),
        }))
    }

    /// Sends a request through the layers.
    pub async fn send(
        &self,
        outgoing: Outgoing,
        deadlines: Deadlines,
        tokens: u32,
    ) -> Result<Response<ResponseBody>, SendError> {
        if let Some(budget) = &self.budget {
            budget.deposit();
        }
        let call = Call::new(outgoing, deadlines, tokens, self.pool.clone(), self.closing.clone());
        self.stack.clone().oneshot(call).await
    }

    /// Has the probe started by `start`, if there is one and it was not started before.
    pub fn start_probe(&self, start: impl FnOnce(ProbeConfig, Arc<Findings>, Arc<CancellationToken>)) {
        if let Some((config, findings)) = &self.probe {
            self.probing
                .call_once(|| start(config.clone(), findings.clone(), self.closing.clone()));
        }
    }

    /// Nobody waits any longer: the pool closes. Returns how many callers in line are turned away.
    pub fn close(&self) -> usize {
        let in_line = self.limiter.as_ref().map_or(0, |limiter| limiter.waiting());
        self.closing.cancel();
        in_line
    }

    /// Adds what the layers know.
    pub fn add_to(&self, stats: &mut PoolStats) {
        let counted = self.numbers.counted();
        stats.retries = counted.retries;
        stats.retries_denied = counted.retries_denied;
        stats.hedges = counted.hedges;
        stats.breaker_refusals = counted.breaker_refusals;
        stats.rate_limit_waits = counted.rate_limit_waits;
        stats.rate_limit_refusals = counted.rate_limit_refusals;
        if let Some(breakers) = &self.breakers {
            let states = breakers.states().into_iter();
            stats.breakers = states.map(|(origin, state)| (origin.to_string(), state)).collect();
        }
        if let Some(limiter) = &self.limiter {
            stats.concurrency_limit = Some(limiter.limit());
            stats.waiting += limiter.waiting();
        }
    }

    /// Adds what the layers have to say against the pool.
    pub fn complain(&self, reasons: &mut Vec<HealthReason>) {
        if let Some((config, findings)) = &self.probe
            && let Some(failures) = findings.failing(config)
        {
            reasons.push(HealthReason::ProbeFailing { failures });
        }
        if let Some(breakers) = &self.breakers {
            let states = breakers.states();
            let everywhere = states.iter().all(|(_, state)| *state == BreakerState::Open);
            let shut = states.into_iter().filter(|(_, state)| *state != BreakerState::Closed);
            reasons.extend(shut.map(|(origin, _)| HealthReason::BreakerOpen { origin, everywhere }));
        }
        if let Some(throttles) = &self.throttles {
            let held = throttles.held().into_iter();
            reasons.extend(held.map(|(origin, wait)| HealthReason::Throttled { origin, wait }));
        }
        if let Some(limiter) = &self.limiter {
            match limiter.waiting() {
                0 => {}
                waiting => reasons.push(HealthReason::Exhausted { waiting }),
            }
            if limiter.is_lowered() {
                let limit = limiter.limit();
                reasons.push(HealthReason::ConcurrencyLowered { limit });
            }
        }
    }
}

impl Drop for Load {
    fn drop(&mut self) {
        self.closing.cancel();
    }
}

#[cfg(test)]
mod tests {
    use std::num::NonZeroUsize;
    use std::time::Duration;

    use futures::future::BoxFuture;

    use super::*;

    fn over(config: &PoolConfig) -> Option<Arc<Load>> {
        let never = tower::service_fn(|_: Call| -> BoxFuture<'static, Result<_, SendError>> {
            Box::pin(std::future::pending())
        });
        Load::over(never, "test".into(), config, None)
    }

    #[test]
    fn a_pool_that_asks_for_nothing_has_no_load_control() {
        assert!(over(&PoolConfig::default()).is_none());
    }

    #[tokio::test]
    async fn each_part_can_be_had_alone() {
        let all = LoadConfig {
            hedge: Some(HedgeConfig { after: Duration::ZERO }),
            probe: Some(ProbeConfig::of(http::Uri::from_static("http://host/"))),
            ..LoadConfig::recommended()
        };
        let none = LoadConfig::default();
        let alone = [
            LoadConfig {
                retry: all.retry.clone(),
                ..none.clone()
            },
            LoadConfig {
                hedge: all.hedge.clone(),
                ..none.clone()
            },
            LoadConfig {
                breaker: all.breaker.clone(),
                ..none.clone()
            },
            LoadConfig {
                rate: all.rate.clone(),
                ..none.clone()
            },
            LoadConfig {
                adaptive_concurrency: all.adaptive_concurrency.clone(),
                ..none.clone()
            },
            LoadConfig {
                probe: all.probe.clone(),
                ..none.clone()
            },
        ];
        for (number, load) in alone.into_iter().enumerate() {
            let load = over(&PoolConfig {
                load,
                ..PoolConfig::default()
            })
            .unwrap();
            let present = [
                load.budget.is_some(),
                load.breakers.is_some(),
                load.throttles.is_some(),
                load.limiter.is_some(),
                load.probe.is_some(),
            ];
            // Retries and hedges share the first.
            let expected: Vec<_> = (1..6).map(|part| part == number.max(1)).collect();
            assert_eq!(present[..], expected, "{number}");
        }
    }

    #[test]
    fn what_was_found_out_about_origins_outlives_a_change_of_something_else() {
        let config = |max_tries: u32, requests_per_minute: u32| PoolConfig {
            load: LoadConfig {
                retry: Some(RetryConfig {
                    max_tries: max_tries.try_into().unwrap(),
                    ..RetryConfig::default()
                }),
                rate: Some(RateConfig {
                    requests_per_minute: requests_per_minute.try_into().ok(),
                    ..RateConfig::default()
                }),
                ..LoadConfig::recommended()
            },
            ..PoolConfig::default()
        };
        let before = over(&config(2, 60)).unwrap();
        let never = tower::service_fn(|_: Call| -> BoxFuture<'static, Result<_, SendError>> {
            Box::pin(std::future::pending())
        });
        let after = |config: &PoolConfig| Load::over(never, "test".into(), config, Some(&before)).unwrap();
        let same = |after: &Load| {
            [
                Arc::ptr_eq(before.breakers.as_ref().unwrap(), after.breakers.as_ref().unwrap()),
                Arc::ptr_eq(before.throttles.as_ref().unwrap(), after.throttles.as_ref().unwrap()),
                Arc::ptr_eq(before.limiter.as_ref().unwrap(), after.limiter.as_ref().unwrap()),
            ]
        };
        assert_eq!(same(&after(&config(3, 60))), [true, true, true]);
        assert_eq!(same(&after(&config(2, 61))), [true, false, true]);
    }

    #[test]
    fn a_limit_that_adapts_begins_at_what_the_operator_allows() {
        let limit = |max_concurrent_requests| {
            let config = PoolConfig {
                max_concurrent_requests,
                load: LoadConfig {
                    adaptive_concurrency: Some(AdaptiveConcurrency::default()),
                    ..LoadConfig::default()
                },
                ..PoolConfig::default()
            };
            over(&config).unwrap().limiter.as_ref().unwrap().limit()
        };
        assert_eq!((limit(NonZeroUsize::new(7)), limit(None)), (7, 100));
    }
}
