//! Servers and proxies that others wrote, started for one test and gone after it; and what is asked of a pool that has
//! talked to them.
//!
//! `just peers` installs them. A test that finds one missing fails and says so.

pub mod certificate;
pub mod haproxy;
pub mod load;
pub mod nghttpd;
pub mod nginx;
pub mod process;
pub mod proxies;
pub mod relay;
pub mod rest;
pub mod sockets;

/// How a pool talks to a server that speaks both.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Over {
    /// HTTP/1.1 in clear text.
    Http1,
    /// HTTP/2 over TLS.
    Http2,
}

impl Over {
    pub const BOTH: [Self; 2] = [Self::Http1, Self::Http2];

    fn scheme(self) -> &'static str {
        match self {
            Self::Http1 => "http",
            Self::Http2 => "https",
        }
    }
}
