//! The body of `POST /v1/chat/completions`, read into the contract's request.
//!
//! A field that is null counts as left out. Fields the contract has no place for (`stop`, `tool_choice`,
//! `response_format`, …) go on as they are, as `parameters`.

use serde::Deserialize;
use serde_json::{Map, Value};
use weir_runtime::chat::{Message, Parameter, Part, Request, Role, Tool, ToolCall};

use super::error::ApiError;
use super::json::take;
use crate::operations::schema;

/// What a client asked for.
#[derive(Debug)]
pub(crate) struct ChatCall {
    pub model: Option<String>,
    /// Its model is filled in for each provider.
    pub request: Request,
    pub stream: bool,
    /// A last chunk with the usage (`stream_options.include_usage`).
    pub include_usage: bool,
}

#[derive(Debug, Default, Deserialize)]
struct StreamOptions {
    include_usage: Option<bool>,
}

#[derive(Debug, Deserialize)]
struct WireMessage {
    role: WireRole,
    content: Option<Value>,
    tool_calls: Option<Vec<WireToolCall>>,
    tool_call_id: Option<String>,
}

#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(rename_all = "lowercase")]
enum WireRole {
    System,
    Developer,
    User,
    Assistant,
    Tool,
}

#[derive(Debug, Deserialize)]
struct WireToolCall {
    id: String,
    function: CalledFunction,
}

#[derive(Debug, Deserialize)]
struct CalledFunction {
    name: String,
    arguments: String,
}

#[derive(Debug, Deserialize)]
struct WireTool {
    #[serde(rename = "type")]
    kind: ToolKind,
    function: Function,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "lowercase")]
enum ToolKind {
    Function,
}

#[derive(Debug, Deserialize)]
struct Function {
    name: String,
    description: Option<String>,
    parameters: Option<Value>,
}

#[derive(Debug, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
enum WirePart {
    Text { text: String },
    ImageUrl { image_url: ImageUrl },
}

#[derive(Debug, Deserialize)]
struct ImageUrl {
    url: String,
}

/// Reads a body.
pub(crate) fn read(mut fields: Map<String, Value>) -> Result<ChatCall, ApiError> {
    let model = take(&mut fields, "model")?;
    let stream = take(&mut fields, "stream")?.unwrap_or(false);
    let options: StreamOptions = take(&mut fields, "stream_options")?.unwrap_or_default();
    if take::<u64>(&mut fields, "n")?.is_some_and(|n| n != 1) {
        return Err(ApiError::invalid(
            "n",
            "n: one choice is answered a request; send the request n times",
        ));
    }
    let messages: Vec<WireMessage> = take(&mut fields, "messages")?.unwrap_or_default();
    if messages.is_empty() {
        return Err(ApiError::invalid("messages", "messages: at least one is needed"));
    }
    let messages = messages
        .into_iter()
        .enumerate()
        .map(|(index, wire)| message(index, wire));
    let tools: Vec<WireTool> = take(&mut fields, "tools")?.unwrap_or_default();
    let request = Request {
        model: None,
        messages: messages.collect::<Result<_, _>>()?,
        max_tokens: take(&mut fields, "max_tokens")?,
        temperature: take(&mut fields, "temperature")?,
        tools: tools.into_iter().map(tool).collect(),
        parameters: parameters(fields),
    };
    Ok(ChatCall {
        model,
        request,
        stream,
        include_usage: options.include_usage.unwrap_or(false),
    })
}

fn message(index: usize, wire: WireMessage) -> Result<Message, ApiError> {
    let calls = wire.tool_calls.unwrap_or_default().into_iter();
    Ok(Message {
        role: match wire.role {
            WireRole::System => Role::System,
            WireRole::Developer => Role::Developer,
            WireRole::User => Role::User,
            WireRole::Assistant => Role::Assistant,
            WireRole::Tool => Role::Tool,
        },
        content: parts(index, wire.content)?,
        tool_calls: calls
            .map(|call| ToolCall {
                id: call.id,
                name: call.function.name,
                arguments: call.function.arguments,
            })
            .collect(),
        tool_call_id: wire.tool_call_id,
    })
}

fn parts(message: usize, content: Option<Value>) -> Result<Vec<Part>, ApiError> {
    match content {
        None | Some(Value::Null) => Ok(Vec::new()),
        Some(Value::String(text)) => Ok(vec![Part::Text(text)]),
        Some(Value::Array(parts)) => parts
            .into_iter()
            .enumerate()
            .map(|(index, value)| part(message, index, value))
            .collect(),
        Some(_) => {
            let place = format!("messages[{message}].content");
            Err(ApiError::invalid(
                place.clone(),
                format!("{place}: send a string or a list of parts"),
            ))
        }
    }
}

fn part(message: usize, index: usize, value: Value) -> Result<Part, ApiError> {
    match serde_json::from_value(value) {
        Ok(WirePart::Text { text }) => Ok(Part::Text(text)),
        Ok(WirePart::ImageUrl { image_url }) => Ok(Part::ImageUrl(image_url.url)),
        Err(error) => {
            let place = format!("messages[{message}].content[{index}]");
            Err(ApiError::invalid(place.clone(), format!("{place}: {error}")))
        }
    }
}

