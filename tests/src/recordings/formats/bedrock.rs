//! Bedrock: models in their own words, and conversations in the one form for all.

use serde_json::{Value, json};

use super::super::{Auth, Case, Expected, Recording, refusal};
use super::{case_of, first, vectors};

/// Signed with a key, not shown as a bearer token.
const KEYS: &str = "secrets.access_key_id = { env = \"REPLAY_KEY\" }\n\
    secrets.secret_access_key = { env = \"REPLAY_KEY\" }\n";

pub(super) fn case(recording: &Recording) -> Result<Case, String> {
    let path = recording.path.as_deref().unwrap_or_default();
    let written = path
        .split_once("/model/")
        .and_then(|(_, rest)| rest.split('/').next())
        .unwrap_or_default();
    let model = written.replace("%3A", ":").replace("%2F", "/");
    let answer = recording.answer();
    let mut case = if path.contains("/converse") || path.ends_with("-stream") {
        chat(recording, written, &model, &answer)
    } else if path.ends_with("/rerank") || model.contains("rerank") || !answer["results"].is_null() {
        rerank(recording, written, &model, &answer)
    } else if model.contains("embed") {
        embed(recording, written, &model, &answer)
    } else {
        return Err("no operation asks a model for this in its own words".to_owned());
    };
    case.settings = KEYS.to_owned();
    case.auth = Auth::AwsSigV4;
    Ok(case)
}

fn embed(recording: &Recording, written: &str, model: &str, answer: &Value) -> Case {
    let asked = &recording.asked;
    let embeddings = &answer["embeddings"];
    let all = first(&[&embeddings["float"], embeddings]).unwrap_or(&Value::Null);
    let vectors: Vec<&Value> = match first(&[&answer["embedding"]]) {
        Some(one) => vec![one],
        None => all
            .as_array()
            .into_iter()
            .flatten()
            .map(|item| first(&[&item["embedding"], item]).unwrap_or(item))
            .collect(),
    };
    let texts = first(&[
        &asked["texts"],
        &asked["inputText"],
        &asked["singleEmbeddingParams"]["text"]["value"],
    ]);
    let mut input = json!({
        "inputs": vectors::inputs(texts.unwrap_or(&Value::Null), vectors.len()),
        "model": model,
    });
    let dimensions = first(&[
        &asked["dimensions"],
        &asked["output_dimension"],
        &asked["embeddingConfig"]["outputEmbeddingLength"],
        &asked["singleEmbeddingParams"]["embeddingDimension"],
    ]);
    if let Some(dimensions) = dimensions {
        input["dimensions"] = dimensions.clone();
    }
    if asked["input_type"] == "search_query" {
        input["kind"] = "query".into();
    }
    let counted = recording
        .header("x-amzn-bedrock-input-token-count")
        .and_then(|count| count.parse().ok());
    let tokens = answer["inputTextTokenCount"].as_u64().or(counted).unwrap_or(0);
    let result = json!({ "vectors": vectors, "usage": { "input_tokens": tokens } });
    case_of(recording, "embed", &format!("/model/{written}/invoke"), input, result)
}

fn rerank(recording: &Recording, written: &str, model: &str, answer: &Value) -> Case {
    let asked = &recording.asked;
    let results = &answer["results"];
    let mut input = json!({
        "query": asked["query"].as_str().unwrap_or("a question"),
        "documents": vectors::documents(&asked["documents"], results),
    });
    if !model.is_empty() {
        input["model"] = model.into();
    }
    let answered = results.as_array().map_or(Value::Null, |results| results.len().into());
    if let Some(top_n) = first(&[&asked["top_n"], &answered]) {
        input["top_n"] = top_n.clone();
    }
    let score = ["relevance_score", "relevanceScore"]
        .into_iter()
        .find(|score| results[0].get(score).is_some());
    let result = json!({ "results": vectors::ranking(results, score.unwrap_or_default()) });
    // The agent's answer differs in that field alone.
    case_of(recording, "rerank", &format!("/model/{written}/invoke"), input, result)
}

