//! Pieces of a `weir.toml` that leads to a local upstream.

use weir_upstream::{Api, DEFAULT_API_KEY, Upstream};

use crate::{Program, fixture};

/// The variable that holds the upstream's key in [`with_upstream`]'s programs.
const KEY_VARIABLE: &str = "UPSTREAM_KEY";

/// The table of the bundled adapter `name` at `base_url`. Keys added behind it are in it.
pub fn provider(name: &str, base_url: &str) -> String {
    format!(
        "[providers.{name}]\n\
         config.base_url = \"{base_url}\"\n\
         secrets.api_key = {{ env = \"{KEY_VARIABLE}\" }}\n\
         egress.allow_private = [\"127.0.0.1/32\"]\n"
    )
}

/// The table of the component that misbehaves on order, as the provider `bad`. Keys added behind it are in it.
pub fn misbehaver(base_url: &str) -> String {
    format!(
        "[providers.bad]\ncomponent = \"{}\"\nconfig.base_url = \"{base_url}\"\n",
        fixture("misbehaver").display()
    )
}

/// Every adapter of the upstream's APIs, each at a port of its own, with `extra` in each table, and an index by Voyage,
/// Qdrant and Cohere.
pub fn every_provider(upstream: &Upstream, extra: &str) -> String {
    let tables = Api::ALL.map(|api| provider(api.name(), &upstream.own_url_of(api)) + extra + "\n");
    format!(
        "{}\n[index]\nembedding = \"voyage\"\nsparse_embedding = \"local\"\nstore = \"qdrant\"\nrerank = \"cohere\"\n",
        tables.concat()
    )
}

/// A program with this configuration and the upstream's key.
///
/// # Errors
/// Where there is no room for its folder.
pub fn with_upstream(config: &str) -> anyhow::Result<Program> {
    Ok(Program::with_config(config)?.env(KEY_VARIABLE, DEFAULT_API_KEY))
}
