//! A message as the API answers it.

use conversation::{Finish, Response, ToolCall};
use serde::Deserialize;
use serde_json::value::RawValue;
use weir_guest::types::{Error, Usage};
use weir_guest::{failure, json};

#[derive(Deserialize)]
struct Answer<'a> {
    id: Option<String>,
    model: Option<String>,
    #[serde(borrow)]
    content: Vec<Block<'a>>,
    stop_reason: Option<String>,
    usage: Option<Tokens>,
}

/// A text, a call, or one of the others, of which nothing is regarded (`thinking`, …).
#[derive(Deserialize)]
pub(crate) struct Block<'a> {
    pub r#type: String,
    text: Option<String>,
    pub id: Option<String>,
    pub name: Option<String>,
    #[serde(borrow)]
    input: Option<&'a RawValue>,
}

#[derive(Default, Deserialize)]
pub(crate) struct Tokens {
    input_tokens: Option<u64>,
    cache_creation_input_tokens: Option<u64>,
    cache_read_input_tokens: Option<u64>,
    output_tokens: Option<u64>,
}

impl Tokens {
    /// These, and what they don't tell from `before`.
    pub(crate) fn or(self, before: Self) -> Self {
        Self {
            input_tokens: self.input_tokens.or(before.input_tokens),
            cache_creation_input_tokens: self.cache_creation_input_tokens.or(before.cache_creation_input_tokens),
            cache_read_input_tokens: self.cache_read_input_tokens.or(before.cache_read_input_tokens),
            output_tokens: self.output_tokens.or(before.output_tokens),
        }
    }
}

/// "Total input tokens in a request is the summation of `input_tokens`, `cache_creation_input_tokens`, and
/// `cache_read_input_tokens`" (<https://platform.claude.com/docs/en/api/messages>).
impl From<Tokens> for Usage {
    fn from(tokens: Tokens) -> Self {
        let cached = [tokens.cache_creation_input_tokens, tokens.cache_read_input_tokens];
        Self {
            input_tokens: cached
                .into_iter()
                .flatten()
                .fold(tokens.input_tokens.unwrap_or(0), u64::saturating_add),
            output_tokens: tokens.output_tokens.unwrap_or(0),
        }
    }
}

/// `stop_reason`, as the contract calls it.
pub(crate) fn finish(reason: &str) -> Finish {
    match reason {
        "end_turn" | "stop_sequence" => Finish::Stop,
        "max_tokens" | "model_context_window_exceeded" => Finish::Length,
        "tool_use" => Finish::ToolCalls,
        "refusal" => Finish::ContentFilter,
        other => Finish::Other(other.to_owned()),
    }
}

pub(crate) fn read(body: &[u8], asked: String) -> Result<Response, Error> {
    let Answer {
        id,
        model,
        content,
        stop_reason,
        usage,
    } = json::read(body)?;
    let (mut text, mut tool_calls) = (String::new(), Vec::new());
    for (at, block) in content.into_iter().enumerate() {
        match block.r#type.as_str() {
            "text" => text.push_str(&block.text.unwrap_or_default()),
            "tool_use" => tool_calls.push(ToolCall {
                id: block.id.unwrap_or_default(),
                name: block
                    .name
                    .ok_or_else(|| failure::malformed(format!("`content[{at}].name`: missing")))?,
                arguments: block.input.map_or("{}", RawValue::get).to_owned(),
            }),
            _ => {}
        }
    }
    Ok(Response {
        id,
        model: model.unwrap_or(asked),
        text,
        tool_calls,
        finish: finish(&stop_reason.unwrap_or_default()),
        usage: usage.unwrap_or_default().into(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_gives_its_text_without_thoughts_and_all_its_input() {
        let body = br#"{"id": "msg_1", "type": "message", "role": "assistant", "model": "m-1", "content": [
            {"type": "thinking", "thinking": "hm", "signature": "s"}, {"type": "text", "text": "hi "},
            {"type": "text", "text": "you"}], "stop_reason": "end_turn", "stop_sequence": null,
            "usage": {"input_tokens": 3, "cache_creation_input_tokens": 10, "cache_read_input_tokens": null,
            "output_tokens": 2, "service_tier": "standard"}}"#;
        let response = read(body, "m".to_owned()).unwrap();
        assert_eq!((response.text.as_str(), response.model.as_str()), ("hi you", "m-1"));
        assert_eq!(response.id.as_deref(), Some("msg_1"));
        assert!(matches!(response.finish, Finish::Stop));
        assert_eq!((response.usage.input_tokens, response.usage.output_tokens), (13, 2));
    }

    #[test]
    fn a_call_keeps_its_arguments() {
        let body = br#"{"content": [{"type": "tool_use", "id": "1", "name": "add", "input": {"a": 1}}],
            "stop_reason": "tool_use"}"#;
        let response = read(body, "m".to_owned()).unwrap();
        assert_eq!(response.tool_calls[0].arguments, "{\"a\": 1}");
        assert!(matches!(response.finish, Finish::ToolCalls));
        assert_eq!(response.model, "m");
    }

    #[test]
    fn what_is_missing_is_named() {
        let said = |body: &[u8]| match read(body, String::new()) {
            Err(Error::MalformedResponse(text)) => text,
            _ => panic!("taken"),
        };
        assert!(said(br#"{"id": "1"}"#).contains("`content`"));
        assert!(said(br#"{"content": [{"type": "tool_use"}]}"#).contains("`content[0].name`"));
        assert!(said(b"<html>").contains("expected value"));
    }
}
