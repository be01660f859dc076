//! What is asked of the program for a recording, and what it is to answer.

use serde_json::{Map, Value, json};

use super::refusal::Refusal;

/// One operation that asks for a recording.
#[derive(Debug, Clone)]
pub struct Case {
    /// The operation's name.
    pub operation: &'static str,
    /// Its input; `stream` is added for [`Case::streams`].
    pub input: Value,
    /// Whether the answer is asked for in events.
    pub streams: bool,
    /// What of the recorded path belongs to `base_url`.
    pub base: String,
    /// Further lines of the provider's table, each with its line's end.
    pub settings: String,
    /// The path and query that must be sent, after the base; none where the recording is of an API the adapter does not
    /// speak, or has no request.
    pub target: Option<String>,
    /// How the key must be shown.
    pub auth: Auth,
    /// What the program is to answer.
    pub expected: Expected,
}

/// How a request shows its key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Auth {
    /// `Authorization: Bearer`.
    Bearer,
    /// A header field of this name that is the key.
    Header(&'static str),
    /// `Authorization: AWS4-HMAC-SHA256`.
    AwsSigV4,
}

/// What the program is to answer.
#[derive(Debug, Clone)]
pub enum Expected {
    /// This result: each field that stands here.
    Result(Value),
    /// This error.
    Refusal(Refusal),
    /// An answer of another API, which is no answer to the operation: never a result, always `malformed-response`.
    Malformed,
}

/// A streamed answer as a whole one: `{model, text, tool_calls, finish, usage}`, and `error` where it ended with one.
pub fn whole(events: &[Value]) -> Value {
    let mut whole = json!({ "text": "", "tool_calls": [] });
    let mut calls: Vec<(u64, Map<String, Value>)> = Vec::new();
    let mut text = String::new();
    for event in events {
        match event["event"].as_str() {
            Some("start") => whole["model"] = event["model"].clone(),
            Some("text") => text.push_str(event["text"].as_str().unwrap_or_default()),
            Some("tool-call") => add_to_call(&mut calls, event),
            Some("finish") => whole["finish"] = event["finish"].clone(),
            Some("usage") => whole["usage"] = event["usage"].clone(),
            _ => whole["error"] = event["error"].clone(),
        }
    }
    whole["text"] = text.into();
    whole["tool_calls"] = calls.into_iter().map(|(_, call)| Value::Object(call)).collect();
    whole
}

fn add_to_call(calls: &mut Vec<(u64, Map<String, Value>)>, event: &Value) {
    let index = event["index"].as_u64().unwrap_or_default();
    let at = calls.iter().position(|(found, _)| *found == index).unwrap_or_else(|| {
        calls.push((index, Map::new()));
        calls.len() - 1
    });
    let Some((_, call)) = calls.get_mut(at) else { return };
    for field in ["id", "name"] {
        if let Some(value) = event.get(field).filter(|value| !value.is_null()) {
            call.insert(field.to_owned(), value.clone());
        }
    }
    let arguments = call.entry("arguments").or_insert_with(|| "".into());
    let more = event["arguments"].as_str().unwrap_or_default();
    *arguments = format!("{}{more}", arguments.as_str().unwrap_or_default()).into();
}

/// Where `found` differs from what is expected, if it does. Numbers are equal where they are as 32-bit floats, which
/// is what a vector is made of.
pub fn difference(path: &str, expected: &Value, found: &Value) -> Option<String> {
    let unlike = || Some(format!("{path}: {} instead of {}", short(found), short(expected)));
    match (expected, found) {
        (Value::Object(expected), Value::Object(found)) => expected.iter().find_map(|(key, value)| {
            difference(&format!("{path}.{key}"), value, found.get(key).unwrap_or(&Value::Null))
        }),
        (Value::Array(expected), Value::Array(found)) if expected.len() == found.len() => {
            let pairs = expected.iter().zip(found).enumerate();
            pairs
                .into_iter()
                .find_map(|(index, (expected, found))| difference(&format!("{path}[{index}]"), expected, found))
        }
        (Value::Number(expected), Value::Number(found)) => {
            let single = |number: &serde_json::Number| number.as_f64().map(|number| number as f32);
            if expected == found || single(expected) == single(found) {
                None
            } else {
                unlike()
            }
        }
        _ if expected == found => None,
        (Value::String(expected), Value::String(found)) if path.ends_with(".arguments") => {
            match (parsed(expected), parsed(found)) {
                (Some(expected), Some(found)) => difference(path, &expected, &found),
                _ => unlike(),
            }
        }
        _ => unlike(),
    }
}

/// A call's arguments, which some write with spaces; a text among them is none.
fn parsed(arguments: &str) -> Option<Value> {
    serde_json::from_str(arguments)
        .ok()
        .filter(|value: &Value| !value.is_string())
}

fn short(value: &Value) -> String {
    /// Enough to tell two values apart.
    const LENGTH: usize = 200;
    let mut text = value.to_string();
    if text.len() > LENGTH {
        text.truncate(text.floor_char_boundary(LENGTH));
        text.push('…');
    }
    text
}
