//! What is asked of a running server, and done to its files, by tests of what changes while it runs.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use serde_json::Value;

use crate::Server;

/// Longer than a change takes to be noticed, compiled and asked on a busy machine.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// Replaces a file at once, as `mv` does.
///
/// # Errors
/// Where its folder can't be written to.
pub fn put(file: &Path, content: impl AsRef<[u8]>) -> anyhow::Result<()> {
    let aside = file.with_extension("new");
    std::fs::write(&aside, content)?;
    Ok(std::fs::rename(aside, file)?)
}

/// As [`crate::until`], of what has to be asked for.
///
/// # Errors
/// After a minute, with `what` in it.
pub async fn until(what: &str, reached: impl AsyncFn() -> bool) -> anyhow::Result<()> {
    let wait = async {
        while !reached().await {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    let waited = tokio::time::timeout(PATIENCE, wait).await;
    waited.map_err(|_| anyhow::anyhow!("not reached: {what}"))
}

/// Callers that call without a pause until they are told to stop; every call must succeed.
#[derive(Debug)]
pub struct Load {
    stop: Arc<AtomicBool>,
    calls: Arc<AtomicU64>,
    callers: Vec<tokio::task::JoinHandle<()>>,
}

impl Load {
    /// So many callers. `call` is told which of them it is for.
    pub fn of<F>(callers: usize, call: impl Fn(usize) -> F + Clone + Send + 'static) -> Self
    where
        F: Future<Output = ()> + Send,
    {
        let (stop, calls) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
        let callers = (0..callers).map(|number| {
            let (call, stop, calls) = (call.clone(), stop.clone(), calls.clone());
            tokio::spawn(async move {
                while !stop.load(Ordering::Relaxed) {
                    call(number).await;
                    calls.fetch_add(1, Ordering::Relaxed);
                }
            })
        });
        Load {
            callers: callers.collect(),
            stop,
            calls,
        }
    }

    /// How many calls there were.
    ///
    /// # Errors
    /// Where a call failed.
    pub async fn end(self) -> anyhow::Result<u64> {
        self.stop.store(true, Ordering::Relaxed);
        for caller in self.callers {
            caller.await?;
        }
        Ok(self.calls.load(Ordering::Relaxed))
    }
}

impl Server {
    /// The value of a metric, its labels included in the name; none if there is no such line.
    ///
    /// # Errors
    /// Where the server does not answer.
    pub async fn metric(&self, name: &str) -> anyhow::Result<Option<f64>> {
        let text = self.text("/metrics").await?;
        let value = text.lines().find_map(|line| line.strip_prefix(name));
        Ok(value.and_then(|value| value.trim().parse().ok()))
    }

    /// What `/health` says.
    ///
    /// # Errors
    /// Where the server does not answer.
    pub async fn health(&self) -> anyhow::Result<Value> {
        Ok(self.get("/health").await?.1)
    }

    /// Sends SIGHUP.
    ///
    /// # Errors
    /// Where it does not run any more.
    pub fn hang_up(&self) -> anyhow::Result<()> {
        self.signal("HUP")
    }
}
