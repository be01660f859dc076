//! What a provider adapter for weir is written with.
//!
//! An adapter is a WebAssembly component that speaks one provider's API on one side and weir's contract (`wit/`) on
//! the other. It holds no key, opens no connection, retries nothing: the host lends it HTTP. What adapters have in
//! common is here, so that an adapter's own code is what its provider does differently.
//!
//! | module | has |
//! |---|---|
//! | [`provider!`] | the exports of an adapter, generated |
//! | [`manifest`], [`Setting`] | what an adapter says of itself and takes from the operator |
//! | [`request`], [`response`] | JSON over the lent HTTP |
//! | [`failure`] | a refusal turned into an [`Error`], the provider's words kept |
//! | [`json`] | answers decoded, errors naming their place |
//! | [`sse`], [`eventstream`], [`events`], [`streaming`] | answers that come in events |
//! | [`vectors`], [`ranking`] | batches of results, checked |
//! | [`chat`] | the contract's records of conversations |
//!
//! Everything but the sending itself is plain Rust, tested on the machine itself (`cargo native-test`).

mod bindings;
mod retry_after;
mod words;

pub mod chat;
pub mod events;
pub mod eventstream;
pub mod failure;
pub mod json;
pub mod manifest;
mod provider;
pub mod ranking;
pub mod request;
pub mod response;
mod setting;
pub mod sse;
pub mod streaming;
pub mod url;
pub mod vectors;

pub use bindings::wasi::{config::store as config, keyvalue};
pub use bindings::weir::provider::{pooled_http, types};
pub use events::Events;
pub use manifest::{Limits, Manifest};
pub use request::Request;
pub use response::Response;
pub use setting::Setting;
pub use types::{Error, Failure};
#[doc(hidden)]
pub use wit_bindgen;
