//! The way to an origin: straight, or through the proxy that is set for it.

use std::net::IpAddr;

use tokio::time::{Instant, timeout_at};

use super::proxies::{Forward, Proxy, Scheme};
use super::socket::Socket;
use super::target::{self, Unreachable, literal, permitted};
use super::tunnel::{self, Target};
use super::{Connector, Spares};
use crate::error::{ConnectStage, SendError};
use crate::origin::Origin;
use crate::proxy_error::ProxyError;

/// Why there is no way to an origin.
#[derive(Debug)]
pub(super) enum NoWay {
    /// The time was over, while the dial was busy with this.
    Late(ConnectStage),
    Failed(SendError),
}

impl Connector {
    /// How requests to `origin` are to be written if a proxy passes them on one by one, which is how `http` origins are
    /// reached through a proxy that speaks HTTP.
    pub fn forwarding(&self, origin: &Origin) -> Option<Forward<'_>> {
        self.proxies.forwarding(origin)
    }

    /// A socket whose other end is `origin`, or a proxy that passes requests on to it.
    pub(super) async fn reach(&self, origin: &Origin, deadline: Instant, spares: &dyn Spares) -> Result<Socket, NoWay> {
        let Some(proxy) = self
            .proxies
            .proxy_of(origin)
            .map_err(|misnamed| NoWay::Failed(misnamed.for_origin(origin)))?
        else {
            let filter = self.address_filter.as_deref();
            let socket = target::reach(&self.names, origin.host(), origin.port(), filter, deadline, spares).await;
            return socket.map(Socket::Tcp).map_err(|error| unreachable(origin, error));
        };
        match proxy.scheme {
            Scheme::Socks5 => self.through_socks_by_address(origin, proxy, deadline, spares).await,
            Scheme::Socks5h => {
                let target = self.as_the_proxy_resolves(origin)?;
                self.through_socks(origin, proxy, target, deadline, spares).await
            }
            Scheme::Http | Scheme::Https => {
                self.as_the_proxy_resolves(origin)?;
                let socket = self.to_proxy(origin, proxy, deadline, spares).await?;
                if !origin.is_secure() {
                    return Ok(socket);
                }
                let tunnel = tunnel::connect(socket, origin.host(), origin.port(), proxy.authorization());
                tunnelled(origin, proxy, deadline, tunnel).await
            }
        }
    }

    /// Whom to name to a proxy that resolves names itself. An address is shown to the filter all the same.
    fn as_the_proxy_resolves<'a>(&self, origin: &'a Origin) -> Result<Target<'a>, NoWay> {
        match (literal(origin.host()), &self.address_filter) {
            (Some(address), Some(filter)) if !filter.permits(address) => {
                Err(unreachable(origin, Unreachable::Denied(address)))
            }
            (Some(address), _) => Ok(Target::Address(address)),
            (None, _) => Ok(Target::Name(origin.host())),
        }
    }

    /// Asks for the addresses one after the other, each over a connection of its own: a proxy that has refused closes it
    /// (RFC 1928, section 6).
    async fn through_socks_by_address(
        &self,
        origin: &Origin,
        proxy: &Proxy,
        deadline: Instant,
        spares: &dyn Spares,
    ) -> Result<Socket, NoWay> {
        let filter = self.address_filter.as_deref();
        let addresses: Vec<IpAddr> = permitted(&self.names, origin.host(), filter, deadline)
            .await
            .map_err(|error| unreachable(origin, error))?;
        let mut refused = NoWay::Late(ConnectStage::Tunnelling);
        for address in addresses {
            match self
                .through_socks(origin, proxy, Target::Address(address), deadline, spares)
                .await
            {
                Err(NoWay::Failed(
                    error @ SendError::Proxy {
                        source: ProxyError::SocksRefused { .. },
                        ..
                    },
                )) => refused = NoWay::Failed(error),
                outcome => return outcome,
            }
        }
        Err(refused)
    }

    async fn through_socks(
        &self,
        origin: &Origin,
        proxy: &Proxy,
        target: Target<'_>,
        deadline: Instant,
        spares: &dyn Spares,
    ) -> Result<Socket, NoWay> {
        let socket = self.to_proxy(origin, proxy, deadline, spares).await?;
        let tunnel = tunnel::socks5(socket, target, origin.port(), proxy.credentials());
        tunnelled(origin, proxy, deadline, tunnel).await
    }

    /// A socket to the proxy itself, secured where its URL says so.
    async fn to_proxy(
        &self,
        origin: &Origin,
        proxy: &Proxy,
        deadline: Instant,
        spares: &dyn Spares,
    ) -> Result<Socket, NoWay> {
        let socket = target::reach(&self.names, proxy.host(), proxy.port, None, deadline, spares)
            .await
            .map_err(|error| match error {
                Unreachable::Late(_) => NoWay::Late(ConnectStage::Tunnelling),
                Unreachable::Unresolved(source) => failed(origin, proxy, ProxyError::Unresolved(source)),
                Unreachable::Refused(source) => failed(origin, proxy, ProxyError::Unreachable(source)),
                // Nothing is denied without a filter.
                Unreachable::Denied(_) => unreachable(origin, error),
            })?;
        if proxy.scheme != Scheme::Https {
            return Ok(Socket::Tcp(socket));
        }
        let secured = async {
            let secured = self.tls.secure_proxy(proxy.host(), socket).await;
            secured
                .map(|tls| Socket::ProxyTls(Box::new(tls)))
                .map_err(ProxyError::Tls)
        };
        tunnelled(origin, proxy, deadline, secured).await
    }
}

async fn tunnelled(
    origin: &Origin,
    proxy: &Proxy,
    deadline: Instant,
    agreeing: impl Future<Output = Result<Socket, ProxyError>>,
) -> Result<Socket, NoWay> {
    timeout_at(deadline, agreeing)
        .await
        .map_err(|_| NoWay::Late(ConnectStage::Tunnelling))?
        .map_err(|source| failed(origin, proxy, source))
}

fn failed(origin: &Origin, proxy: &Proxy, source: ProxyError) -> NoWay {
    NoWay::Failed(SendError::Proxy {
        origin: origin.clone(),
        proxy: format!("the proxy {proxy}"),
        source,
    })
}

fn unreachable(origin: &Origin, error: Unreachable) -> NoWay {
    let origin = origin.clone();
    NoWay::Failed(match error {
        Unreachable::Late(stage) => return NoWay::Late(stage),
        Unreachable::Unresolved(source) => SendError::Dns { origin, source },
        Unreachable::Denied(address) => SendError::AddressDenied { origin, address },
        Unreachable::Refused(source) => SendError::Connect { origin, source },
    })
}
