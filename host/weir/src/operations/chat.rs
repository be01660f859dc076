//! `chat`, whole and in pieces.

use serde::{Deserialize, Deserializer};
use serde_json::{Map, Value, json};
use weir_runtime::chat::{
    Event, Finish, Message, Parameter, Part, Request, Response, Role, Tool, ToolCall, ToolCallDelta,
};
use weir_runtime::types::Usage;

use super::error::Refusal;
use super::input::{expected, filled, part, read};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Input {
    messages: Vec<MessageJson>,
    model: Option<String>,
    max_tokens: Option<u32>,
    temperature: Option<f32>,
    #[serde(default)]
    tools: Vec<ToolJson>,
    /// Further parameters of the provider's own, by name.
    #[serde(default)]
    parameters: Map<String, Value>,
    /// Read before by [`super::wants_stream`].
    #[serde(default, rename = "stream")]
    _stream: bool,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct MessageJson {
    role: RoleJson,
    #[serde(default)]
    content: ContentJson,
    #[serde(default)]
    tool_calls: Vec<ToolCallJson>,
    tool_call_id: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "lowercase")]
enum RoleJson {
    System,
    Developer,
    User,
    Assistant,
    Tool,
}

/// A text, or a list of parts: `{"type": "text", "text"}` and `{"type": "image_url", "image_url": {"url"}}`.
#[derive(Default)]
struct ContentJson(Vec<Part>);

