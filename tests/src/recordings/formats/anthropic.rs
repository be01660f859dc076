//! Anthropic's API.

use serde_json::{Value, json};

use super::super::{Auth, Case, Expected, Recording, refusal};
use super::{case_of, conversation};

pub(super) fn case(recording: &Recording) -> Result<Case, String> {
    let answer = recording.answer();
    let is_list = recording.path.as_deref().is_some_and(|path| path.ends_with("/models"));
    let mut case = if is_list || answer["data"][0]["type"] == "model" {
        let models = answer["data"].as_array().into_iter().flatten();
        let ids: Vec<Value> = models.map(|model| json!({ "id": model["id"] })).collect();
        let mut case = case_of(recording, "models", "/models", json!({}), json!({ "models": ids }));
        // The page's size is the adapter's to choose.
        case.target = None;
        case
    } else {
        chat(recording, &answer)
    };
    case.auth = Auth::Header("x-api-key");
    Ok(case)
}

fn chat(recording: &Recording, answer: &Value) -> Case {
    let asked = recording.asked["messages"].as_array().into_iter().flatten();
    let messages: Vec<Value> = asked
        .map(|message| json!({ "role": message["role"], "content": conversation::text(&message["content"]) }))
        .filter(|message| message["content"] != "")
        .collect();
    let mut input = json!({
        "messages": messages,
        "model": recording.asked["model"].as_str().unwrap_or("a-model"),
    });
    if messages.is_empty() {
        input["messages"] = json!([{ "role": "user", "content": "hello" }]);
    }
    let case = case_of(recording, "chat", "/messages", input, Value::Null);
    if !matches!(case.expected, Expected::Result(_)) {
        return case;
    }
    let expected = if case.streams {
        streamed(&recording.events())
    } else {
        Expected::Result(said(answer, &answer["content"]))
    };
    Case { expected, ..case }
}

/// What a message says that has these blocks.
fn said(message: &Value, blocks: &Value) -> Value {
    let blocks: Vec<&Value> = blocks.as_array().into_iter().flatten().collect();
    let texts = blocks.iter().filter(|block| block["type"] == "text");
    let calls = blocks.iter().filter(|block| block["type"] == "tool_use");
    let calls: Vec<Value> = calls
        .map(|call| json!({ "id": call["id"], "name": call["name"], "arguments": call["input"].to_string() }))
        .collect();
    json!({
        "model": message["model"],
        "text": texts.filter_map(|block| block["text"].as_str()).collect::<String>(),
        "tool_calls": calls,
        "finish": match message["stop_reason"].as_str() {
            Some("end_turn" | "stop_sequence") => "stop",
            Some("max_tokens") => "length",
            Some("tool_use") => "tool-calls",
            Some("refusal") => "content-filter",
            other => other.unwrap_or_default(),
        },
        "usage": usage(&message["usage"]),
    })
}

/// What came out of the cache, or went into it, is not among the input tokens.
fn usage(usage: &Value) -> Value {
    let tokens = |name: &str| usage[name].as_u64().unwrap_or(0);
    let input = ["input_tokens", "cache_creation_input_tokens", "cache_read_input_tokens"];
    json!({ "input_tokens": input.into_iter().map(tokens).sum::<u64>(), "output_tokens": tokens("output_tokens") })
}

/// What the events of a message say together.
fn streamed(events: &[Value]) -> Expected {
    let mut message = json!({});
    let mut blocks: Vec<Value> = Vec::new();
    let mut arguments = String::new();
    for event in events {
        let delta = &event["delta"];
        match event["type"].as_str() {
            Some("message_start") => message = event["message"].clone(),
            Some("content_block_start") => {
                arguments.clear();
                blocks.push(event["content_block"].clone());
            }
            Some("content_block_delta") => {
                arguments += delta["partial_json"].as_str().unwrap_or_default();
                if let (Some(block), Some(more)) = (blocks.last_mut(), delta["text"].as_str()) {
                    block["text"] = (block["text"].as_str().unwrap_or_default().to_owned() + more).into();
                }
            }
            Some("content_block_stop") => {
                if let (Some(block), Ok(input)) = (blocks.last_mut(), serde_json::from_str::<Value>(&arguments)) {
                    block["input"] = input;
                }
            }
            Some("message_delta") => {
                message["stop_reason"] = delta["stop_reason"].clone();
                for (name, tokens) in event["usage"].as_object().into_iter().flatten() {
                    if tokens.is_u64() {
                        message["usage"][name] = tokens.clone();
                    }
                }
            }
            Some("error") => return refusal::inside(&event["error"]),
            _ => {}
        }
    }
    Expected::Result(said(&message, &blocks.into()))
}
