//! The HTTP API of `weir serve`: OpenAI's, Cohere's, Jina's and Voyage's shapes over the configured providers.
//!
//! A request comes in through [`connections`], is named and timed by [`observe`], let in by [`auth`], and led by
//! [`routes`] to one of the shapes; [`resolve`] says whom to ask, [`attempt`] asks, [`error`] gives every failure the
//! shape that clients know. [`reload`] takes the server from one configuration to the next.

mod allowance;
mod app;
mod attempt;
mod auth;
mod backend;
mod chat;
mod chat_request;
mod chat_stream;
mod connections;
mod dashboard;
mod embed;
mod embeddings;
mod error;
#[cfg(test)]
pub(crate) mod fake;
mod gathered;
mod health;
mod host_backend;
mod json;
mod lifecycle;
mod listen;
mod metrics;
mod models;
mod observe;
mod openapi;
mod operation;
mod pace;
mod patient;
mod pools;
mod providers;
mod refusal;
mod reload;
pub(crate) mod reloads;
mod request_id;
mod rerank;
mod resolve;
mod routes;
mod web_search;

pub use auth::EmptyKey;
pub use listen::{ServeError, Server};
pub use reload::Reloader;
