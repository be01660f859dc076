//! The socket as HTTP sees it: metered, and patient with a peer that answers before it has read.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio_rustls::client::TlsStream;

use crate::connect::Socket;
use crate::meter::Meter;

/// A socket and the permit it was opened with; the permit goes right after the socket.
///
/// A server may answer and close before it has read the request. The writing side then fails while the answer already
/// lies in the receive buffer, so a failed write is noted and from then on the rest of the request is swallowed: the
/// reading side decides what the exchange has come to (RFC 9112, section 9.6).
#[derive(Debug)]
pub(crate) struct Wire<P> {
    socket: Socket,
    meter: Arc<Meter>,
    _permit: P,
}

impl<P> Wire<P> {
    pub fn new(socket: Socket, meter: Arc<Meter>, permit: P) -> Self {
        Self {
            socket,
            meter,
            _permit: permit,
        }
    }

    /// What becomes of a write without asking the socket, if anything does.
    fn foregone(&self, requested: usize) -> Option<io::Result<usize>> {
        self.meter.has_failed().then_some(Ok(requested))
    }

    fn written(&self, requested: usize, outcome: Poll<io::Result<usize>>) -> Poll<io::Result<usize>> {
        self.meter.set_blocked(outcome.is_pending());
        match outcome {
            Poll::Ready(Ok(taken)) => {
                self.meter.sent(taken);
                Poll::Ready(Ok(taken))
            }
            Poll::Ready(Err(_)) => {
                self.meter.fail();
                Poll::Ready(Ok(requested))
            }
            Poll::Pending => Poll::Pending,
        }
    }
}

impl<P: Unpin> AsyncRead for Wire<P> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        let outcome = Pin::new(&mut self.socket).poll_read(cx, buf);
        match &outcome {
            Poll::Ready(Ok(())) if buf.filled().len() == before => self.meter.end(),
            Poll::Ready(Ok(())) => self.meter.received(buf.filled().len() - before),
            Poll::Ready(Err(_)) => self.meter.fail(),
            Poll::Pending => {}
        }
        outcome
    }
}

impl<P: Unpin> AsyncWrite for Wire<P> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        if let Some(outcome) = self.foregone(buf.len()) {
            return Poll::Ready(outcome);
        }
        let outcome = Pin::new(&mut self.socket).poll_write(cx, buf);
        self.written(buf.len(), outcome)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let requested = bufs.iter().map(|buf| buf.len()).sum();
        if let Some(outcome) = self.foregone(requested) {
            return Poll::Ready(outcome);
        }
        let outcome = Pin::new(&mut self.socket).poll_write_vectored(cx, bufs);
        self.written(requested, outcome)
    }

    fn is_write_vectored(&self) -> bool {
        self.socket.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        // Only TLS to a proxy holds anything back.
        if self.meter.has_failed() {
            return Poll::Ready(Ok(()));
        }
        if ready!(Pin::new(&mut self.socket).poll_flush(cx)).is_err() {
            self.meter.fail();
        }
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        // A peer that is gone needs no farewell.
        Pin::new(&mut self.socket).poll_shutdown(cx).map(|_| Ok(()))
    }
}

/// A connection's bytes, in clear text or under TLS.
#[derive(Debug)]
pub(crate) enum Stream<P> {
    Plain(Wire<P>),
    Tls(Box<TlsStream<Wire<P>>>),
}

impl<P> Stream<P> {
    fn meter(&self) -> &Meter {
        match self {
            Self::Plain(wire) => &wire.meter,
            Self::Tls(tls) => &tls.get_ref().0.meter,
        }
    }
}

macro_rules! inner {
    ($self:ident) => {
        match $self.get_mut() {
            Stream::Plain(wire) => Pin::new(wire) as Pin<&mut dyn Duplex>,
            Stream::Tls(tls) => Pin::new(tls.as_mut()) as Pin<&mut dyn Duplex>,
        }
    };
}

trait Duplex: AsyncRead + AsyncWrite {}

impl<T: AsyncRead + AsyncWrite> Duplex for T {}

impl<P: Unpin + 'static> AsyncRead for Stream<P> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        let this = self.as_mut();
        let outcome = inner!(this).poll_read(cx, buf);
        self.meter().understood(buf.filled().len() - before);
        outcome
    }
}

impl<P: Unpin + 'static> AsyncWrite for Stream<P> {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        inner!(self).poll_write(cx, buf)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        inner!(self).poll_write_vectored(cx, bufs)
    }

    fn is_write_vectored(&self) -> bool {
        match self {
            Self::Plain(wire) => wire.is_write_vectored(),
            Self::Tls(tls) => tls.is_write_vectored(),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        inner!(self).poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        inner!(self).poll_shutdown(cx)
    }
}
