//! The program while it runs: for interruptions, and for what it tells meanwhile.

use std::io::{BufRead, BufReader, Read};
use std::process::{Child, Command, ExitStatus, Output};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use anyhow::Context;
use serde_json::Value;

use crate::sentinel::Sentinel;
use crate::{Finished, Program};

/// Longer than anything a test waits for takes on a busy machine.
const PATIENCE: Duration = Duration::from_secs(60);

/// A run that is under way; killed when dropped.
pub struct Running {
    child: Child,
    stdout: Stream,
    stderr: Stream,
    sentinel: Sentinel,
}

impl Running {
    /// Starts the program.
    pub fn start<S: AsRef<std::ffi::OsStr>>(
        program: &Program,
        arguments: impl IntoIterator<Item = S>,
    ) -> anyhow::Result<Running> {
        let mut child = program
            .command(arguments)
            .spawn()
            .context("the program did not start")?;
        let stdout = Stream::read(child.stdout.take().context("no standard output")?);
        let stderr = Stream::read(child.stderr.take().context("no standard error")?);
        Ok(Running {
            child,
            stdout,
            stderr,
            sentinel: program.sentinel(),
        })
    }

    /// Its process.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// The events it has printed so far, where it was started with `--json`.
    pub fn events(&self) -> Vec<Value> {
        let printed = self.stdout.so_far();
        let lines = String::from_utf8_lossy(&printed);
        lines
            .lines()
            .filter_map(|line| serde_json::from_str(line).ok())
            .collect()
    }

    /// How many events of this name it has printed so far.
    pub fn count(&self, event: &str) -> usize {
        self.events().iter().filter(|told| told["event"] == event).count()
    }

    /// What it has written to standard error so far, the log included.
    pub fn errors(&self) -> String {
        String::from_utf8_lossy(&self.stderr.so_far()).into_owned()
    }

    /// Whether it has ended.
    pub fn has_ended(&mut self) -> bool {
        !matches!(self.child.try_wait(), Ok(None))
    }

    /// Waits for its end.
    pub fn wait(mut self) -> anyhow::Result<Finished> {
        let status = self.child.wait()?;
        self.finished(status)
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
        Command::new("kill")
            .args(["-s", name, &self.pid().to_string()])
            .status()?;
        let status = self.child.wait()?;
        self.finished(status)
    }

    fn finished(&mut self, status: ExitStatus) -> anyhow::Result<Finished> {
        self.sentinel.finished(Output {
            status,
            stdout: self.stdout.whole(),
            stderr: self.stderr.whole(),
        })
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// What the program writes, read as it comes: a full pipe would hold it up.
struct Stream {
    read: Arc<Mutex<Vec<u8>>>,
    reader: Option<JoinHandle<()>>,
}

impl Stream {
    fn read(from: impl Read + Send + 'static) -> Stream {
        let read: Arc<Mutex<Vec<u8>>> = Arc::default();
        let reader = thread::spawn({
            let read = Arc::clone(&read);
            move || {
                let mut from = BufReader::new(from);
                let mut line = Vec::new();
                while from.read_until(b'\n', &mut line).is_ok_and(|length| length > 0) {
                    read.lock().unwrap_or_else(PoisonError::into_inner).append(&mut line);
                }
            }
        });
        Stream {
            read,
            reader: Some(reader),
        }
    }

    fn so_far(&self) -> Vec<u8> {
        self.read.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Once the program has ended.
    fn whole(&mut self) -> Vec<u8> {
        let _ = self.reader.take().map(JoinHandle::join);
        self.so_far()
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