fn chat(recording: &Recording, written: &str, model: &str, answer: &Value) -> Case {
    let asked = recording.asked["messages"].as_array().into_iter().flatten();
    let messages: Vec<Value> = asked
        .filter_map(|message| {
            let role = message["role"].as_str()?;
            let text = text(&message["content"]);
            (!text.is_empty()).then(|| json!({ "role": role, "content": text }))
        })
        .collect();
    let mut input = json!({ "messages": messages, "model": model });
    if messages.is_empty() {
        input["messages"] = json!([{ "role": "user", "content": "hello" }]);
    }
    let action = if recording.is_streamed() {
        "converse-stream"
    } else {
        "converse"
    };
    let sent = format!("/model/{written}/{action}");
    let case = case_of(recording, "chat", &sent, input, Value::Null);
    if !matches!(case.expected, Expected::Result(_)) {
        return case;
    }
    let expected = if case.streams {
        streamed(&recording.body)
    } else {
        let content = &answer["output"]["message"]["content"];
        let blocks = content.as_array().into_iter().flatten();
        let calls: Vec<Value> = blocks
            .map(|block| &block["toolUse"])
            .filter(|call| !call.is_null() && !is_theirs(call))
            .map(
                |call| json!({ "id": call["toolUseId"], "name": call["name"], "arguments": call["input"].to_string() }),
            )
            .collect();
        Expected::Result(json!({
            "text": text(content),
            "tool_calls": calls,
            "finish": finish(&answer["stopReason"]),
            "usage": usage(&answer["usage"]),
        }))
    };
    Case { expected, ..case }
}

/// What the messages of a stream say together.
fn streamed(body: &[u8]) -> Expected {
    let (mut words, mut result) = (String::new(), json!({}));
    let mut calls: Vec<Value> = Vec::new();
    for (head, event) in messages(body) {
        let head = String::from_utf8_lossy(head);
        if head.contains(":exception-type") {
            let statuses = [
                ("validationException", 400),
                ("throttlingException", 429),
                ("modelStreamErrorException", 424),
            ];
            let known = statuses.iter().find(|(name, _)| head.contains(name));
            return refusal::inside(
                &json!({ "code": known.map_or(500, |(_, status)| *status), "message": event["message"] }),
            );
        }
        words += event["delta"]["text"].as_str().unwrap_or_default();
        let begun = &event["start"]["toolUse"];
        if !begun.is_null() {
            calls.push(
                json!({ "id": begun["toolUseId"], "name": begun["name"], "arguments": "", "type": begun["type"] }),
            );
        }
        if let (Some(call), Some(more)) = (calls.last_mut(), event["delta"]["toolUse"]["input"].as_str()) {
            call["arguments"] = (call["arguments"].as_str().unwrap_or_default().to_owned() + more).into();
        }
        if !event["stopReason"].is_null() {
            result["finish"] = finish(&event["stopReason"]);
        }
        if !event["usage"].is_null() {
            result["usage"] = usage(&event["usage"]);
        }
    }
    calls.retain(|call| !is_theirs(call));
    for call in calls.iter_mut().filter_map(Value::as_object_mut) {
        call.remove("type");
    }
    result["text"] = words.into();
    result["tool_calls"] = calls.into();
    Expected::Result(result)
}

/// Of a call that the provider answers itself.
fn is_theirs(call: &Value) -> bool {
    call["type"] == "server_tool_use"
}

/// The event stream's messages: the bytes of their headers, and their payloads.
fn messages(mut bytes: &[u8]) -> Vec<(&[u8], Value)> {
    let mut messages = Vec::new();
    while let Some((lengths, _)) = bytes.split_first_chunk::<8>() {
        let length = |at: usize| {
            lengths
                .iter()
                .skip(at)
                .take(4)
                .fold(0_usize, |sum, byte| sum << 8 | usize::from(*byte))
        };
        let Some((message, rest)) = bytes.split_at_checked(length(0)) else {
            break;
        };
        // 12 bytes of lengths and their checksum before, 4 of a checksum behind.
        let inner = message.get(12..message.len().saturating_sub(4)).unwrap_or_default();
        let (head, payload) = inner.split_at(length(4).min(inner.len()));
        messages.push((head, serde_json::from_slice(payload).unwrap_or(Value::Null)));
        bytes = rest;
    }
    messages
}

fn text(content: &Value) -> String {
    let blocks = content.as_array().into_iter().flatten();
    blocks.filter_map(|block| block["text"].as_str()).collect()
}

fn finish(reason: &Value) -> Value {
    match reason.as_str() {
        Some("end_turn" | "stop_sequence") => "stop".into(),
        Some("max_tokens") => "length".into(),
        Some("tool_use") => "tool-calls".into(),
        Some("guardrail_intervened" | "content_filtered") => "content-filter".into(),
        _ => reason.clone(),
    }
}

fn usage(usage: &Value) -> Value {
    let tokens = |name: &str| usage[name].as_u64().unwrap_or(0);
    let cached = tokens("cacheReadInputTokens") + tokens("cacheWriteInputTokens");
    json!({ "input_tokens": tokens("inputTokens") + cached, "output_tokens": tokens("outputTokens") })
}
