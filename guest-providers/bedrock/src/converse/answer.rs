//! What the API answers, and an answer that comes whole.

use conversation::{Finish, Response, ToolCall};
use serde::Deserialize;
use serde_json::value::RawValue;
use weir_guest::types::{Error, Usage};
use weir_guest::{failure, json};

/// An answer, or an event of one: each has some of these. One type, since every type of its own is 2 KB of a component.
///
/// Events have a padding, too, that hides their length from who listens.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Told<'a> {
    #[serde(borrow)]
    output: Option<Output<'a>>,
    #[serde(default)]
    pub content_block_index: u32,
    #[serde(borrow)]
    pub start: Option<Block<'a>>,
    #[serde(borrow)]
    pub delta: Option<Block<'a>>,
    pub stop_reason: Option<String>,
    pub usage: Option<Tokens>,
}

#[derive(Deserialize)]
struct Output<'a> {
    #[serde(borrow)]
    message: Message<'a>,
}

#[derive(Deserialize)]
struct Message<'a> {
    #[serde(borrow)]
    content: Vec<Block<'a>>,
}

/// One of these, or one of the others, of which nothing is regarded (`reasoningContent`, …).
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Block<'a> {
    pub text: Option<String>,
    #[serde(borrow)]
    pub tool_use: Option<ToolUse<'a>>,
}

/// A call, the beginning of one or a piece of one.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct ToolUse<'a> {
    /// `server_tool_use` of a call that the provider answers itself.
    r#type: Option<&'a str>,
    pub tool_use_id: Option<String>,
    pub name: Option<String>,
    /// JSON; of a piece, a text that is a piece of JSON.
    #[serde(borrow)]
    pub input: Option<&'a RawValue>,
}

impl ToolUse<'_> {
    /// Whether the caller has nothing to do with it.
    pub(super) fn is_theirs(&self) -> bool {
        self.r#type == Some("server_tool_use")
    }
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Tokens {
    #[serde(default)]
    input_tokens: u64,
    #[serde(default)]
    output_tokens: u64,
    #[serde(default)]
    cache_read_input_tokens: u64,
    #[serde(default)]
    cache_write_input_tokens: u64,
}

/// What came out of a cache, or went into one, is not among the input tokens
/// (<https://docs.aws.amazon.com/bedrock/latest/userguide/prompt-caching.html>).
impl From<Tokens> for Usage {
    fn from(tokens: Tokens) -> Self {
        let cached = tokens
            .cache_read_input_tokens
            .saturating_add(tokens.cache_write_input_tokens);
        Self {
            input_tokens: tokens.input_tokens.saturating_add(cached),
            output_tokens: tokens.output_tokens,
        }
    }
}

/// `stopReason`, as the contract calls it.
pub(super) fn finish(reason: &str) -> Finish {
    match reason {
        "end_turn" | "stop_sequence" => Finish::Stop,
        "max_tokens" | "model_context_window_exceeded" => Finish::Length,
        "tool_use" => Finish::ToolCalls,
        "guardrail_intervened" | "content_filtered" => Finish::ContentFilter,
        other => Finish::Other(other.to_owned()),
    }
}

pub(crate) fn read(body: &[u8], model: String) -> Result<Response, Error> {
    let missing = |what: &str| failure::malformed(format!("`{what}`: missing"));
    let told: Told<'_> = json::read(body)?;
    let output = told.output.ok_or_else(|| missing("output"))?;
    let (mut text, mut tool_calls) = (String::new(), Vec::new());
    for (at, block) in output.message.content.into_iter().enumerate() {
        text.push_str(&block.text.unwrap_or_default());
        let Some(call) = block.tool_use.filter(|call| !call.is_theirs()) else {
            continue;
        };
        tool_calls.push(ToolCall {
            id: call.tool_use_id.unwrap_or_default(),
            name: call
                .name
                .ok_or_else(|| missing(&format!("output.message.content[{at}].toolUse.name")))?,
            arguments: call.input.map_or("{}", RawValue::get).to_owned(),
        });
    }
    Ok(Response {
        id: None,
        model,
        text,
        tool_calls,
        finish: finish(&told.stop_reason.ok_or_else(|| missing("stopReason"))?),
        usage: told.usage.unwrap_or_default().into(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_gives_its_text_its_calls_and_its_usage() {
        let body = br#"{"metrics": {"latencyMs": 3}, "output": {"message": {"role": "assistant", "content": [
            {"reasoningContent": {"reasoningText": {"text": "hm"}}}, {"text": "hi"},
            {"toolUse": {"toolUseId": "0", "name": "search", "input": {}, "type": "server_tool_use"}},
            {"toolUse": {"toolUseId": "1", "name": "add", "input": {"a": 1}}}]}}, "stopReason": "tool_use",
            "usage": {"inputTokens": 3, "outputTokens": 2, "totalTokens": 15, "cacheReadInputTokens": 10,
            "serverToolUsage": {}}}"#;
        let response = read(body, "m".to_owned()).unwrap();
        assert_eq!((response.text.as_str(), response.model.as_str()), ("hi", "m"));
        let calls: Vec<_> = response.tool_calls.iter().map(|call| call.arguments.as_str()).collect();
        assert_eq!(calls, ["{\"a\": 1}"]);
        assert!(matches!(response.finish, Finish::ToolCalls));
        assert_eq!((response.usage.input_tokens, response.usage.output_tokens), (13, 2));
    }

    #[test]
    fn reasons_are_told_in_the_contracts_words() {
        assert!(matches!(finish("end_turn"), Finish::Stop));
        assert!(matches!(finish("max_tokens"), Finish::Length));
        assert!(matches!(finish("guardrail_intervened"), Finish::ContentFilter));
        assert!(matches!(finish("malformed_tool_use"), Finish::Other(word) if word == "malformed_tool_use"));
    }

    #[test]
    fn what_is_missing_is_named() {
        let said = |body: &[u8]| match read(body, String::new()) {
            Err(Error::MalformedResponse(text)) => text,
            _ => panic!("taken"),
        };
        assert!(said(br#"{"output": {}, "stopReason": "end_turn"}"#).contains("`output`: missing field `message`"));
        assert!(said(br#"{"output": {"message": {"content": []}}}"#).contains("`stopReason`"));
        assert!(said(br#"{"stopReason": "end_turn"}"#).contains("`output`"));
        let nameless = br#"{"output": {"message": {"content": [{"toolUse": {"toolUseId": "1"}}]}}}"#;
        assert!(said(nameless).contains("`output.message.content[0].toolUse.name`"));
    }
}
