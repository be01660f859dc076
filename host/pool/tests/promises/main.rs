//! What the crate promises, proved against peers that do what servers do, at their best and at their worst.

// The peers are tests too, though not functions marked as such.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod answers;
mod cancelling;
mod closing;
mod deadlines;
mod http2;
mod identity;
mod lending;
mod loads;
mod peers;
mod proxies;
mod proxy_peers;
mod replaying;
mod resolving;
mod sharing;
mod silence;
mod tls_peers;
