//! Clients of a gateway: each has a connection, and sends its next request when the last is answered.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use anyhow::Context as _;
use bytes::Bytes;
use clap::{Args, ValueEnum};
use hdrhistogram::Histogram;
use http::{HeaderName, HeaderValue, Request, Uri, header};
use http_body_util::{BodyExt as _, Full};
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper_util::rt::TokioIo;
use serde::{Deserialize, Serialize};
use serde_json::json;
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep};

use super::upstream::{LONG, SHORT, WORDS};
use crate::client::MEASURING;
use crate::process;

#[derive(Args, Clone)]
pub struct Options {
    /// The core it keeps to.
    #[arg(long)]
    core: usize,
    #[arg(long)]
    url: Uri,
    /// `NAME: VALUE`
    #[arg(long)]
    header: Vec<String>,
    #[arg(long)]
    model: String,
    #[arg(long)]
    asks: Asks,
    /// Texts, where many are asked for.
    #[arg(long)]
    inputs: usize,
    #[arg(long)]
    in_flight: usize,
    /// Seconds of load before anything is measured.
    #[arg(long)]
    warm_up: f64,
    /// Seconds measured; none for one request alone.
    #[arg(long)]
    seconds: f64,
}

/// What a request asks for.
#[derive(Clone, Copy, PartialEq, Eq, ValueEnum, Serialize)]
pub enum Asks {
    /// The vector of a short text.
    One,
    /// Vectors of many texts of 1,500 bytes.
    Many,
    /// A chat's answer, word by word.
    Words,
}

/// In microseconds: to the whole answer, and to the first word of one.
#[derive(Deserialize, Serialize)]
pub struct Answered {
    pub requests: u64,
    pub seconds: f64,
    pub p50: f64,
    pub p99: f64,
    pub first_p50: f64,
    pub first_p99: f64,
}

pub fn run(options: &Options) -> anyhow::Result<()> {
    process::settle(options.core)?;
    process::runtime()?.block_on(async {
        let load = Arc::new(Load::new(options)?);
        if options.seconds == 0.0 {
            return Caller::new(load).await?.ask().await.map(drop);
        }
        let ending = Arc::new(AtomicBool::new(false));
        let mut callers = JoinSet::new();
        let (began, measured_from) = (Instant::now(), Duration::from_secs_f64(options.warm_up));
        for _ in 0..options.in_flight {
            let (mut caller, ending) = (Caller::new(load.clone()).await?, ending.clone());
            callers.spawn(async move {
                let mut times = [Histogram::<u64>::new(3)?, Histogram::<u64>::new(3)?];
                while !ending.load(Ordering::Relaxed) {
                    let measured = began.elapsed() >= measured_from;
                    let answered = caller.ask().await?;
                    if measured {
                        for (times, time) in times.iter_mut().zip(answered) {
                            times.record(u64::try_from(time.as_nanos())?)?;
                        }
                    }
                }
                anyhow::Ok(times)
            });
        }
        sleep(measured_from.saturating_sub(began.elapsed())).await;
        println!("{MEASURING}");
        sleep(Duration::from_secs_f64(options.seconds)).await;
        ending.store(true, Ordering::Relaxed);
        let mut times = [Histogram::<u64>::new(3)?, Histogram::<u64>::new(3)?];
        while let Some(caller) = callers.join_next().await {
            for (sum, times) in times.iter_mut().zip(caller??) {
                sum.add(times).context("two histograms of one kind")?;
            }
        }
        let [whole, first] = times;
        let microseconds = |times: &Histogram<u64>, quantile| times.value_at_quantile(quantile) as f64 / 1e3;
        println!(
            "{}",
            serde_json::to_string(&Answered {
                requests: whole.len(),
                seconds: options.seconds,
                p50: microseconds(&whole, 0.5),
                p99: microseconds(&whole, 0.99),
                first_p50: microseconds(&first, 0.5),
                first_p99: microseconds(&first, 0.99),
            })?
        );
        Ok(())
    })
}

/// The request, and what its answer must have.
struct Load {
    request: Request<Full<Bytes>>,
    asks: Asks,
    /// Bytes that no right answer is shorter than.
    shortest: usize,
}

impl Load {
    fn new(options: &Options) -> anyhow::Result<Self> {
        let model = &options.model;
        let (body, shortest) = match options.asks {
            Asks::One => (
                json!({"model": model, "input": ["fn lend(&mut self) -> Option<Connection>"], "encoding_format": "base64"}),
                SHORT * 4,
            ),
            Asks::Many => {
                let texts = vec!["fn lend(&mut self) ".repeat(79); options.inputs];
                (
                    json!({"model": model, "input": texts, "encoding_format": "base64"}),
                    options.inputs * LONG * 4,
                )
            }
            Asks::Words => (
                json!({"model": model, "messages": [{"role": "user", "content": "Go on."}], "stream": true}),
                WORDS * 40,
            ),
        };
        let authority = options.url.authority().context("the URL's host")?.as_str().to_owned();
        let mut request = Request::post(options.url.path()).body(Full::new(body.to_string().into()))?;
        let headers = request.headers_mut();
        headers.insert(header::HOST, HeaderValue::from_str(&authority)?);
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
        headers.insert(header::AUTHORIZATION, HeaderValue::from_static("Bearer sk-bench"));
        for line in &options.header {
            let (name, value) = line.split_once(": ").context("NAME: VALUE")?;
            headers.insert(HeaderName::from_bytes(name.as_bytes())?, HeaderValue::from_str(value)?);
        }
        Ok(Self {
            request,
            asks: options.asks,
            shortest,
        })
    }
}

struct Caller {
    load: Arc<Load>,
    sender: SendRequest<Full<Bytes>>,
}

impl Caller {
    async fn new(load: Arc<Load>) -> anyhow::Result<Self> {
        let host = load.request.headers().get(header::HOST).context("a host")?.to_str()?;
        let stream = TcpStream::connect(host).await?;
        stream.set_nodelay(true)?;
        let (sender, connection) = handshake(TokioIo::new(stream)).await?;
        tokio::spawn(connection);
        Ok(Self { load, sender })
    }

    /// The time to the end of the answer, and to its first piece.
    async fn ask(&mut self) -> anyhow::Result<[Duration; 2]> {
        let began = Instant::now();
        if self.sender.ready().await.is_err() {
            // A gateway that closes its connections is asked on another.
            *self = Self::new(self.load.clone()).await?;
            self.sender.ready().await?;
        }
        let response = self.sender.send_request(self.load.request.clone()).await?;
        let status = response.status();
        let (mut body, mut first, mut length, mut said) = (response.into_body(), None, 0, Vec::new());
        while let Some(frame) = body.frame().await {
            let piece = frame?.into_data().unwrap_or_default();
            first.get_or_insert_with(|| began.elapsed());
            length += piece.len();
            if !status.is_success() {
                said.extend_from_slice(&piece);
            }
        }
        let whole = began.elapsed();
        anyhow::ensure!(
            status.is_success() && length >= self.load.shortest,
            "{status}, {length} bytes: {}",
            String::from_utf8_lossy(&said)
        );
        // Whoever gives a stream as a whole has not streamed it.
        let streamed = self.load.asks != Asks::Words || first.is_some_and(|first| first < whole);
        anyhow::ensure!(streamed, "the answer came in one piece");
        Ok([whole, first.unwrap_or(whole)])
    }
}
