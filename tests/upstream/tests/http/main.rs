//! The server from outside: everything here goes over a socket.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test fails by panicking"
)]

mod apis;
mod client;
mod faults;
mod program;
