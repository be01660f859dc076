//! What makes a pool the same pool: its configuration and the addresses it may dial.

use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;

use crate::config::PoolConfig;

/// Decides which resolved addresses a pool may dial.
///
/// It sees every address before a socket is opened towards it, so a name that resolves to a forbidden address is
/// refused whatever the name looked like, and a name that changes its address between a check and the dial gains
/// nothing.
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
}

impl PoolSettings {
    /// The names of the settings in which `other` differs. Filters are the same when they are the same object.
    pub(crate) fn differences(&self, other: &Self) -> Vec<&'static str> {
        let mut names = self.config.differences(&other.config);
        let same_filter = match (&self.address_filter, &other.address_filter) {
            (None, None) => true,
            (Some(mine), Some(theirs)) => Arc::ptr_eq(mine, theirs),
            _ => false,
        };
        if !same_filter {
            names.push("address_filter");
        }
        names
    }
}

impl From<PoolConfig> for PoolSettings {
    fn from(config: PoolConfig) -> Self {
        Self {
            config,
            address_filter: None,
        }
    }
}
