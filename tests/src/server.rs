//! `weir serve`, running.

use std::io::{BufRead, BufReader, Read as _};
use std::process::{Child, ChildStdout, Command};
use std::thread::{self, JoinHandle};

use anyhow::Context;
use bytes::Bytes;
use http_body_util::BodyExt;
use serde_json::Value;
use weir_pool::{Pool, PoolManager, PoolSettings, SendOptions};

use crate::program::Program;
use crate::sentinel::Sentinel;

/// A running server; ended when dropped. Its log and its answers are searched for secrets.
pub struct Server {
    child: Child,
    stdout: BufReader<ChildStdout>,
    log: Option<JoinHandle<anyhow::Result<()>>>,
    sentinel: Sentinel,
    url: String,
    client: Pool,
}

impl Server {
    /// Starts it on a free port and waits until it listens.
    pub fn start(program: &Program) -> anyhow::Result<Server> {
        Server::start_with(program, &[])
    }

    /// Starts it with these options of `weir serve` besides.
    pub fn start_with(program: &Program, options: &[&str]) -> anyhow::Result<Server> {
        let mut child = program
            .command([&["--json", "serve", "--listen", "127.0.0.1:0"], options].concat())
            .spawn()
            .context("the program did not start")?;
        let sentinel = program.sentinel();
        let stderr = child.stderr.take().context("no standard error")?;
        let log = thread::spawn({
            let sentinel = sentinel.clone();
            move || sentinel.read_log(stderr)
        });
        let stdout = child.stdout.take().context("no standard output")?;
        let mut stdout = BufReader::new(stdout);
        let mut line = String::new();
        stdout.read_line(&mut line)?;
        let event: Value = serde_json::from_str(&line).with_context(|| format!("not listening: {line:?}"))?;
        let url = event["url"]
            .as_str()
            .with_context(|| format!("no url in {line}"))?
            .to_owned();
        let client = PoolManager::new()?.pool("tests", PoolSettings::default())?;
        Ok(Server {
            child,
            stdout,
            log: Some(log),
            sentinel,
            url,
            client,
        })
    }

    /// Its address, without a slash at the end.
    pub fn url(&self) -> &str {
        self.url.trim_end_matches('/')
    }

    /// Posts JSON; the status and the JSON that came back.
    pub async fn post(&self, path: &str, body: Value) -> anyhow::Result<(u16, Value)> {
        json(&self.post_raw(path, body).await?)
    }

    /// Posts JSON; the whole answer.
    pub async fn post_raw(&self, path: &str, body: Value) -> anyhow::Result<http::Response<Bytes>> {
        let request = http::Request::post(format!("{}{path}", self.url()))
            .header("content-type", "application/json")
            .body(Bytes::from(body.to_string()))?;
        self.send(request).await
    }

    /// Gets JSON; the status and the JSON that came back.
    pub async fn get(&self, path: &str) -> anyhow::Result<(u16, Value)> {
        json(&self.get_raw(path).await?)
    }

    /// Gets a text, whatever its status.
    pub async fn text(&self, path: &str) -> anyhow::Result<String> {
        Ok(String::from_utf8(self.get_raw(path).await?.into_body().into())?)
    }

    async fn get_raw(&self, path: &str) -> anyhow::Result<http::Response<Bytes>> {
        self.send(http::Request::get(format!("{}{path}", self.url())).body(Bytes::new())?)
            .await
    }

    async fn send(&self, request: http::Request<Bytes>) -> anyhow::Result<http::Response<Bytes>> {
        let answer = self.client.send(request, SendOptions::default()).await?;
        let (head, body) = answer.into_parts();
        let body = body.collect().await?.to_bytes();
        self.sentinel
            .search("an answer's headers", format!("{:?}", head.headers).as_bytes())?;
        self.sentinel.search("an answer", &body)?;
        Ok(http::Response::from_parts(head, body))
    }

    /// Its process.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Sends a signal by its name, `TERM` for one.
    ///
    /// # Errors
    /// Where it does not run any more.
    pub fn signal(&self, name: &str) -> anyhow::Result<()> {
        let status = Command::new("kill")
            .args(["-s", name, &self.pid().to_string()])
            .status()?;
        anyhow::ensure!(status.success(), "no signal was sent");
        Ok(())
    }

    /// Waits for its end; the exit status, and the last event that it told.
    ///
    /// # Errors
    /// Where it told nothing.
    pub fn ended(mut self) -> anyhow::Result<(Option<i32>, Value)> {
        let mut events = String::new();
        self.stdout.read_to_string(&mut events)?;
        let status = self.child.wait()?.code();
        let last = events.lines().next_back().context("it told nothing")?;
        Ok((status, serde_json::from_str(last)?))
    }
}

fn json(answer: &http::Response<Bytes>) -> anyhow::Result<(u16, Value)> {
    let body = answer.body();
    let json = serde_json::from_slice(body).with_context(|| format!("no JSON: {}", String::from_utf8_lossy(body)))?;
    Ok((answer.status().as_u16(), json))
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        let log = self.log.take().and_then(|log| log.join().ok());
        if let Some(Err(found)) = log
            && !thread::panicking()
        {
            std::panic::panic_any(format!("{found:#}"));
        }
    }
}
