//! The request's body.

use conversation::data_url::{Image, image};
use conversation::turns::{self, Conversation};
use conversation::{Object, Part, Request, blocks};
use serde::Serialize;
use serde_json::value::RawValue;
use weir_guest::failure;
use weir_guest::types::Error;

#[derive(Serialize)]
#[serde(rename_all = "camelCase", rename_all_fields = "camelCase")]
enum Block<'a> {
    Text(&'a str),
    Image {
        format: &'a str,
        source: Source<'a>,
    },
    ToolUse {
        tool_use_id: &'a str,
        name: &'a str,
        input: &'a RawValue,
    },
    ToolResult {
        tool_use_id: &'a str,
        content: Vec<Block<'a>>,
    },
}

#[derive(Serialize)]
struct Source<'a> {
    bytes: &'a str,
}

#[derive(Serialize)]
struct Tools<'a> {
    tools: Vec<Tool<'a>>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Tool<'a> {
    tool_spec: Specification<'a>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Specification<'a> {
    name: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    description: Option<&'a str>,
    input_schema: Schema<'a>,
}

#[derive(Serialize)]
struct Schema<'a> {
    json: &'a RawValue,
}

/// # Errors
/// `invalid-input` naming what the API has no form for.
pub(crate) fn body(request: &Request) -> Result<Object<'_>, Error> {
    let conversation = Conversation::of(&request.messages)?;
    let mut body = Object::default();
    body.set("messages", &blocks::messages::<Block>(&conversation.turns)?)?;
    let system = conversation.system.iter().map(|text| Block::Text(text));
    body.set_some(
        "system",
        (!conversation.system.is_empty()).then(|| system.collect::<Vec<_>>()),
    )?;

    let mut inference = Object::default();
    inference.set_some("maxTokens", request.max_tokens)?;
    inference.set_some("temperature", request.temperature)?;
    body.set_some("inferenceConfig", inference.unless_empty())?;

    let mut tools = Vec::with_capacity(request.tools.len());
    for tool in &request.tools {
        tools.push(Tool {
            tool_spec: Specification {
                name: &tool.name,
                description: tool.description.as_deref(),
                input_schema: Schema {
                    json: turns::schema(tool)?,
                },
            },
        });
    }
    body.set_some("toolConfig", (!tools.is_empty()).then_some(Tools { tools }))?;
    body.set_parameters(&request.parameters)?;
    Ok(body)
}

impl<'a> blocks::Block<'a> for Block<'a> {
    fn part(part: &'a Part) -> Result<Option<Self>, Error> {
        match part {
            // The API refuses blank texts.
            Part::Text(text) if text.trim().is_empty() => Ok(None),
            Part::Text(text) => Ok(Some(Block::Text(text))),
            Part::ImageUrl(url) => match image(url)? {
                Image::Inline { media_type, data } => Ok(Some(Block::Image {
                    // png, jpeg, gif, webp
                    format: media_type.strip_prefix("image/").unwrap_or(media_type),
                    source: Source { bytes: data },
                })),
                Image::At(_) => Err(failure::refused(
                    "Bedrock fetches no images: send the image itself in a `data:` URL",
                )),
            },
        }
    }

    fn call(tool_use_id: &'a str, name: &'a str, input: &'a RawValue) -> Self {
        Block::ToolUse {
            tool_use_id,
            name,
            input,
        }
    }

    fn result(tool_use_id: &'a str, content: Vec<Self>) -> Self {
        Block::ToolResult { tool_use_id, content }
    }
}

#[cfg(test)]
mod tests {
    use conversation::{Message, Parameter, Role, ToolCall};
    use serde_json::json;

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

    #[test]
    fn a_conversation_is_written_as_the_api_wants_it() {
        let call = |id: &str| ToolCall {
            id: id.into(),
            name: "add".into(),
            arguments: "{\"a\": 1}".into(),
        };
        let result = |id: &str, text: &str| Message {
            tool_call_id: Some(id.into()),
            ..message(Role::Tool, vec![Part::Text(text.into())])
        };
        let mut request = request(vec![
            message(Role::Developer, vec![Part::Text("short".into())]),
            message(
                Role::User,
                vec![
                    Part::Text("what?".into()),
                    Part::ImageUrl("data:image/jpeg;base64,AAAA".into()),
                ],
            ),
            Message {
                tool_calls: vec![call("1"), call("2")],
                ..message(Role::Assistant, vec![Part::Text(" ".into())])
            },
            result("1", "one"),
            result("2", "two"),
        ]);
        request.max_tokens = Some(16);
        request.temperature = Some(0.5);
        request.tools = vec![conversation::Tool {
            name: "add".into(),
            description: Some("adds".into()),
            parameters: r#"{"type": "object"}"#.into(),
        }];
        request.parameters = vec![Parameter {
            name: "additionalModelRequestFields".into(),
            value: r#"{"top_k": 5}"#.into(),
        }];
        let call = |id| json!({"toolUse": {"toolUseId": id, "name": "add", "input": {"a": 1}}});
        let result = |id, text| json!({"toolResult": {"toolUseId": id, "content": [{"text": text}]}});
        assert_eq!(
            serde_json::to_value(body(&request).unwrap()).unwrap(),
            json!({
                "system": [{"text": "short"}],
                "messages": [
                    {"role": "user", "content": [
                        {"text": "what?"},
                        {"image": {"format": "jpeg", "source": {"bytes": "AAAA"}}},
                    ]},
                    {"role": "assistant", "content": [call("1"), call("2")]},
                    {"role": "user", "content": [result("1", "one"), result("2", "two")]},
                ],
                "inferenceConfig": {"maxTokens": 16, "temperature": 0.5},
                "toolConfig": {"tools": [{"toolSpec": {
                    "name": "add", "description": "adds", "inputSchema": {"json": {"type": "object"}},
                }}]},
                "additionalModelRequestFields": {"top_k": 5},
            })
        );
    }

    #[test]
    fn an_image_elsewhere_is_refused() {
        let image = Part::ImageUrl("https://x/y.png".into());
        let error = body(&request(vec![message(Role::User, vec![image])])).unwrap_err();
        assert!(matches!(error, Error::InvalidInput(failure) if failure.message.contains("`data:`")));
    }
}
