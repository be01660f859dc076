//! Asks a server from time to time whether it is well, whether or not anybody else asks it anything.

use std::future::Future;
use std::num::NonZeroU32;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use http::Uri;
use tokio::time::{Instant, sleep_until, timeout};
use tokio_util::sync::CancellationToken;

use crate::options::later;

/// A request that is made at intervals, for [`crate::Pool::health`] alone: it passes by every other layer and neither
/// waits for nor feeds a breaker.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProbeConfig {
    /// What is asked for, with GET. Any answer below 400 is a success.
    pub uri: Uri,
    /// From the end of one probe to the next.
    pub interval: Duration,
    /// How long a probe may take, its body included.
    pub timeout: Duration,
    /// Failures in a row from which on the pool is unhealthy.
    pub failures: NonZeroU32,
}

impl ProbeConfig {
    /// A probe of `uri` every 10 s, given a second each time, that counts after 3 failures: the numbers of a Kubernetes
    /// probe.
    pub fn of(uri: Uri) -> Self {
        Self {
            uri,
            interval: Duration::from_secs(10),
            timeout: Duration::from_secs(1),
            failures: NonZeroU32::MIN.saturating_add(2),
        }
    }
}

/// What the probes have come to so far.
#[derive(Debug, Default)]
pub(crate) struct Findings {
    failures: AtomicU32,
}

impl Findings {
    /// Failures since the last success, if they are so many that they count.
    pub fn failing(&self, config: &ProbeConfig) -> Option<u32> {
        let failures = self.failures.load(Ordering::Relaxed);
        (failures >= config.failures.get()).then_some(failures)
    }

    fn note(&self, success: bool, config: &ProbeConfig) {
        if success {
            let before = self.failures.swap(0, Ordering::Relaxed);
            if before >= config.failures.get() {
                tracing::info!(after = before, "the probe succeeds again");
            }
        } else if self.failures.fetch_add(1, Ordering::Relaxed) + 1 == config.failures.get() {
            tracing::warn!(failures = config.failures.get(), "the probe fails");
        }
    }
}

/// Probes until `ending`, or until there is nothing left to ask with. `ask` makes one request.
pub(crate) async fn run<F>(
    config: ProbeConfig,
    findings: Arc<Findings>,
    ending: Arc<CancellationToken>,
    ask: impl Fn(Uri) -> Option<F>,
) where
    F: Future<Output = bool>,
{
    let probing = async {
        while let Some(asked) = ask(config.uri.clone()) {
            let success = timeout(config.timeout, asked).await.unwrap_or(false);
            findings.note(success, &config);
            sleep_until(later(Instant::now(), config.interval)).await;
        }
    };
    tokio::select! {
        biased;
        () = ending.cancelled() => {}
        () = probing => {}
    }
}

#[cfg(test)]
mod tests {
    use std::future::ready;
    use std::sync::Mutex;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn it_counts_failures_in_a_row_and_forgets_them_after_a_success() {
        let config = ProbeConfig::of(Uri::from_static("http://host/health"));
        let (findings, ending) = (Arc::new(Findings::default()), Arc::new(CancellationToken::new()));
        let script = Mutex::new(vec![true, false, false, false, true].into_iter());
        let (seen, watched) = (Mutex::new(Vec::new()), findings.clone());
        run(config.clone(), findings.clone(), ending, |_| {
            seen.lock().unwrap().push(watched.failing(&config));
            script.lock().unwrap().next().map(ready)
        })
        .await;
        assert_eq!(*seen.lock().unwrap(), [None, None, None, None, Some(3), None]);
    }

    #[tokio::test(start_paused = true)]
    async fn a_probe_that_is_not_answered_in_time_has_failed() {
        let config = ProbeConfig::of(Uri::from_static("http://host/health"));
        let (findings, ending) = (Arc::new(Findings::default()), Arc::new(CancellationToken::new()));
        let running = run(config.clone(), findings.clone(), ending.clone(), |_| {
            Some(std::future::pending())
        });
        let stopping = async {
            tokio::time::sleep(Duration::from_secs(3 * 11)).await;
            ending.cancel();
        };
        tokio::join!(running, stopping);
        assert_eq!(findings.failing(&config), Some(3));
    }
}
