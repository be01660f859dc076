//! Connections of clients: taken, served, and ended in order.
//!
//! HTTP/1.1 alone: clients speak HTTP/2 only over TLS, which a proxy in front ends. hyper drops the handler of a client
//! that hung up, and with it the call it had open.

use std::convert::Infallible;
use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::http::{HeaderValue, Request, header};
use axum::response::Response;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;
use tower::ServiceExt as _;

use super::lifecycle::Lifecycle;
use super::patient::Patient;

/// How long a client may take to send a request's head, and how long a connection may lie idle, which hyper counts
/// alike. Longer than the clients keep theirs (httpx 5 s, undici 4 s), so that they close first.
const HEAD_DEADLINE: Duration = Duration::from_secs(60);

/// Most bytes of a request's head, as nginx takes at its defaults (`large_client_header_buffers`), and most fields of it,
/// which is hyper's own bound. More is answered 431.
const MAX_HEAD_BYTES: usize = 32 * 1024;
const MAX_HEAD_FIELDS: usize = 100;

/// Most connections, if the process may have so many descriptors: a quarter of those it may have, since half are the
/// pools'. Who comes later waits in the system's line until one ends.
const MAX_CONNECTIONS: usize = 10_000;
const SHARE_OF_DESCRIPTORS: u64 = 4;

/// How long requests in flight may take once the server is to stop: what Kubernetes grants by default.
pub(crate) const DRAIN_DEADLINE: Duration = Duration::from_secs(30);

/// How long a connection on which nothing is asked is kept once the server is to stop: a request may be on its way to it,
/// from as far as the other side of the earth. Its answer tells the client to come back no more on that connection.
const LINGER: Duration = Duration::from_millis(500);

/// For the last bytes of answers that are complete.
const FLUSH_DEADLINE: Duration = Duration::from_secs(1);

/// The pause after the system refused a connection, for want of descriptors most likely.
const ACCEPT_PAUSE: Duration = Duration::from_secs(1);

/// Open connections.
pub(crate) struct Connections {
    tasks: JoinSet<()>,
    stopping: CancellationToken,
}

impl Connections {
    /// Takes and serves connections until `shutdown`. The listener is closed then; what was taken goes on.
    pub async fn accept(listener: TcpListener, router: Router, shutdown: impl Future<Output = ()>) -> Self {
        let mut connections = Self {
            tasks: JoinSet::new(),
            stopping: CancellationToken::new(),
        };
        let mut shutdown = pin!(shutdown);
        let room = Arc::new(Semaphore::new(most()));
        loop {
            let accept = async {
                // It is never closed.
                let place = room.clone().acquire_owned().await.ok();
                (listener.accept().await, place)
            };
            tokio::select! {
                biased;
                () = &mut shutdown => {
                    for stream in waiting(listener) {
                        let serve = serve(stream, router.clone(), connections.stopping.clone());
                        connections.tasks.spawn(serve);
                    }
                    return connections;
                }
                Some(_) = connections.tasks.join_next() => {}
                (accepted, place) = accept => match accepted {
                    Ok((stream, _)) => {
                        if room.available_permits() == 0 {
                            let connections = connections.tasks.len() + 1;
                            tracing::warn!(connections, "no more connections are taken until one ends");
                        }
                        let serve = serve(stream, router.clone(), connections.stopping.clone());
                        connections.tasks.spawn(async move {
                            serve.await;
                            drop(place);
                        });
                    }
                    Err(error) if concerns_one_client(&error) => {}
                    Err(error) => {
                        tracing::error!(%error, "no connection can be taken");
                        sleep(ACCEPT_PAUSE).await;
                    }
                },
            }
        }
    }

    /// Lets the requests in flight end, until the deadline or until `cut_short`; drops what is left.
    ///
    /// Returns how many requests were dropped.
    pub async fn drain(mut self, lifecycle: &Lifecycle, cut_short: impl Future<Output = ()>) -> usize {
        self.stopping.cancel();
        let connected = !self.tasks.is_empty();
        let at_rest = async {
            if connected {
                sleep(LINGER).await;
            }
            lifecycle.at_rest().await;
        };
        tokio::select! {
            () = at_rest => {}
            () = sleep(DRAIN_DEADLINE) => {}
            () = cut_short => {}
        }
        let cut = lifecycle.requests_in_flight();
        if cut == 0 {
            // A timeout here costs connections on which nothing was asked.
            let _ = timeout(FLUSH_DEADLINE, async {
                while self.tasks.join_next().await.is_some() {}
            })
            .await;
        }
        self.tasks.shutdown().await;
        cut
    }
}

