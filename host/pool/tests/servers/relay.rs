//! A long way to a server: a relay that hands on whatever comes, the end of a connection included, a while later.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep_until};

use super::process::free_port;

/// Starts a relay to `server` that takes `delay` each way. Returns the port it listens on.
pub async fn start(server: u16, delay: Duration) -> u16 {
    let port = free_port();
    let listener = TcpListener::bind(("127.0.0.1", port)).await.unwrap();
    tokio::spawn(async move {
        while let Ok((near, _)) = listener.accept().await {
            tokio::spawn(carry(near, ([127, 0, 0, 1], server).into(), delay));
        }
    });
    port
}

async fn carry(near: TcpStream, server: SocketAddr, delay: Duration) -> io::Result<()> {
    let far = TcpStream::connect(server).await?;
    near.set_nodelay(true)?;
    far.set_nodelay(true)?;
    let ((near_in, near_out), (far_in, far_out)) = (near.into_split(), far.into_split());
    tokio::join!(one_way(near_in, far_out, delay), one_way(far_in, near_out, delay));
    Ok(())
}

async fn one_way(mut from: OwnedReadHalf, mut to: OwnedWriteHalf, delay: Duration) {
    let (under_way, mut arriving) = mpsc::unbounded_channel();
    let leave = async move {
        loop {
            let mut piece = Vec::with_capacity(16 * 1024);
            let ended = !matches!(from.read_buf(&mut piece).await, Ok(length) if length > 0);
            if under_way.send((Instant::now() + delay, piece)).is_err() || ended {
                return;
            }
        }
    };
    let arrive = async move {
        while let Some((at, piece)) = arriving.recv().await {
            sleep_until(at).await;
            // An empty piece is the end.
            if piece.is_empty() || to.write_all(&piece).await.is_err() {
                break;
            }
        }
        let _ = to.shutdown().await;
    };
    tokio::join!(leave, arrive);
}
