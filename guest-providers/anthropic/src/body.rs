//! The body of `POST /messages`.

use conversation::data_url::{Image, image};
use conversation::turns::{self, Conversation};
use conversation::{Object, Part, Request, blocks};
use serde::Serialize;
use serde_json::value::RawValue;
use weir_guest::types::Error;

#[derive(Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
enum Block<'a> {
    Text {
        text: &'a str,
    },
    Image {
        source: Source<'a>,
    },
    ToolUse {
        id: &'a str,
        name: &'a str,
        input: &'a RawValue,
    },
    ToolResult {
        tool_use_id: &'a str,
        content: Vec<Block<'a>>,
    },
}

#[derive(Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
enum Source<'a> {
    Base64 { media_type: &'a str, data: &'a str },
    Url { url: &'a str },
}

#[derive(Serialize)]
struct Tool<'a> {
    name: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    description: Option<&'a str>,
    input_schema: &'a RawValue,
}

/// # Errors
/// `invalid-input` naming what the API has no form for.
pub(crate) fn body<'a>(
    request: &'a Request,
    model: &str,
    max_tokens: u32,
    streamed: bool,
) -> Result<Object<'a>, Error> {
    let conversation = Conversation::of(&request.messages)?;
    let mut body = Object::default();
    body.set("model", &model)?;
    body.set("max_tokens", &max_tokens)?;
    body.set("messages", &blocks::messages::<Block>(&conversation.turns)?)?;
    let system = conversation.system.iter().map(|text| Block::Text { text });
    body.set_some(
        "system",
        (!conversation.system.is_empty()).then(|| system.collect::<Vec<_>>()),
    )?;
    body.set_some("temperature", request.temperature)?;
    let mut tools = Vec::with_capacity(request.tools.len());
    for tool in &request.tools {
        tools.push(Tool {
            name: &tool.name,
            description: tool.description.as_deref(),
            input_schema: turns::schema(tool)?,
        });
    }
    body.set_some("tools", (!tools.is_empty()).then_some(tools))?;
    body.set_some("stream", streamed.then_some(true))?;
    body.set_parameters(&request.parameters)?;
    Ok(body)
}

impl<'a> blocks::Block<'a> for Block<'a> {
    fn part(part: &'a Part) -> Result<Option<Self>, Error> {
        Ok(match part {
            // The API refuses texts of white space alone.
            Part::Text(text) if text.trim().is_empty() => None,
            Part::Text(text) => Some(Block::Text { text }),
            Part::ImageUrl(url) => Some(Block::Image {
                source: match image(url)? {
                    Image::Inline { media_type, data } => Source::Base64 { media_type, data },
                    Image::At(url) => Source::Url { url },
                },
            }),
        })
    }

    fn call(id: &'a str, name: &'a str, input: &'a RawValue) -> Self {
        Block::ToolUse { id, name, input }
    }

    fn result(tool_use_id: &'a str, content: Vec<Self>) -> Self {
        Block::ToolResult { tool_use_id, content }
    }
}

#[cfg(test)]
mod tests {
    use conversation::{Message, Parameter, Role, ToolCall};
    use serde_json::{Value, json};

    use super::*;

    fn message(role: Role, content: Vec<Part>) -> Message {
        Message {
            role,
            content,
            tool_calls: vec![],
            tool_call_id: None,
        }
    }

    fn request(messages: Vec<Message>) -> Request {
        Request {
            model: None,
            messages,
            max_tokens: None,
            temperature: None,
            tools: vec![],
            parameters: vec![],
        }
    }

    fn sent(request: &Request, streamed: bool) -> Value {
        serde_json::to_value(body(request, "m", 16, streamed).unwrap()).unwrap()
    }

    #[test]
    fn a_conversation_is_written_as_the_api_wants_it() {
        let call = |id: &str| ToolCall {
            id: id.into(),
            name: "add".into(),
            arguments: "{\"a\": 1}".into(),
        };
        let result = |id: &str, content| Message {
            tool_call_id: Some(id.into()),
            ..message(Role::Tool, content)
        };
        let mut request = request(vec![
            message(Role::System, vec![Part::Text("short".into())]),
            message(
                Role::User,
                vec![
                    Part::Text("what?".into()),
                    Part::ImageUrl("data:image/png;base64,AAAA".into()),
                    Part::ImageUrl("https://x/y.png".into()),
                ],
            ),
            Message {
                tool_calls: vec![call("1"), call("2")],
                ..message(Role::Assistant, vec![Part::Text("".into())])
            },
            result("1", vec![Part::Text("one".into())]),
            result("2", vec![]),
        ]);
        request.temperature = Some(0.5);
        request.tools = vec![conversation::Tool {
            name: "add".into(),
            description: None,
            parameters: r#"{"type": "object"}"#.into(),
        }];
        request.parameters = vec![Parameter {
            name: "max_tokens".into(),
            value: "7".into(),
        }];
        assert_eq!(
            sent(&request, false),
            json!({
                "model": "m",
                "max_tokens": 7,
                "system": [{"type": "text", "text": "short"}],
                "messages": [
                    {"role": "user", "content": [
                        {"type": "text", "text": "what?"},
                        {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "AAAA"}},
                        {"type": "image", "source": {"type": "url", "url": "https://x/y.png"}},
                    ]},
                    {"role": "assistant", "content": [
                        {"type": "tool_use", "id": "1", "name": "add", "input": {"a": 1}},
                        {"type": "tool_use", "id": "2", "name": "add", "input": {"a": 1}},
                    ]},
                    {"role": "user", "content": [
                        {"type": "tool_result", "tool_use_id": "1", "content": [{"type": "text", "text": "one"}]},
                        {"type": "tool_result", "tool_use_id": "2", "content": []},
                    ]},
                ],
                "temperature": 0.5,
                "tools": [{"name": "add", "input_schema": {"type": "object"}}],
            })
        );
    }

    #[test]
    fn a_streamed_answer_is_the_same_request() {
        let request = request(vec![message(Role::User, vec![Part::Text("hi".into())])]);
        let mut streamed = sent(&request, true);
        assert_eq!(streamed.as_object_mut().unwrap().remove("stream"), Some(json!(true)));
        assert_eq!(streamed, sent(&request, false));
    }
}