#[derive(Deserialize)]
#[serde(tag = "type", rename_all = "snake_case", deny_unknown_fields)]
enum PartJson {
    Text { text: String },
    ImageUrl { image_url: ImageUrlJson },
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ImageUrlJson {
    url: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ToolCallJson {
    id: String,
    name: String,
    /// JSON as the model wrote it.
    arguments: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ToolJson {
    name: String,
    description: Option<String>,
    /// A JSON Schema.
    #[serde(default)]
    parameters: Map<String, Value>,
}

impl<'de> Deserialize<'de> for ContentJson {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        match Value::deserialize(deserializer)? {
            Value::Null => Ok(ContentJson(Vec::new())),
            Value::String(text) => Ok(ContentJson(vec![Part::Text(text)])),
            Value::Array(parts) => parts
                .into_iter()
                .map(|json| {
                    Ok(match part(json)? {
                        PartJson::Text { text } => Part::Text(text),
                        PartJson::ImageUrl { image_url } => Part::ImageUrl(image_url.url),
                    })
                })
                .collect::<Result<_, D::Error>>()
                .map(ContentJson),
            other => expected("a text or a list of parts", &other),
        }
    }
}

/// Reads `{messages, model?, max_tokens?, temperature?, tools?, parameters?, stream?}`.
pub(super) fn request(input: Value) -> Result<Request, Refusal> {
    let input: Input = read(input)?;
    if input
        .temperature
        .is_some_and(|temperature| !temperature.is_finite() || temperature < 0.0)
    {
        return Err(Refusal::input("`temperature` must be 0 or more"));
    }
    if input.max_tokens == Some(0) {
        return Err(Refusal::input("`max_tokens` must be above 0"));
    }
    Ok(Request {
        model: input.model,
        messages: filled("messages", input.messages)?.into_iter().map(message).collect(),
        max_tokens: input.max_tokens,
        temperature: input.temperature,
        tools: input
            .tools
            .into_iter()
            .map(|tool| Tool {
                name: tool.name,
                description: tool.description,
                parameters: schema(tool.parameters).to_string(),
            })
            .collect(),
        parameters: input
            .parameters
            .into_iter()
            .map(|(name, value)| Parameter {
                name,
                value: value.to_string(),
            })
            .collect(),
    })
}

/// A tool's JSON Schema. APIs want an object's at the root, and refuse `{}`.
pub(crate) fn schema(mut given: Map<String, Value>) -> Value {
    if given.is_empty() {
        given.insert("properties".to_owned(), Value::Object(Map::new()));
    }
    given.entry("type").or_insert_with(|| "object".into());
    Value::Object(given)
}

fn message(json: MessageJson) -> Message {
    Message {
        role: match json.role {
            RoleJson::System => Role::System,
            RoleJson::Developer => Role::Developer,
            RoleJson::User => Role::User,
            RoleJson::Assistant => Role::Assistant,
            RoleJson::Tool => Role::Tool,
        },
        content: json.content.0,
        tool_calls: json
            .tool_calls
            .into_iter()
            .map(|call| ToolCall {
                id: call.id,
                name: call.name,
                arguments: call.arguments,
            })
            .collect(),
        tool_call_id: json.tool_call_id,
    }
}

/// Writes `{id?, model, text, tool_calls, finish, usage}`.
pub(super) fn response(response: &Response) -> Value {
    let tool_calls: Vec<Value> = response
        .tool_calls
        .iter()
        .map(|call| json!({ "id": call.id, "name": call.name, "arguments": call.arguments }))
        .collect();
    let mut fields = json!({
        "model": response.model,
        "text": response.text,
        "tool_calls": tool_calls,
        "finish": finish(&response.finish),
        "usage": usage(&response.usage),
    });
    if let (Value::Object(fields), Some(id)) = (&mut fields, &response.id) {
        fields.insert("id".to_owned(), json!(id));
    }
    fields
}

/// Writes one event of a streamed answer.
pub(super) fn event(event: &Event) -> Value {
    match event {
        Event::Text(text) => json!({ "event": "text", "text": text }),
        Event::ToolCall(delta) => tool_call(delta),
        Event::Finish(reason) => json!({ "event": "finish", "finish": finish(reason) }),
        Event::Usage(consumed) => json!({ "event": "usage", "usage": usage(consumed) }),
    }
}

fn tool_call(delta: &ToolCallDelta) -> Value {
    let mut fields = json!({ "event": "tool-call", "index": delta.index, "arguments": delta.arguments });
    if let Value::Object(fields) = &mut fields {
        fields.extend(delta.id.as_ref().map(|id| ("id".to_owned(), json!(id))));
        fields.extend(delta.name.as_ref().map(|name| ("name".to_owned(), json!(name))));
    }
    fields
}

fn finish(finish: &Finish) -> &str {
    match finish {
        Finish::Stop => "stop",
        Finish::Length => "length",
        Finish::ToolCalls => "tool-calls",
        Finish::ContentFilter => "content-filter",
        Finish::Other(reason) => reason,
    }
}

fn usage(usage: &Usage) -> Value {
    json!({ "input_tokens": usage.input_tokens, "output_tokens": usage.output_tokens })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn content_is_a_text_or_parts() {
        let request = request(json!({
            "messages": [
                {"role": "system", "content": "be brief"},
                {"role": "user", "content": [
                    {"type": "text", "text": "what is it?"},
                    {"type": "image_url", "image_url": {"url": "https://x.example/a.png"}},
                ]},
                {"role": "assistant", "content": null, "tool_calls": [{"id": "1", "name": "look", "arguments": "{}"}]},
                {"role": "tool", "content": "a cat", "tool_call_id": "1"},
            ],
            "tools": [{"name": "look", "parameters": {"type": "object"}}],
            "parameters": {"top_p": 0.5},
            "temperature": 0,
            "stream": true,
        }))
        .unwrap();

        assert!(matches!(&request.messages[0].content[..], [Part::Text(text)] if text == "be brief"));
        assert!(
            matches!(&request.messages[1].content[..], [Part::Text(_), Part::ImageUrl(url)] if url.ends_with("a.png"))
        );
        assert!(request.messages[2].content.is_empty());
        assert_eq!(request.messages[2].tool_calls[0].name, "look");
        assert_eq!(request.messages[3].tool_call_id.as_deref(), Some("1"));
        assert_eq!(request.tools[0].parameters, r#"{"type":"object"}"#);
        assert_eq!(
            (
                request.parameters[0].name.as_str(),
                request.parameters[0].value.as_str()
            ),
            ("top_p", "0.5")
        );
    }

    #[test]
    fn wrong_messages_are_named() {
        for (input, expected) in [
            (json!({"messages": []}), "`messages` is empty"),
            (
                json!({"messages": [{"role": "me", "content": "x"}]}),
                "`messages[0].role`: unknown variant `me`",
            ),
            (
                json!({"messages": [{"role": "user", "content": 5}]}),
                "`messages[0].content`: expected a text or a list",
            ),
            (
                json!({"messages": [{"role": "user", "content": "x"}], "temprature": 1}),
                "unknown field `temprature`; did",
            ),
            (
                json!({"messages": [{"role": "user", "content": "x"}], "temperature": -1}),
                "`temperature` must be 0 or more",
            ),
        ] {
            let Refusal::Input(message) = request(input).unwrap_err() else {
                panic!("an answer")
            };
            assert!(message.starts_with(expected), "{message}");
        }
    }

    #[test]
    fn an_answer_and_its_pieces_are_written() {
        let answer = Response {
            id: None,
            model: "m".into(),
            text: "hi".into(),
            tool_calls: vec![ToolCall {
                id: "1".into(),
                name: "f".into(),
                arguments: "{\"a\":".into(),
            }],
            finish: Finish::ToolCalls,
            usage: Usage {
                input_tokens: 1,
                output_tokens: 2,
            },
        };
        assert_eq!(
            response(&answer),
            json!({"model": "m", "text": "hi", "tool_calls": [{"id": "1", "name": "f", "arguments": "{\"a\":"}],
                   "finish": "tool-calls", "usage": {"input_tokens": 1, "output_tokens": 2}})
        );
        let delta = ToolCallDelta {
            index: 0,
            id: Some("1".into()),
            name: None,
            arguments: "{".into(),
        };
        assert_eq!(
            event(&Event::ToolCall(delta)),
            json!({"event": "tool-call", "index": 0, "id": "1", "arguments": "{"})
        );
        assert_eq!(
            event(&Event::Finish(Finish::Other("odd".into()))),
            json!({"event": "finish", "finish": "odd"})
        );
    }
}
