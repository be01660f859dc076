//! From a host's name to its addresses: [`Resolve`], for whoever has another way than the machine's.

use std::fmt;
use std::io;
use std::net::IpAddr;
use std::time::Duration;

use futures::future::BoxFuture;

/// Finds the addresses of a host.
///
/// The pools of a manager share one resolver. What it answers is kept as long as it says, within bounds, and it is
/// asked once for a name however many dials wait for it.
pub trait Resolve: fmt::Debug + Send + Sync {
    /// The addresses of `host`, which is a name in lower case and never a literal address. The future must not block
    /// its thread; it is dropped when nobody waits for its answer any more.
    ///
    /// # Errors
    ///
    /// If the name has no address, or that cannot be found out now. Errors are not kept.
    fn resolve<'a>(&'a self, host: &'a str) -> BoxFuture<'a, io::Result<Resolved>>;
}

/// What a host's name stands for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Resolved {
    /// The addresses, the one to be tried first in front (RFC 6724). Families are mixed before they are dialled
    /// (RFC 8305, section 4): the family of the first address begins.
    pub addresses: Vec<IpAddr>,
    /// How long they may be used: the least TTL of the records.
    pub valid_for: Duration,
}
