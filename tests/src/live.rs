//! What is asked of a running server, and done to its files, by tests of what changes while it runs.

use std::path::Path;
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
        let pid = self.pid().to_string();
        let status = std::process::Command::new("kill").args(["-s", "HUP", &pid]).status()?;
        anyhow::ensure!(status.success(), "no signal was sent");
        Ok(())
    }
}
