//! Which model a call means: the settings for it, the same in every adapter.

use weir_guest::{Error, Manifest, Setting};

/// For every operation that has no setting of its own.
pub const MODEL: Setting = Setting::new(
    "model",
    "The model when a call names none and the operation has no setting of its own.",
);
/// For `embed`.
pub const EMBEDDING_MODEL: Setting = Setting::new("embedding_model", "The embedding model when a call names none.");
/// For `chat`.
pub const CHAT_MODEL: Setting = Setting::new("chat_model", "The chat model when a call names none.");
/// For `rerank`.
pub const RERANK_MODEL: Setting = Setting::new("rerank_model", "The reranking model when a call names none.");

/// What an adapter with embeddings and chat tells of its models: the settings for them, and the defaults.
pub fn told(manifest: Manifest, embedding: &str, chat: &str) -> Manifest {
    manifest
        .setting(MODEL)
        .setting(EMBEDDING_MODEL)
        .setting(CHAT_MODEL)
        .default_model("embed", embedding)
        .default_model("chat", chat)
}

/// The call's model, else the operation's, else the one for all, else `default`.
///
/// # Errors
/// As [`Setting::get`].
pub fn choose(asked: Option<String>, of_operation: Setting, default: &str) -> Result<String, Error> {
    if let Some(model) = asked {
        return Ok(model);
    }
    let given = of_operation
        .get()?
        .map_or_else(|| MODEL.get(), |model| Ok(Some(model)))?;
    Ok(given.unwrap_or_else(|| default.to_owned()))
}
