//! Runs provider adapters as WebAssembly components and lends them pooled HTTP.
//!
//! A [`Runtime`] compiles a component, admits it, and gives a [`Provider`]: typed operations (`embed`, `rerank`,
//! `query`, …), each of which leases one instance of the component for its own time. The component reaches the
//! network only through `weir:provider/pooled-http`, or through `wasi:http` where it may, which this crate lends: where a request may go, which secret
//! goes with it and on which [`weir_pool::Pool`] it travels is decided here, outside the sandbox.
//!
//! | module | subject |
//! |---|---|
//! | `component` | bytes to an admitted, compiled component |
//! | `instance` | instances, their limits, and the lease of one to a call |
//! | `lend` | `pooled-http`: egress, headers, credentials, the pool |
//! | `storage` | `wasi:keyvalue` for stateful providers |
//! | `succession` | a provider that takes the place of another |
//! | `provider` | the operations a caller sees |
//! | `estimate` | how many tokens a text will be |
#![deny(unsafe_code)] // `component::cache` holds the one exception

mod bindings;
mod capability;
mod component;
mod error;
pub mod estimate;
#[cfg(fuzzing)]
#[doc(hidden)]
pub mod fuzzing;
mod instance;
mod lend;
mod origin;
mod provider;
mod runtime;
mod spec;
mod storage;
mod succession;

pub use bindings::v0_1_0::{
    chat, embedding, metadata, models, reranking, sparse_embedding, types, vector_store, web_search,
};
pub use capability::Capability;
pub use component::inspect::{Inspection, WasiGrant, WasiMode};
pub use error::{CallError, CallErrorKind, LoadError, Part, RuntimeError};
pub use instance::lease::InstanceStats;
pub use origin::{InvalidOrigin, Origin};
pub use provider::{Provider, chat_stream::ChatStream, stats::ProviderStats};
pub use runtime::{Runtime, RuntimeOptions};
pub use spec::{CallLimits, EgressGrant, Isolation, Limits, ProviderSpec, SecretGrant};
pub use succession::Successor;
