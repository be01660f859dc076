//! What the crate promises, proved against servers that others wrote. `just peers` installs them.

// The servers are tests too, though not functions marked as such.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::print_stderr)]
#![cfg(target_os = "linux")]

mod far_away;
mod haproxy;
mod nghttpd;
mod nginx;
mod proxies;
#[path = "../servers/mod.rs"]
mod servers;
mod through_proxies;

use std::num::NonZeroUsize;

use weir_pool::PoolConfig;

/// Milliseconds between two bursts over connections that the server closes after they were idle for a second: some
/// requests come before its farewell, some after, and some cross it.
const AROUND_A_SECOND: [u64; 5] = [1_010, 1_000, 990, 1_002, 996];

/// A small pool's settings.
fn config(max_connections: usize) -> PoolConfig {
    PoolConfig {
        max_connections: NonZeroUsize::new(max_connections).unwrap(),
        ..PoolConfig::default()
    }
}
