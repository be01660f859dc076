//! From an origin to a live HTTP connection: name, address, TCP, TLS, HTTP, all under one deadline.

mod handshake;
mod resolve;
mod tls;

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::TcpStream;
use tokio::time::{Instant, timeout_at};

use crate::error::{ConnectStage, SendError};
use crate::meter::Meter;
use crate::options::later;
use crate::origin::Origin;
use crate::settings::AddressFilter;
use crate::wire::Wire;

pub(crate) use handshake::{Dialled, Driver, Sender, Unanswered};
pub(crate) use tls::{Tls, platform_roots};

/// How a pool connects.
#[derive(Clone, Debug)]
pub(crate) struct Connector {
    pub tls: Tls,
    pub address_filter: Option<Arc<dyn AddressFilter>>,
    pub http2: bool,
    /// Whether origins in clear text are known to speak HTTP/2.
    pub http2_prior_knowledge: bool,
    pub max_header_bytes: usize,
}

impl Connector {
    /// Opens a connection within `limit`. The socket holds `permit` as long as it lives.
    pub async fn dial<P: Unpin + Send + 'static>(
        &self,
        origin: &Origin,
        limit: Duration,
        meter: Arc<Meter>,
        permit: P,
    ) -> Result<Dialled<P>, SendError> {
        let deadline = later(Instant::now(), limit);
        let late = |stage| SendError::ConnectTimeout {
            origin: origin.clone(),
            limit,
            stage,
        };

        let resolving = resolve::resolve(origin, self.address_filter.as_deref());
        let addresses = timeout_at(deadline, resolving)
            .await
            .map_err(|_| late(ConnectStage::Resolving))??;
        let socket = reach(&addresses, deadline).await.map_err(|error| match error {
            Unreached::Late => late(ConnectStage::Connecting),
            Unreached::Refused(source) => SendError::Connect {
                origin: origin.clone(),
                source,
            },
        })?;
        let wire = Wire::new(socket, meter, permit);
        timeout_at(deadline, self.agree(origin, wire))
            .await
            .map_err(|_| late(ConnectStage::Securing))?
    }
}

/// Why no address was reached.
enum Unreached {
    Late,
    Refused(io::Error),
}

/// A socket to the first address that accepts one. Each address gets an even share of the time that is left, so that
/// one that never answers does not use up the time of those behind it.
async fn reach(addresses: &[SocketAddr], deadline: Instant) -> Result<TcpStream, Unreached> {
    let mut outcome = Unreached::Late;
    for (tried, address) in addresses.iter().enumerate() {
        let now = Instant::now();
        let left = u32::try_from(addresses.len() - tried).unwrap_or(u32::MAX);
        let share = now + deadline.saturating_duration_since(now) / left;
        outcome = match timeout_at(share, connect(*address)).await {
            Ok(Ok(socket)) => return Ok(socket),
            Ok(Err(error)) => Unreached::Refused(error),
            Err(_) => Unreached::Late,
        };
    }
    Err(outcome)
}

async fn connect(address: SocketAddr) -> io::Result<TcpStream> {
    let socket = TcpStream::connect(address).await?;
    // A request is written in one go; waiting for more to send with it would only delay it.
    socket.set_nodelay(true)?;
    Ok(socket)
}
