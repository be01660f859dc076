//! The program while it runs: for interruptions.

use std::process::{Child, Command};
use std::time::Duration;

use anyhow::Context;

use crate::sentinel::Sentinel;
use crate::{Finished, Program};

/// Longer than anything a test waits for takes on a busy machine.
const PATIENCE: Duration = Duration::from_secs(60);

/// A run that is under way; killed when dropped.
pub struct Running {
    child: Option<Child>,
    sentinel: Sentinel,
}

impl Running {
    /// Starts the program.
    pub fn start<S: AsRef<std::ffi::OsStr>>(
        program: &Program,
        arguments: impl IntoIterator<Item = S>,
    ) -> anyhow::Result<Running> {
        let child = program
            .command(arguments)
            .spawn()
            .context("the program did not start")?;
        Ok(Running {
            child: Some(child),
            sentinel: program.sentinel(),
        })
    }

    /// Sends SIGINT, as Ctrl-C does, and waits for the end.
    pub fn interrupt(self) -> anyhow::Result<Finished> {
        self.signal("INT")
    }

    /// Sends SIGKILL, which nothing outlives, and waits for the end.
    pub fn kill(self) -> anyhow::Result<Finished> {
        self.signal("KILL")
    }

    fn signal(mut self, name: &str) -> anyhow::Result<Finished> {
        let child = self.child.take().context("the run has ended")?;
        Command::new("kill")
            .args(["-s", name, &child.id().to_string()])
            .status()?;
        self.sentinel.finished(child.wait_with_output()?)
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if let Some(child) = &mut self.child {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

/// Waits until something has come about that another process or task does.
///
/// # Errors
/// After a minute, with `what` in it.
pub async fn until(what: &str, reached: impl Fn() -> bool) -> anyhow::Result<()> {
    let wait = async {
        while !reached() {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    tokio::time::timeout(PATIENCE, wait)
        .await
        .with_context(|| format!("not reached: {what}"))
}
