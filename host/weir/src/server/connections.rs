//! Connections of clients: taken, served, and ended in order.
//!
//! HTTP/1.1 alone: clients speak HTTP/2 only over TLS, which a proxy in front ends. hyper drops the handler of a client
//! that hung up, and with it the call it had open.

use std::future::Future;
use std::pin::pin;
use std::time::Duration;

use axum::Router;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;
use tower::ServiceExt as _;

use super::lifecycle::Lifecycle;

/// How long a client may take to send a request's head, and how long a connection may lie idle, which hyper counts
/// alike. Longer than the clients keep theirs (httpx 5 s, undici 4 s), so that they close first.
const HEAD_DEADLINE: Duration = Duration::from_secs(60);

/// How long requests in flight may take once the server is to stop: what Kubernetes grants by default.
pub(crate) const DRAIN_DEADLINE: Duration = Duration::from_secs(30);

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
        loop {
            tokio::select! {
                biased;
                () = &mut shutdown => return connections,
                Some(_) = connections.tasks.join_next() => {}
                accepted = listener.accept() => match accepted {
                    Ok((stream, _)) => {
                        connections.tasks.spawn(serve(stream, router.clone(), connections.stopping.clone()));
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
        tokio::select! {
            () = lifecycle.at_rest() => {}
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
    let service = service_fn(move |request| router.clone().oneshot(request));
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_DEADLINE)
        .serve_connection(TokioIo::new(stream), service);
    let mut connection = pin!(connection);
    let outcome = tokio::select! {
        outcome = connection.as_mut() => outcome,
        () = stopping.cancelled() => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    if let Err(error) = outcome {
        tracing::debug!(%error, "a client's connection broke");
    }
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
    use std::sync::Arc;
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
