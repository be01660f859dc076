//! What a message is made of, as the API writes it.

use conversation::data_url::{Image, image};
use conversation::{Message, Part as Given, ToolCall, turns};
use serde::Serialize;
use serde_json::value::RawValue;
use weir_guest::failure;
use weir_guest::types::Error;

use super::call_id;

/// One of these fields, but for the signature beside a call.
#[derive(Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Part<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    text: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    inline_data: Option<Blob<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    file_data: Option<File<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    function_call: Option<Call<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    thought_signature: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    function_response: Option<CallAnswer<'a>>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Blob<'a> {
    mime_type: &'a str,
    data: &'a str,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct File<'a> {
    file_uri: &'a str,
}

#[derive(Serialize)]
struct Call<'a> {
    id: &'a str,
    name: &'a str,
    args: &'a RawValue,
}

#[derive(Serialize)]
struct CallAnswer<'a> {
    id: &'a str,
    name: &'a str,
    response: Outcome,
}

/// The API wants an object; what is none goes into one, under the name it says.
#[derive(Serialize)]
#[serde(untagged)]
enum Outcome {
    Object(Box<RawValue>),
    Text { output: String },
}

impl<'a> Part<'a> {
    pub(super) fn text(text: &'a str) -> Self {
        Self {
            text: Some(text),
            ..Self::default()
        }
    }

    pub(super) fn of(part: &'a Given) -> Result<Self, Error> {
        let url = match part {
            Given::Text(text) => return Ok(Self::text(text)),
            Given::ImageUrl(url) => url,
        };
        Ok(match image(url)? {
            Image::Inline { media_type, data } => Self {
                inline_data: Some(Blob {
                    mime_type: media_type,
                    data,
                }),
                ..Self::default()
            },
            Image::At(url) => Self {
                file_data: Some(File { file_uri: url }),
                ..Self::default()
            },
        })
    }

    pub(super) fn call(call: &'a ToolCall, unsigned: Option<&'a str>) -> Result<Self, Error> {
        let (id, signature) = call_id::split(&call.id);
        Ok(Self {
            function_call: Some(Call {
                id,
                name: &call.name,
                args: turns::arguments(call)?,
            }),
            thought_signature: signature.or(unsigned),
            ..Self::default()
        })
    }

    /// What a tool gave back. It goes by the name of the call it answers, which is looked for in the conversation.
    pub(super) fn answer(message: &'a Message, conversation: &'a [Message]) -> Result<Self, Error> {
        let id = turns::answered(message)?;
        let calls = conversation.iter().flat_map(|message| &message.tool_calls);
        let name = calls.rev().find(|call| call.id == id).map(|call| call.name.as_str());
        let name =
            name.ok_or_else(|| failure::refused(format!("a tool's message answers a call that was not made: `{id}`")))?;
        let text = message.content.iter().map(turns::text).collect::<Result<String, _>>()?;
        let response = match serde_json::from_slice::<&RawValue>(text.as_bytes()) {
            Ok(object) if object.get().starts_with('{') => Outcome::Object(object.to_owned()),
            _ => Outcome::Text { output: text },
        };
        Ok(Self {
            function_response: Some(CallAnswer {
                id: call_id::split(id).0,
                name,
                response,
            }),
            ..Self::default()
        })
    }
}