async fn serve(stream: TcpStream, router: Router, stopping: CancellationToken) {
    // Answers are written whole: waiting to fill a packet would only delay them.
    let _ = stream.set_nodelay(true);
    let service = service_fn({
        let stopping = stopping.clone();
        move |request| answer(router.clone(), request, stopping.clone())
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_DEADLINE)
        .max_buf_size(MAX_HEAD_BYTES)
        .max_headers(MAX_HEAD_FIELDS)
        .serve_connection(TokioIo::new(Patient::new(stream)), service);
    let mut connection = pin!(connection);
    let outcome = tokio::select! {
        // What has arrived by then is read before the connection is ended.
        biased;
        outcome = connection.as_mut() => outcome,
        () = lingered(&stopping) => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    if let Err(error) = outcome {
        tracing::debug!(%error, "a client's connection broke");
    }
}

/// The answer of a request, which is the last of its connection where the server is to stop. So is that of one that came
/// with a transfer-encoding: where it had a content-length as well, which hyper does not tell, a proxy in front may take
/// what follows for a part of it (RFC 9112, 6.1).
async fn answer(
    router: Router,
    request: Request<Incoming>,
    stopping: CancellationToken,
) -> Result<Response, Infallible> {
    let is_doubtful = request.headers().contains_key(header::TRANSFER_ENCODING);
    let mut response = router.oneshot(request).await?;
    if is_doubtful || stopping.is_cancelled() {
        let close = HeaderValue::from_static("close");
        response.headers_mut().insert(header::CONNECTION, close);
    }
    Ok(response)
}

fn most() -> usize {
    let descriptors = rustix::process::getrlimit(rustix::process::Resource::Nofile).current;
    let share = descriptors.and_then(|limit| usize::try_from(limit / SHARE_OF_DESCRIPTORS).ok());
    share.map_or(MAX_CONNECTIONS, |share| share.clamp(1, MAX_CONNECTIONS))
}

/// Closes the listener, after those connections that the system has taken already: they would be reset with it. The system
/// is asked, not the runtime, which may not have heard of them.
fn waiting(listener: TcpListener) -> impl Iterator<Item = TcpStream> {
    let listener = listener.into_std().ok();
    std::iter::from_fn(move || {
        let (stream, _) = listener.as_ref()?.accept().ok()?;
        stream.set_nonblocking(true).ok()?;
        TcpStream::from_std(stream).ok()
    })
}

async fn lingered(stopping: &CancellationToken) {
    stopping.cancelled().await;
    sleep(LINGER).await;
}

/// The client was gone before it was taken; the next may be there.
fn concerns_one_client(error: &std::io::Error) -> bool {
    use std::io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset};
    matches!(error.kind(), ConnectionAborted | ConnectionRefused | ConnectionReset)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::server::app::App;
    use crate::server::auth::ApiKeys;
    use crate::server::fake::{Dropped, FakeBackend, FakeProvider};
    use crate::server::routes::router;
    use std::net::SocketAddr;
    use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
    use tokio::task::JoinHandle;
    use weir_runtime::chat::Event;

    struct Running {
        app: Arc<App>,
        address: SocketAddr,
        shutdown: CancellationToken,
        cut_short: CancellationToken,
        cut: JoinHandle<usize>,
    }

    async fn start(backend: FakeBackend) -> Running {
        let app = App::new(Arc::new(backend), ApiKeys::default());
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (shutdown, cut_short) = (CancellationToken::new(), CancellationToken::new());
        let cut = tokio::spawn({
            let (app, shutdown, cut_short) = (app.clone(), shutdown.clone(), cut_short.clone());
            async move {
                let router = router(app.clone());
                let connections = Connections::accept(listener, router, shutdown.cancelled_owned()).await;
                connections.drain(&app.lifecycle, cut_short.cancelled_owned()).await
            }
        });
        Running {
            app,
            address,
            shutdown,
            cut_short,
            cut,
        }
    }

    impl Running {
        async fn ask(&self, path: &str, body: &str) -> BufReader<TcpStream> {
            let mut client = TcpStream::connect(self.address).await.unwrap();
            let length = body.len();
            let head = format!(
                "POST {path} HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\ncontent-length: {length}\r\n\r\n"
            );
            client.write_all(format!("{head}{body}").as_bytes()).await.unwrap();
            BufReader::new(client)
        }

        async fn embed(&self) -> BufReader<TcpStream> {
            self.ask("/v1/embeddings", r#"{"model": "slow", "input": "a"}"#).await
        }

        async fn until_in_flight(&self, count: usize) {
            while self.app.lifecycle.requests_in_flight() != count {
                tokio::task::yield_now().await;
            }
        }
    }

    fn slow() -> (FakeBackend, Dropped) {
        let events = vec![Event::Text("first".into())];
        let (provider, dropped) = FakeProvider::new("slow").streaming(events).hanging();
        (FakeBackend::default().provider(provider), dropped)
    }

    #[tokio::test]
    async fn a_client_that_hangs_up_cancels_its_call() {
        let (backend, dropped) = slow();
        let running = start(backend).await;
        let client = running.embed().await;
        running.until_in_flight(1).await;
        drop(client);
        dropped.cancelled().await;
        running.until_in_flight(0).await;
    }

    #[tokio::test]
    async fn a_client_that_hangs_up_in_mid_stream_cancels_its_call() {
        let (backend, dropped) = slow();
        let running = start(backend).await;
        let body = r#"{"model": "slow", "stream": true, "messages": [{"role": "user", "content": "x"}]}"#;
        let mut client = running.ask("/v1/chat/completions", body).await;
        let mut line = String::new();
        while !line.contains("first") {
            line.clear();
            assert_ne!(client.read_line(&mut line).await.unwrap(), 0);
        }
        assert!(!dropped.is_cancelled());
        drop(client);
        dropped.cancelled().await;
        running.until_in_flight(0).await;
    }

    #[tokio::test]
    async fn stopping_takes_no_more_connections_and_counts_what_it_cuts() {
        let (backend, dropped) = slow();
        let running = start(backend).await;
        let _client = running.embed().await;
        running.until_in_flight(1).await;
        running.shutdown.cancel();
        while TcpStream::connect(running.address).await.is_ok() {
            tokio::task::yield_now().await;
        }
        assert!(!dropped.is_cancelled(), "what was in flight goes on");
        running.cut_short.cancel();
        assert_eq!(running.cut.await.unwrap(), 1);
        assert!(dropped.is_cancelled());
    }

    async fn raw(request: &str) -> String {
        let running = start(FakeBackend::with_providers(["p"])).await;
        let mut client = TcpStream::connect(running.address).await.unwrap();
        // It may be closed in the middle of either.
        let _ = client.write_all(request.as_bytes()).await;
        let mut answer = Vec::new();
        let _ = client.read_to_end(&mut answer).await;
        String::from_utf8(answer).unwrap()
    }

    const HEAD: &str = "POST /v1/embeddings HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\n";
    const HIDDEN: &str = "GET /livez HTTP/1.1\r\nhost: localhost\r\n\r\n";

    #[tokio::test]
    async fn a_request_hidden_in_anothers_body_is_never_answered() {
        let body = r#"{"model": "p", "input": "a"}"#;
        let chunked = format!("{:x}\r\n{body}\r\n0\r\n\r\n{HIDDEN}", body.len());
        for lengths in [
            format!("content-length: {}\r\ntransfer-encoding: chunked\r\n", chunked.len()),
            format!("transfer-encoding: chunked\r\ncontent-length: {}\r\n", chunked.len()),
            "transfer-encoding: chunked\r\n".to_owned(),
        ] {
            let answer = raw(&format!("{HEAD}{lengths}\r\n{chunked}")).await;
            assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
            assert_eq!(answer.matches("HTTP/1.1").count(), 1, "{answer}");
        }
    }

    #[tokio::test]
    async fn a_body_of_two_lengths_or_of_an_unknown_coding_is_refused() {
        for lengths in [
            "content-length: 5\r\ncontent-length: 6\r\n",
            "content-length: 5, 6\r\n",
            "content-length: +5\r\n",
            "transfer-encoding: chunked, gzip\r\n",
            "transfer-encoding: xchunked\r\n",
            "transfer-encoding : chunked\r\n",
        ] {
            let answer = raw(&format!("{HEAD}{lengths}\r\n0\r\n\r\n{HIDDEN}")).await;
            assert!(answer.starts_with("HTTP/1.1 400"), "{lengths}: {answer}");
            assert_eq!(answer.matches("HTTP/1.1").count(), 1, "{lengths}: {answer}");
        }
    }

    #[tokio::test]
    async fn a_flood_of_head_fields_is_refused() {
        let many: String = (0..=MAX_HEAD_FIELDS)
            .map(|number| format!("x-{number}: a\r\n"))
            .collect();
        let long = format!("x-long: {}\r\n", "a".repeat(2 * MAX_HEAD_BYTES));
        for fields in [many, long] {
            let answer = raw(&format!("{HEAD}{fields}\r\n")).await;
            assert!(answer.starts_with("HTTP/1.1 431"), "{answer}");
        }
    }

    #[tokio::test]
    async fn an_idle_connection_does_not_hold_the_stop_up() {
        let running = start(FakeBackend::default()).await;
        let mut client = running.ask("/v1/none", "{}").await;
        let mut line = String::new();
        client.read_line(&mut line).await.unwrap();
        assert_eq!(line, "HTTP/1.1 404 Not Found\r\n");
        running.shutdown.cancel();
        assert_eq!(running.cut.await.unwrap(), 0);
        client.read_to_end(&mut Vec::new()).await.unwrap();
    }
}
