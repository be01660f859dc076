//! The Gemini API.

use serde_json::{Value, json};

use super::super::{Auth, Case, Expected, Recording};
use super::case_of;

pub(super) fn case(recording: &Recording) -> Result<Case, String> {
    let path = recording.path.as_deref().unwrap_or_default();
    let (model, method) = path
        .rsplit_once("/models/")
        .and_then(|(_, call)| call.split_once(':'))
        .unwrap_or(("a-model", ""));
    let answer = recording.answer();
    let is_list = recording.path.as_deref().is_some_and(|path| path.ends_with("/models"));
    let mut case = if is_list || answer["models"][0]["name"].is_string() {
        if answer["nextPageToken"].is_string() {
            return Err("one page of several".to_owned());
        }
        list(recording, &answer)
    } else if method.contains("mbed") || method == "countTokens" || !answer["embeddings"].is_null() {
        embed(recording, model, &answer)
    } else {
        chat(recording, model, &answer)
    };
    case.auth = Auth::Header("x-goog-api-key");
    Ok(case)
}

fn list(recording: &Recording, answer: &Value) -> Case {
    let models = answer["models"].as_array().into_iter().flatten();
    let ids =
        models.map(|model| json!({ "id": model["name"].as_str().unwrap_or_default().trim_start_matches("models/") }));
    let result = json!({ "models": ids.collect::<Vec<_>>() });
    let mut case = case_of(recording, "models", "/models", json!({}), result);
    // The page's size is the adapter's to choose.
    case.target = None;
    case
}

fn embed(recording: &Recording, model: &str, answer: &Value) -> Case {
    let asked = &recording.asked["requests"];
    let texts: Vec<&Value> = asked
        .as_array()
        .into_iter()
        .flatten()
        .map(|request| &request["content"]["parts"][0]["text"])
        .collect();
    let texts: Vec<&str> = texts.into_iter().filter_map(Value::as_str).collect();
    let vectors: Vec<&Value> = answer["embeddings"]
        .as_array()
        .into_iter()
        .flatten()
        .map(|item| &item["values"])
        .collect();
    let mut input = json!({ "inputs": texts, "model": model });
    if texts.is_empty() {
        input["inputs"] = vec!["a text"; vectors.len().max(1)].into();
    }
    let dimensions = super::first(&[&asked[0]["outputDimensionality"], &asked[0]["output_dimensionality"]]);
    if let Some(dimensions) = dimensions {
        input["dimensions"] = dimensions.clone();
    }
    match asked[0]["taskType"].as_str() {
        Some("RETRIEVAL_QUERY") => input["kind"] = "query".into(),
        Some("RETRIEVAL_DOCUMENT") => input["kind"] = "document".into(),
        _ => {}
    }
    let sent = format!("/models/{model}:batchEmbedContents");
    case_of(recording, "embed", &sent, input, json!({ "vectors": vectors }))
}

fn chat(recording: &Recording, model: &str, answer: &Value) -> Case {
    let asked = &recording.asked;
    let messages = asked["contents"].as_array().into_iter().flatten().map(|content| {
        let role = if content["role"] == "model" {
            "assistant"
        } else {
            "user"
        };
        json!({ "role": role, "content": text(content) })
    });
    let mut messages: Vec<Value> = messages.collect();
    if messages.is_empty() {
        messages.push(json!({ "role": "user", "content": "hello" }));
    }
    let input = json!({ "messages": messages, "model": model });
    let streams = recording
        .path
        .as_deref()
        .is_some_and(|path| path.contains("streamGenerateContent"));
    let method = if streams {
        "streamGenerateContent"
    } else {
        "generateContent"
    };
    let sent = format!("/models/{model}:{method}");
    let mut case = case_of(recording, "chat", &sent, input, Value::Null);
    case.streams |= streams;
    if matches!(case.expected, Expected::Result(_)) {
        let chunks = if case.streams {
            recording.events()
        } else {
            vec![answer.clone()]
        };
        case.expected = Expected::Result(said(&chunks));
    }
    case
}

/// What the chunks of an answer say together.
fn said(chunks: &[Value]) -> Value {
    let mut result = json!({});
    let mut words = String::new();
    let mut calls = Vec::new();
    for chunk in chunks {
        let candidate = &chunk["candidates"][0];
        words += &text(&candidate["content"]);
        let parts = candidate["content"]["parts"].as_array().into_iter().flatten();
        calls.extend(parts.filter_map(|part| part.get("functionCall")).map(call));
        if let Some(reason) = candidate["finishReason"].as_str() {
            result["finish"] = finish(reason, !calls.is_empty()).into();
        }
        let usage = &chunk["usageMetadata"];
        if !usage.is_null() {
            let tokens = |name: &str| usage[name].as_u64().unwrap_or(0);
            result["usage"] = json!({
                "input_tokens": tokens("promptTokenCount") + tokens("toolUsePromptTokenCount"),
                "output_tokens": tokens("candidatesTokenCount") + tokens("thoughtsTokenCount"),
            });
        }
    }
    if !chunks
        .iter()
        .any(|chunk| chunk["promptFeedback"]["blockReason"].is_null())
    {
        result["finish"] = "content-filter".into();
    }
    result["text"] = words.into();
    result["tool_calls"] = calls.into();
    result
}

/// A call but for its id, which carries more than the recorded one.
fn call(call: &Value) -> Value {
    let arguments = if call["args"].is_null() {
        json!({})
    } else {
        call["args"].clone()
    };
    json!({ "name": call["name"], "arguments": arguments.to_string() })
}

fn finish(reason: &str, calls: bool) -> &str {
    match reason {
        "STOP" if calls => "tool-calls",
        "STOP" => "stop",
        "MAX_TOKENS" => "length",
        "SAFETY" | "RECITATION" | "BLOCKLIST" | "PROHIBITED_CONTENT" | "SPII" => "content-filter",
        other => other,
    }
}

/// The texts of a content's parts, but for thoughts.
fn text(content: &Value) -> String {
    let parts = content["parts"].as_array().into_iter().flatten();
    parts
        .filter(|part| part["thought"] != true)
        .filter_map(|part| part["text"].as_str())
        .collect()
}
