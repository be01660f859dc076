//! What a provider's recordings mean. A provider without a module of its own speaks OpenAI's API.

mod anthropic;
mod azure;
mod bedrock;
mod cohere;
mod conversation;
mod google;
mod huggingface;
mod openai;
mod qdrant;
mod tavily;
mod vectors;
mod voyage;

use serde_json::Value;

use super::{Auth, Case, Expected, Recording, refusal};
use openai::Dialect;

/// The operation that asks for a recording; the error says why there is none.
///
/// # Errors
/// If the recording is of something that no operation does, or that no module here reads.
pub fn case(recording: &Recording) -> Result<Case, String> {
    match recording.provider.as_str() {
        "anthropic" => anthropic::case(recording),
        "azure" => azure::case(recording),
        "bedrock" => bedrock::case(recording),
        "cohere" => cohere::case(recording),
        "google" => google::case(recording),
        "huggingface" => huggingface::case(recording),
        "perplexity" => openai::case(recording, &Dialect::PERPLEXITY),
        "qdrant" | "qdrant-server" => qdrant::case(recording),
        "tavily" => tavily::case(recording),
        "voyage" => voyage::case(recording),
        _ => openai::case(recording, &Dialect::OPENAI),
    }
}

/// The preset that the recording's provider is, which is the component's name in the provider's table.
pub fn preset(recording: &Recording) -> &str {
    match recording.provider.as_str() {
        "qdrant-server" => "qdrant",
        // Cohere's own server of OpenAI's API.
        "cohere" if openai::is_chat(recording) => "openai",
        provider => provider,
    }
}

/// A case of `operation` that is answered with `result`, or with the error that was recorded; `path` is what follows
/// the base in the recorded path.
fn case_of(recording: &Recording, operation: &'static str, path: &str, input: Value, result: Value) -> Case {
    let base = recording
        .path
        .as_deref()
        .and_then(|recorded| recorded.strip_suffix(path));
    let expected = if !recording.is_success() {
        refusal::of(recording)
    } else if recording.path.is_some() && base.is_none() {
        Expected::Malformed
    } else {
        Expected::Result(result)
    };
    Case {
        operation,
        input,
        streams: operation == "chat" && recording.is_streamed(),
        base: base.unwrap_or_default().to_owned(),
        settings: String::new(),
        target: base.map(|_| path.to_owned() + &query(recording)),
        auth: Auth::Bearer,
        expected,
    }
}

/// The recorded query, without a key.
fn query(recording: &Recording) -> String {
    let pairs = recording.query.iter().filter(|(name, _)| name != "key");
    let query: Vec<String> = pairs.map(|(name, value)| format!("{name}={value}")).collect();
    if query.is_empty() {
        String::new()
    } else {
        format!("?{}", query.join("&"))
    }
}

/// The first of these that is there.
fn first<'v>(values: &[&'v Value]) -> Option<&'v Value> {
    values.iter().copied().find(|value| !value.is_null())
}
