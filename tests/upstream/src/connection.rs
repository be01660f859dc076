//! One accepted connection: how it is ended from outside, and its socket, which tells the counters when it closes.

use std::{
    collections::BTreeMap,
    io,
    pin::Pin,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError, Weak,
        atomic::{AtomicBool, Ordering},
    },
    task::{Context, Poll},
    time::Duration,
};

use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::TcpStream,
    sync::watch,
    time::sleep,
};
use tokio_util::sync::CancellationToken;

use crate::counters::OpenConnection;

/// The handle on a connection.
#[derive(Debug)]
pub(crate) struct Connection {
    /// Its place in the order of acceptance, from 1.
    pub(crate) number: u64,
    /// Cancelled: close now, whatever is under way.
    kill: CancellationToken,
    /// Cancelled: finish what is under way, then close.
    drain: CancellationToken,
    reset: AtomicBool,
    busy: watch::Sender<usize>,
}

impl Connection {
    /// Closes at once, with FIN.
    pub(crate) fn close(&self) {
        self.kill.cancel();
    }

    /// Closes at once, with RST.
    pub(crate) fn reset(&self) {
        self.reset_when_closed();
        self.kill.cancel();
    }

    /// However it closes, it is with RST.
    pub(crate) fn reset_when_closed(&self) {
        self.reset.store(true, Ordering::Relaxed);
    }

    /// Counts a request as under way until the guard is dropped.
    pub(crate) fn busy(self: &Arc<Self>) -> Busy {
        self.busy.send_modify(|requests| *requests += 1);
        Busy(self.clone())
    }

    pub(crate) async fn killed(&self) {
        self.kill.cancelled().await;
    }

    pub(crate) async fn drained(&self) {
        self.drain.cancelled().await;
    }

    /// Returns once there has been no request for so long; never, without a duration.
    pub(crate) async fn idle_for(&self, duration: Option<Duration>) {
        let Some(duration) = duration else {
            return std::future::pending().await;
        };
        let mut busy = self.busy.subscribe();
        loop {
            let idle = *busy.borrow_and_update() == 0;
            tokio::select! {
                () = sleep(duration), if idle => return,
                changed = busy.changed() => if changed.is_err() { return },
            }
        }
    }
}

/// A request under way on a connection.
#[derive(Debug)]
pub(crate) struct Busy(Arc<Connection>);

impl Drop for Busy {
    fn drop(&mut self) {
        self.0.busy.send_modify(|requests| *requests -= 1);
    }
}

/// The connections that are open.
#[derive(Debug)]
pub(crate) struct Connections {
    kill: CancellationToken,
    drain: CancellationToken,
    open: Mutex<Open>,
}

#[derive(Debug, Default)]
struct Open {
    accepted: u64,
    connections: BTreeMap<u64, Weak<Connection>>,
}

impl Connections {
    /// Connections that end with these tokens.
    pub(crate) fn new(kill: &CancellationToken, drain: &CancellationToken) -> Self {
        Self {
            kill: kill.clone(),
            drain: drain.clone(),
            open: Mutex::default(),
        }
    }

    /// A handle for a connection just accepted.
    pub(crate) fn accept(&self) -> Arc<Connection> {
        let mut open = self.lock();
        open.accepted += 1;
        let connection = Arc::new(Connection {
            number: open.accepted,
            kill: self.kill.child_token(),
            drain: self.drain.child_token(),
            reset: AtomicBool::new(false),
            busy: watch::Sender::new(0),
        });
        open.connections.retain(|_, connection| connection.strong_count() > 0);
        open.connections.insert(connection.number, Arc::downgrade(&connection));
        connection
    }

    /// Closes those without a request under way as a server does that has waited long enough. Gives their number.
    pub(crate) fn close_idle(&self) -> usize {
        let idle: Vec<Arc<Connection>> = self.all().into_iter().filter(|one| *one.busy.borrow() == 0).collect();
        idle.iter().for_each(|connection| connection.drain.cancel());
        idle.len()
    }

    /// Closes all at once. Gives their number.
    pub(crate) fn close_all(&self) -> usize {
        let all = self.all();
        all.iter().for_each(|connection| connection.close());
        all.len()
    }

    fn all(&self) -> Vec<Arc<Connection>> {
        self.lock().connections.values().filter_map(Weak::upgrade).collect()
    }

    fn lock(&self) -> MutexGuard<'_, Open> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The socket of a connection. Its close is counted before the peer can see it.
#[derive(Debug)]
pub(crate) struct TrackedStream {
    stream: TcpStream,
    connection: Arc<Connection>,
    counted: Option<OpenConnection>,
}

impl TrackedStream {
    pub(crate) fn new(stream: TcpStream, connection: Arc<Connection>, counted: OpenConnection) -> Self {
        Self {
            stream,
            connection,
            counted: Some(counted),
        }
    }
}

impl Drop for TrackedStream {
    fn drop(&mut self) {
        if self.connection.reset.load(Ordering::Relaxed)
            && let Err(error) = self.stream.set_zero_linger()
        {
            tracing::warn!(%error, "the connection closes with FIN instead of RST");
        }
        drop(self.counted.take());
    }
}

impl AsyncRead for TrackedStream {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(cx, buf)
    }
}

impl AsyncWrite for TrackedStream {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, buf)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(cx, bufs)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use tokio::time::Instant;

    use super::*;

    fn connections() -> Connections {
        Connections::new(&CancellationToken::new(), &CancellationToken::new())
    }

    #[tokio::test(start_paused = true)]
    async fn a_connection_is_idle_from_the_end_of_its_last_request() {
        let connection = connections().accept();
        let started = Instant::now();
        let busy = connection.busy();
        let ends = async {
            sleep(Duration::from_secs(3)).await;
            drop(busy);
        };
        tokio::join!(connection.idle_for(Some(Duration::from_secs(5))), ends);
        assert_eq!(started.elapsed(), Duration::from_secs(8));
    }

    #[tokio::test]
    async fn only_idle_connections_are_closed_as_idle() {
        let connections = connections();
        let (idle, busy) = (connections.accept(), connections.accept());
        let request = busy.busy();
        assert_eq!(connections.close_idle(), 1);
        assert!(idle.drain.is_cancelled() && !busy.drain.is_cancelled());
        drop(request);
        drop(idle);
        assert_eq!(connections.close_all(), 1);
        assert!(busy.kill.is_cancelled());
    }
}