fn tool(wire: WireTool) -> Tool {
    let ToolKind::Function = wire.kind;
    // "Omitting `parameters` defines a function with an empty parameter list" (OpenAI's reference).
    let parameters = match wire.function.parameters {
        None => schema(Map::new()),
        Some(Value::Object(given)) => schema(given),
        Some(other) => other,
    };
    Tool {
        name: wire.function.name,
        description: wire.function.description,
        parameters: parameters.to_string(),
    }
}

fn parameters(fields: Map<String, Value>) -> Vec<Parameter> {
    let given = fields.into_iter().filter(|(_, value)| !value.is_null());
    given
        .map(|(name, value)| Parameter {
            name,
            value: value.to_string(),
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn read_json(body: Value) -> Result<ChatCall, ApiError> {
        read(body.as_object().unwrap().clone())
    }

    fn with_messages(messages: Value) -> Result<ChatCall, ApiError> {
        read_json(json!({"model": "openai/gpt", "messages": messages}))
    }

    #[test]
    fn content_is_a_string_or_parts_or_nothing() {
        let call = with_messages(json!([
            {"role": "system", "content": "be brief"},
            {"role": "user", "content": [
                {"type": "text", "text": "what is this?"},
                {"type": "image_url", "image_url": {"url": "data:image/png;base64,AA==", "detail": "low"}},
            ]},
            {"role": "assistant", "content": null, "tool_calls": [
                {"id": "c1", "type": "function", "function": {"name": "look", "arguments": "{}"}},
            ]},
            {"role": "tool", "tool_call_id": "c1", "content": "a cat"},
        ]));
        let messages = call.unwrap().request.messages;
        assert!(matches!(&messages[0].content[..], [Part::Text(text)] if text == "be brief"));
        assert!(matches!(&messages[1].content[..], [Part::Text(_), Part::ImageUrl(url)] if url.starts_with("data:")));
        assert!(messages[2].content.is_empty());
        assert_eq!(messages[2].tool_calls[0].name, "look");
        assert_eq!(messages[3].tool_call_id.as_deref(), Some("c1"));
    }

    #[test]
    fn an_unknown_role_or_part_is_refused_by_place() {
        for (messages, param) in [
            (json!([{"role": "function", "content": "x"}]), "messages[0].role"),
            (
                json!([{"role": "user", "content": "x"}, {"role": "user", "content": 7}]),
                "messages[1].content",
            ),
            (
                json!([{"role": "user", "content": [{"type": "input_audio"}]}]),
                "messages[0].content[0]",
            ),
            (json!([]), "messages"),
        ] {
            let error = with_messages(messages).unwrap_err();
            assert_eq!((error.status.as_u16(), error.body.param.as_deref()), (400, Some(param)));
        }
    }

    #[test]
    fn what_the_contract_has_no_place_for_goes_on_as_it_is_and_null_stays_away() {
        let call = read_json(json!({
            "messages": [{"role": "user", "content": "x"}],
            "stop": ["\n"], "tool_choice": null, "top_p": 0.5, "n": 1, "stream": true,
            "stream_options": {"include_usage": true}, "temperature": 0.7, "max_tokens": 9, "max_completion_tokens": null,
        }))
        .unwrap();
        let parameters: Vec<_> = call
            .request
            .parameters
            .iter()
            .map(|p| (p.name.as_str(), p.value.as_str()))
            .collect();
        assert_eq!(parameters, [("stop", r#"["\n"]"#), ("top_p", "0.5")]);
        assert_eq!(call.request.temperature, Some(0.7));
        assert_eq!(call.request.max_tokens, Some(9));
        assert!(call.stream && call.include_usage && call.model.is_none());
    }

    #[test]
    fn a_tool_keeps_its_schema() {
        let call = read_json(json!({
            "messages": [{"role": "user", "content": "x"}],
            "tools": [
                {"type": "function", "function": {"name": "a", "description": "d", "parameters": {"type": "object"}}},
                {"type": "function", "function": {"name": "b"}},
            ],
        }));
        let tools = call.unwrap().request.tools;
        assert_eq!(tools[0].parameters, r#"{"type":"object"}"#);
        assert_eq!(
            (
                tools[1].description.as_deref(),
                tools[1].parameters.contains("properties")
            ),
            (None, true)
        );

        let other = json!({"messages": [{"role": "user", "content": "x"}], "tools": [{"type": "web_search"}]});
        assert_eq!(
            read_json(other).unwrap_err().body.param.as_deref(),
            Some("tools[0].type")
        );
    }

    #[test]
    fn several_choices_are_refused() {
        let body = json!({"messages": [{"role": "user", "content": "x"}], "n": 2});
        assert_eq!(read_json(body).unwrap_err().body.param.as_deref(), Some("n"));
    }
}
