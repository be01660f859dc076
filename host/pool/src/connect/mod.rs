//! From an origin to a live HTTP connection: name, address, TCP, TLS, HTTP, all under one deadline.

mod handshake;
mod names;
mod proxies;
mod race;
mod resolve;
mod route;
mod socket;
mod system;
mod target;
mod tls;
mod trust;
mod tunnel;

use std::any::Any;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::{Instant, timeout_at};

use crate::error::{ConnectStage, SendError};
use crate::meter::Meter;
use crate::options::later;
use crate::origin::Origin;
use crate::settings::AddressFilter;
use crate::wire::Wire;
use route::NoWay;

pub(crate) use handshake::{Dialled, Driver, Sender, Unanswered};
pub(crate) use names::Names;
pub use proxies::Proxies;
pub(crate) use proxies::{Forward, Rules as ProxyRules};
pub use resolve::{Resolve, Resolved};
pub(crate) use socket::Socket;
pub(crate) use system::SystemResolver;
pub(crate) use tls::{SharedTls, Tls, platform_roots};
pub use trust::{Certificates, ClientCertificate, Roots, TlsSettings};

/// Permits for a second socket while two addresses are raced.
pub(crate) trait Spares: Send + Sync {
    /// The right to one more socket for as long as what is returned lives, if nobody else needs it.
    fn spare(&self) -> Option<Box<dyn Any + Send>>;
}

/// How a pool connects.
#[derive(Clone, Debug)]
pub(crate) struct Connector {
    pub tls: Tls,
    pub names: Arc<Names>,
    pub proxies: Arc<ProxyRules>,
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
        spares: &dyn Spares,
    ) -> Result<Dialled<P>, SendError> {
        let deadline = later(Instant::now(), limit);
        let late = |stage| SendError::ConnectTimeout {
            origin: origin.clone(),
            limit,
            stage,
        };

        let socket = self
            .reach(origin, deadline, spares)
            .await
            .map_err(|error| match error {
                NoWay::Late(stage) => late(stage),
                NoWay::Failed(error) => error,
            })?;
        let wire = Wire::new(socket, meter, permit);
        timeout_at(deadline, self.agree(origin, wire))
            .await
            .map_err(|_| late(ConnectStage::Securing))?
    }
}
