//! Every fault a server can have, over each version of HTTP, in clear text and under TLS; and after each of them the
//! same question: do the pool, the operating system and the server still agree on what is open?

// The peers are tests too, though not functions marked as such.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

#[macro_use]
mod way;

mod broken_frames;
mod certificates;
mod early_answers;
mod endings;
mod frames;
mod goodbyes;
mod lengths;
mod line;
mod order;
#[path = "../promises/peers.rs"]
#[allow(dead_code)] // Its peers serve the other tests; the caller's shorthands serve both.
mod peers;
mod race;
mod rig;
mod silences;
mod sockets;
mod storm;
mod streams;
mod tls;
