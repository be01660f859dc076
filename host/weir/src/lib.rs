//! Pooled HTTP for sandboxed provider adapters: gateway, indexer and search.
//!
//! The binary `weir` is a thin shell over this library.
//!
//! | module | subject |
//! |---|---|
//! | [`cli`], [`commands`] | the command line |
//! | [`config`], [`presets`] | `weir.toml`, the environment, and what needs no configuration |
//! | [`host`], [`inventory`], [`bundled`] | the configured providers over one runtime |
//! | [`pool_use`], [`table`] | what a command asked of the pools, and tables for people |
//! | `remedy` | what can be done about a call that failed |
//! | [`operations`] | a provider's operations as JSON |
//! | [`server`] | the HTTP API |
//! | [`mod@bench`] | a load, and what it came to |
//! | [`index`], [`search`] | a tree of files as vectors, and questions to it |
//! | [`mcp`] | searches for coding assistants |
//! | [`scaffold`] | the crate of a new adapter |

#![forbid(unsafe_code)]

pub mod bench;
pub mod bundled;
pub mod cli;
pub mod commands;
pub mod config;
#[cfg(test)]
mod failing;
pub mod host;
pub mod index;
pub mod inventory;
pub mod mcp;
pub mod operations;
pub mod pool_use;
pub mod presets;
mod remedy;
pub mod scaffold;
pub mod search;
pub mod server;
mod suggest;
pub mod table;
pub mod telemetry;
