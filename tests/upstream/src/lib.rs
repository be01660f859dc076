//! The HTTP APIs of Voyage, Cohere, OpenAI and Qdrant served on this machine, with real answers and faults to order.
//!
//! Vectors come from a static table of word pieces (256 dimensions unless a request asks for another number), reranking
//! is lexical, chat answers repeat the question, and Qdrant's collections are held in memory and searched exactly. So a
//! test or a demonstration runs every request a program makes, and sees plausible results, without a key or a network.
//!
//! ```
//! # async fn example() -> anyhow::Result<()> {
//! use weir_upstream::{Api, Fault, FaultKind, Upstream};
//!
//! let upstream = Upstream::builder().api_key("secret").start().await?;
//! let base_url = upstream.voyage_url();
//! upstream.order(Fault::too_many_requests(1).on(Api::Voyage));
//! upstream.order(Fault::new(FaultKind::Close).on(Api::Voyage).path("/rerank"));
//! // … run the program under test against `base_url` …
//! assert_eq!(upstream.stats().connections.open, 0);
//! for request in upstream.requests(Api::Voyage) {
//!     assert_eq!(request.header("authorization"), Some("Bearer secret"));
//! }
//! # Ok(())
//! # }
//! ```
//!
//! Every API is served under its name on one port (`…/voyage/v1/embeddings`), at the root of a port of its own, and with
//! TLS where that is asked for. The same is done over HTTP on a port of its own (`/_control/stats`, `/faults`, `/latency`,
//! `/requests`, `/connections`), so that a program in any language can use the binary `weir-upstream`.
//!
//! A parameter that a real provider has and this server does not is refused with a message that says so, rather than
//! passed over; a route it does not serve is 404.

#![forbid(unsafe_code)]

mod answer;
mod api;
mod certificate;
mod connection;
mod control;
mod counters;
mod exchange;
mod faults;
mod listener;
mod model;
mod records;
mod server;
mod state;
mod store;

pub use api::Api;
pub use counters::{ConnectionStats, RequestStats, Stats};
pub use faults::{Always, Fault, FaultKind, Times};
pub use records::RequestRecord;
pub use server::{
    Upstream,
    builder::{Builder, DEFAULT_API_KEY},
    endpoints::{Endpoints, TlsEndpoints},
};
pub use store::{
    point::{Point, PointId},
    vector::SparseVector,
};
