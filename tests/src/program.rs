//! The program, run once.

use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use anyhow::Context;
use serde_json::Value;
use tempfile::TempDir;

use crate::sentinel::Sentinel;

/// The program with a folder of its own for configuration, data and cache, and an environment that holds nothing of
/// the machine's.
pub struct Program {
    folder: TempDir,
    environment: Vec<(String, String)>,
}

/// What a run left.
#[derive(Debug)]
pub struct Finished {
    /// The exit status; none if a signal ended it.
    pub status: Option<i32>,
    /// Standard output.
    pub stdout: String,
    /// Standard error.
    pub stderr: String,
}

impl Program {
    /// Without a configuration file.
    pub fn new() -> anyhow::Result<Program> {
        Ok(Program {
            folder: tempfile::tempdir()?,
            environment: Vec::new(),
        })
    }

    /// With this `weir.toml`.
    pub fn with_config(config: &str) -> anyhow::Result<Program> {
        let program = Program::new()?;
        std::fs::write(program.config(), config)?;
        Ok(program)
    }

    /// Sets a variable for every later run.
    #[must_use]
    pub fn env(mut self, name: &str, value: &str) -> Self {
        self.environment.push((name.to_owned(), value.to_owned()));
        self
    }

    /// The program's folder.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// Where the configuration file is.
    pub fn config(&self) -> PathBuf {
        self.folder.path().join("weir.toml")
    }

    /// A command that is yet to be run.
    pub fn command<S: AsRef<std::ffi::OsStr>>(&self, arguments: impl IntoIterator<Item = S>) -> Command {
        let mut command = Command::new(crate::executable());
        command
            .args(arguments)
            .current_dir(self.folder.path())
            .env_clear()
            .env("HOME", self.folder.path())
            // For the sentinel. A test that cares for the log sets its own.
            .env("RUST_LOG", "trace")
            .env("WEIR_DATA_DIR", self.folder.path().join("data"))
            // Compiled components are shared: they do not depend on the test.
            .env("WEIR_CACHE_DIR", crate::executable().with_file_name("weir-test-cache"))
            .envs(self.environment.iter().map(|(name, value)| (name, value)))
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        command
    }

    /// Runs it to its end.
    ///
    /// # Errors
    /// If it lets out a secret, too.
    pub fn run<S: AsRef<std::ffi::OsStr>>(&self, arguments: impl IntoIterator<Item = S>) -> anyhow::Result<Finished> {
        let output = self.command(arguments).output().context("the program did not start")?;
        self.sentinel().finished(output)
    }

    /// The watch for the secrets that the program was given.
    pub(crate) fn sentinel(&self) -> Sentinel {
        Sentinel::of(&self.environment)
    }
}

impl From<Output> for Finished {
    fn from(output: Output) -> Self {
        Finished {
            status: output.status.code(),
            stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
            stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
        }
    }
}

impl Finished {
    /// Standard output as one JSON value.
    pub fn json(&self) -> anyhow::Result<Value> {
        serde_json::from_str(&self.stdout).with_context(|| format!("no JSON: {self:?}"))
    }

    /// The last line of standard output as JSON.
    pub fn last_event(&self) -> anyhow::Result<Value> {
        let line = self
            .stdout
            .lines()
            .next_back()
            .with_context(|| format!("no output: {self:?}"))?;
        serde_json::from_str(line).with_context(|| format!("no JSON: {line}"))
    }

    /// The run itself, if it ended well; else an error with all it said.
    pub fn success(self) -> anyhow::Result<Finished> {
        anyhow::ensure!(self.status == Some(0), "the program failed: {self:#?}");
        Ok(self)
    }
}
