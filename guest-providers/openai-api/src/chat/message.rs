//! A message of the conversation, as the API writes it.

use serde::Serialize;

use super::{Part, Role};

#[derive(Serialize)]
pub(super) struct Message<'a> {
    role: &'static str,
    content: Option<Content<'a>>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    tool_calls: Vec<ToolCall<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    tool_call_id: Option<&'a str>,
}

#[derive(Serialize)]
#[serde(untagged)]
enum Content<'a> {
    /// A text alone, which every server knows.
    Text(&'a str),
    Parts(Vec<ContentPart<'a>>),
}

#[derive(Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
enum ContentPart<'a> {
    Text { text: &'a str },
    ImageUrl { image_url: ImageUrl<'a> },
}

#[derive(Serialize)]
struct ImageUrl<'a> {
    url: &'a str,
}

#[derive(Serialize)]
struct ToolCall<'a> {
    id: &'a str,
    r#type: &'static str,
    function: CalledFunction<'a>,
}

#[derive(Serialize)]
struct CalledFunction<'a> {
    name: &'a str,
    arguments: &'a str,
}

impl<'a> From<&'a super::Message> for Message<'a> {
    fn from(message: &'a super::Message) -> Self {
        let role = match message.role {
            Role::System => "system",
            Role::Developer => "developer",
            Role::User => "user",
            Role::Assistant => "assistant",
            Role::Tool => "tool",
        };
        let tool_calls = message.tool_calls.iter().map(|call| ToolCall {
            id: &call.id,
            r#type: "function",
            function: CalledFunction {
                name: &call.name,
                arguments: &call.arguments,
            },
        });
        let content = match message.content.as_slice() {
            [] => None,
            [Part::Text(text)] => Some(Content::Text(text)),
            parts => Some(Content::Parts(parts.iter().map(ContentPart::from).collect())),
        };
        Self {
            role,
            content,
            tool_calls: tool_calls.collect(),
            tool_call_id: message.tool_call_id.as_deref(),
        }
    }
}

impl<'a> From<&'a Part> for ContentPart<'a> {
    fn from(part: &'a Part) -> Self {
        match part {
            Part::Text(text) => Self::Text { text },
            Part::ImageUrl(url) => Self::ImageUrl {
                image_url: ImageUrl { url },
            },
        }
    }
}
