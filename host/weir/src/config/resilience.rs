//! `[providers.NAME.resilience]`: what a provider's pool does when the provider is slow, sparing or broken.

use std::num::NonZeroU32;

use http::Uri;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use weir_pool::{AdaptiveConcurrency, BreakerConfig, HedgeConfig, LoadConfig, ProbeConfig, RateConfig, RetryConfig};

use super::units::{Seconds, optional_timeout};

/// What is done about a provider that is slow, sparing or broken.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Resilience {
    /// Most times a request is sent, the first included; 1 sends none again.
    pub max_attempts: NonZeroU32,
    /// Whether a 429 without `Retry-After` is sent again. Qdrant answers so what no waiting would help.
    pub retry_429_without_retry_after: bool,
    /// Requests a minute to one origin. No limit where not given; what answers say of a quota is heeded in any case.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub requests_per_minute: Option<NonZeroU32>,
    /// Tokens a minute to one origin, a request's body counting one for every four bytes. No limit where not given.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tokens_per_minute: Option<NonZeroU32>,
    /// Whether an origin that keeps failing is left alone for a while.
    pub breaker: bool,
    /// Whether fewer requests are under way while the provider is overloaded.
    pub adaptive_concurrency: bool,
    /// How long an answer may take to begin before the request is sent a second time. Off where not given.
    #[serde(deserialize_with = "optional_timeout", skip_serializing_if = "Option::is_none")]
    pub hedge_delay: Option<Seconds>,
    /// What is asked for from time to time to see whether the provider is well: a path at the origin of `base_url`, or
    /// a URL. Off where not given.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub health_probe: Option<String>,
    /// From the end of one such question to the next.
    #[serde(deserialize_with = "optional_timeout", skip_serializing_if = "Option::is_none")]
    pub health_probe_interval: Option<Seconds>,
}

impl Default for Resilience {
    fn default() -> Self {
        Resilience {
            // One less than the pool's own default: a call has `limits.call_timeout` for all of them.
            max_attempts: NonZeroU32::MIN.saturating_add(3),
            retry_429_without_retry_after: true,
            requests_per_minute: None,
            tokens_per_minute: None,
            breaker: true,
            adaptive_concurrency: true,
            hedge_delay: None,
            health_probe: None,
            health_probe_interval: None,
        }
    }
}

impl Resilience {
    /// The pool's load control. A probe without a usable address is left out: [`probe_uri`] tells of it beforehand.
    pub fn load(&self, base_url: Option<&str>) -> LoadConfig {
        LoadConfig {
            retry: (self.max_attempts > NonZeroU32::MIN).then(|| RetryConfig {
                max_tries: self.max_attempts,
                retry_429_without_retry_after: self.retry_429_without_retry_after,
                ..RetryConfig::default()
            }),
            hedge: self.hedge_delay.map(|delay| HedgeConfig { after: delay.0 }),
            breaker: self.breaker.then(BreakerConfig::default),
            rate: Some(RateConfig {
                requests_per_minute: self.requests_per_minute,
                tokens_per_minute: self.tokens_per_minute,
                ..RateConfig::default()
            }),
            adaptive_concurrency: self.adaptive_concurrency.then(AdaptiveConcurrency::default),
            probe: self.probe(base_url),
        }
    }

    fn probe(&self, base_url: Option<&str>) -> Option<ProbeConfig> {
        let usual = ProbeConfig::of(probe_uri(self.health_probe.as_deref()?, base_url).ok()?);
        Some(ProbeConfig {
            interval: self.health_probe_interval.map_or(usual.interval, |interval| interval.0),
            ..usual
        })
    }
}

/// Where a probe goes, or what is wrong with what `health_probe` says.
pub(super) fn probe_uri(probe: &str, base_url: Option<&str>) -> Result<Uri, &'static str> {
    const EXPECTED: &str = "expected a path like \"/healthz\" or an http or https URL without user name and password";
    let url = if probe.starts_with('/') {
        let base =
            base_url.ok_or("a path needs a `base_url` in the provider's `config`; without one, write a whole URL")?;
        url::Url::parse(base).and_then(|base| base.join(probe))
    } else {
        url::Url::parse(probe)
    };
    let url = url.map_err(|_| EXPECTED)?;
    if weir_runtime::Origin::of(&url).is_err() {
        return Err(EXPECTED);
    }
    url.as_str().parse().map_err(|_| EXPECTED)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn by_default_it_is_what_the_pool_recommends_with_four_attempts() {
        let mut recommended = LoadConfig::recommended();
        recommended.retry.as_mut().unwrap().max_tries = NonZeroU32::new(4).unwrap();
        assert_eq!(Resilience::default().load(None), recommended);
    }

    #[test]
    fn each_part_can_be_switched_off_and_on() {
        let resilience = Resilience {
            max_attempts: NonZeroU32::MIN,
            breaker: false,
            adaptive_concurrency: false,
            hedge_delay: Some(Seconds(Duration::from_secs(2))),
            health_probe: Some("/healthz".to_owned()),
            health_probe_interval: Some(Seconds(Duration::from_secs(3))),
            ..Resilience::default()
        };
        let load = resilience.load(Some("http://localhost:6333/v1"));
        assert!(load.retry.is_none() && load.breaker.is_none() && load.adaptive_concurrency.is_none());
        assert_eq!(load.hedge.unwrap().after, Duration::from_secs(2));
        let probe = load.probe.unwrap();
        assert_eq!(probe.uri, "http://localhost:6333/healthz");
        assert_eq!(probe.interval, Duration::from_secs(3));
    }

    #[test]
    fn a_probe_without_an_address_is_refused() {
        assert!(probe_uri("/healthz", None).unwrap_err().contains("base_url"));
        for wrong in ["healthz", "ftp://host/", "http://ada:s3cret@host/"] {
            assert!(
                probe_uri(wrong, Some("http://host"))
                    .unwrap_err()
                    .starts_with("expected"),
                "{wrong}"
            );
        }
        assert_eq!(probe_uri("https://host/up", None).unwrap(), "https://host/up");
    }
}
