//! A conversation as OpenAI's API writes it, which Cohere's and others' follow, as the operation `chat` takes it.

use serde_json::{Map, Value, json};

/// Fields of the request's body that the operation has fields for.
const OWN: [&str; 10] = [
    "model",
    "messages",
    "max_tokens",
    "max_completion_tokens",
    "temperature",
    "tools",
    "stream",
    "stream_options",
    "inputs",
    "prompt",
];

/// The operation's input. What it can't carry is left out or stands as a text: the answer is a recorded one.
pub(super) fn input(asked: &Value) -> Value {
    let mut messages: Vec<Value> = asked["messages"]
        .as_array()
        .into_iter()
        .flatten()
        .map(message)
        .collect();
    if messages.is_empty() {
        messages.push(json!({ "role": "user", "content": "hello" }));
    }
    let mut input = json!({ "messages": messages });
    let limit = super::first(&[&asked["max_tokens"], &asked["max_completion_tokens"]]);
    for (name, value) in [
        ("model", Some(&asked["model"])),
        ("max_tokens", limit),
        ("temperature", Some(&asked["temperature"])),
    ] {
        if let Some(value) = value.filter(|value| !value.is_null()) {
            input[name] = value.clone();
        }
    }
    let tools: Vec<Value> = asked["tools"]
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(tool)
        .collect();
    if !tools.is_empty() {
        input["tools"] = tools.into();
    }
    let further = asked.as_object().into_iter().flatten();
    let further: Map<String, Value> = further
        .filter(|(name, value)| !OWN.contains(&name.as_str()) && !value.is_null())
        .map(|(name, value)| (name.clone(), value.clone()))
        .collect();
    input["parameters"] = further.into();
    input
}

fn message(message: &Value) -> Value {
    let role = message["role"].as_str().unwrap_or("user");
    let mut own = json!({ "role": role, "content": content(&message["content"]) });
    let calls: Vec<Value> = message["tool_calls"]
        .as_array()
        .into_iter()
        .flatten()
        .map(call)
        .collect();
    if !calls.is_empty() {
        own["tool_calls"] = calls.into();
    }
    if message["tool_call_id"].is_string() {
        own["tool_call_id"] = message["tool_call_id"].clone();
    }
    own
}

fn content(content: &Value) -> Value {
    match content {
        Value::String(_) | Value::Null => content.clone(),
        Value::Array(parts) => parts
            .iter()
            .map(|part| match part["type"].as_str() {
                Some("text") => json!({ "type": "text", "text": part["text"] }),
                Some("image_url") => {
                    let url = super::first(&[&part["image_url"]["url"], &part["image_url"]]);
                    json!({ "type": "image_url", "image_url": { "url": url } })
                }
                other => json!({ "type": "text", "text": format!("({})", other.unwrap_or("something")) }),
            })
            .collect(),
        other => other.to_string().into(),
    }
}

fn tool(tool: &Value) -> Option<Value> {
    let function = &tool["function"];
    let mut own = json!({ "name": function["name"].as_str()? });
    if function["description"].is_string() {
        own["description"] = function["description"].clone();
    }
    if function["parameters"].is_object() {
        own["parameters"] = function["parameters"].clone();
    }
    Some(own)
}

/// A tool call of a message.
pub(super) fn call(call: &Value) -> Value {
    let called = super::first(&[&call["function"], &call["custom"]]).unwrap_or(&Value::Null);
    let arguments = super::first(&[&called["arguments"], &called["input"]]).and_then(Value::as_str);
    json!({
        "id": call["id"].as_str().unwrap_or_default(),
        "name": called["name"],
        "arguments": arguments.unwrap_or_default(),
    })
}

/// A text, or the texts among parts.
pub(super) fn text(content: &Value) -> String {
    match content {
        Value::String(text) => text.clone(),
        Value::Array(parts) => parts.iter().filter_map(|part| part["text"].as_str()).collect(),
        _ => String::new(),
    }
}

/// Why an answer ended, as the contract calls it.
pub(super) fn finish(reason: &str) -> &str {
    match reason {
        "tool_calls" | "function_call" => "tool-calls",
        "content_filter" => "content-filter",
        "eos" => "stop",
        "model_length" => "length",
        other => other,
    }
}
