//! What makes a pool the same pool: its configuration, the addresses it may dial, its proxies and its TLS.
//!
//! All of it holds for every connection of a pool, and a pool lends a connection to one origin alone, so what connections
//! are shared by is scheme, host, port, proxy, TLS identity and address filter.

use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;

use crate::config::PoolConfig;
use crate::connect::{Proxies, TlsSettings};

/// Decides which resolved addresses a pool may dial.
///
/// It sees every address before a socket is opened towards it, so a name that resolves to a forbidden address is
/// refused whatever the name looked like, and a name that changes its address between a check and the dial gains
/// nothing.
///
/// It is about the server a request is meant for. Behind a proxy that means:
///
/// - An address that stands in the URI is shown to it, in whatever way it is written.
/// - Through a `socks5` proxy, the name is resolved here, and the proxy is sent an address that was permitted.
/// - Through an `http`, `https` or `socks5h` proxy, the proxy resolves the name: **the filter does not see which address
///   it finds**, and the proxy's own rules hold. Give a pool that must not reach certain addresses [`Proxies::none`] or
///   a `socks5` proxy if the proxy is not trusted with that.
/// - The proxy's own address is the operator's choice and is not shown to it.
pub trait AddressFilter: fmt::Debug + Send + Sync {
    /// Whether `address` may be connected to.
    fn permits(&self, address: IpAddr) -> bool;
}

/// The settings a pool is created with.
#[derive(Clone, Debug, Default)]
pub struct PoolSettings {
    /// Limits and deadlines.
    pub config: PoolConfig,
    /// Which addresses may be dialled; `None` permits all of them.
    pub address_filter: Option<Arc<dyn AddressFilter>>,
    /// Which proxy connections go through; by default that of the environment.
    pub proxies: Proxies,
    /// Whom the pool trusts, and who it is itself; by default the manager's roots and nobody.
    pub tls: TlsSettings,
}

impl PoolSettings {
    /// Settings that every connection of a pool was opened under, beside [`PoolConfig::AGREED`].
    pub(crate) const IDENTITY: [&'static str; 4] = ["address_filter", "proxies", "tls.roots", "tls.client_certificate"];

    /// The names of the settings in which `other` differs. Filters are the same when they are the same object.
    pub(crate) fn differences(&self, other: &Self) -> Vec<&'static str> {
        let mut names = self.config.differences(&other.config);
        let same_filter = match (&self.address_filter, &other.address_filter) {
            (None, None) => true,
            (Some(mine), Some(theirs)) => Arc::ptr_eq(mine, theirs),
            _ => false,
        };
        let same = [
            ("address_filter", same_filter),
            ("proxies", self.proxies == other.proxies),
            ("tls.roots", self.tls.roots == other.tls.roots),
            (
                "tls.client_certificate",
                self.tls.client_certificate == other.tls.client_certificate,
            ),
        ];
        names.extend(same.into_iter().filter_map(|(name, same)| (!same).then_some(name)));
        names
    }
}

impl From<PoolConfig> for PoolSettings {
    fn from(config: PoolConfig) -> Self {
        Self {
            config,
            ..Self::default()
        }
    }
}
