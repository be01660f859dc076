//! What the API answers: a whole answer and a piece of one have the same form.

use conversation::{Finish, Response, ToolCall};
use serde::Deserialize;
use serde_json::value::RawValue;
use weir_guest::types::{Error, Usage};
use weir_guest::{failure, json};

use super::call_id;
use crate::refusal;

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Answer<'a> {
    #[serde(borrow, default)]
    pub candidates: Vec<Candidate<'a>>,
    pub prompt_feedback: Option<PromptFeedback>,
    pub usage_metadata: Option<Tokens>,
    pub model_version: Option<String>,
    pub response_id: Option<String>,
    /// What a failure in the middle of a stream has in the place of all others.
    #[serde(borrow)]
    error: Option<&'a RawValue>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Candidate<'a> {
    #[serde(borrow)]
    content: Option<Content<'a>>,
    pub finish_reason: Option<String>,
}

#[derive(Deserialize)]
struct Content<'a> {
    #[serde(borrow, default)]
    parts: Vec<Part<'a>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Part<'a> {
    text: Option<String>,
    /// Of a summary of the model's thoughts, which is no part of the answer.
    #[serde(default)]
    thought: bool,
    #[serde(borrow)]
    function_call: Option<Call<'a>>,
    thought_signature: Option<String>,
}

#[derive(Deserialize)]
struct Call<'a> {
    id: Option<String>,
    name: String,
    #[serde(borrow)]
    args: Option<&'a RawValue>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct PromptFeedback {
    pub block_reason: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Tokens {
    #[serde(default)]
    pub prompt_token_count: u64,
    #[serde(default)]
    tool_use_prompt_token_count: u64,
    #[serde(default)]
    candidates_token_count: u64,
    #[serde(default)]
    thoughts_token_count: u64,
}

impl From<Tokens> for Usage {
    fn from(tokens: Tokens) -> Self {
        Self {
            input_tokens: tokens
                .prompt_token_count
                .saturating_add(tokens.tool_use_prompt_token_count),
            output_tokens: tokens
                .candidates_token_count
                .saturating_add(tokens.thoughts_token_count),
        }
    }
}

/// What a part says, if it is of the answer.
pub(super) enum Said {
    Text(String),
    Call(ToolCall),
}

impl<'a> Answer<'a> {
    /// # Errors
    /// The failure in its place, or `malformed-response`.
    pub(super) fn read(body: &'a [u8]) -> Result<Self, Error> {
        let answer: Self = json::read(body)?;
        if answer.error.is_some() {
            return Err(refusal::classify(failure::inside_answer(body)));
        }
        Ok(answer)
    }
}

impl<'a> Candidate<'a> {
    pub(super) fn parts(&mut self) -> impl Iterator<Item = Part<'a>> + use<'a> {
        self.content.take().into_iter().flat_map(|content| content.parts)
    }
}

impl Part<'_> {
    /// `calls` is how many there were before; `answer` the answer's id.
    pub(super) fn said(self, answer: Option<&str>, calls: u32) -> Option<Said> {
        if let Some(call) = self.function_call {
            return Some(Said::Call(ToolCall {
                id: call_id::join(call.id.as_deref(), answer, calls, self.thought_signature.as_deref()),
                name: call.name,
                arguments: call.args.map_or("{}", RawValue::get).to_owned(),
            }));
        }
        self.text
            .filter(|text| !text.is_empty() && !self.thought)
            .map(Said::Text)
    }
}

/// `finishReason`, as the contract calls it. The API has no word for an answer that ends with calls.
pub(super) fn finish(reason: &str, has_calls: bool) -> Finish {
    match reason {
        "STOP" if has_calls => Finish::ToolCalls,
        "STOP" => Finish::Stop,
        "MAX_TOKENS" => Finish::Length,
        "SAFETY"
        | "RECITATION"
        | "BLOCKLIST"
        | "PROHIBITED_CONTENT"
        | "SPII"
        | "IMAGE_SAFETY"
        | "IMAGE_PROHIBITED_CONTENT"
        | "IMAGE_RECITATION" => Finish::ContentFilter,
        other => Finish::Other(other.to_owned()),
    }
}

pub(crate) fn read(body: &[u8], asked: String) -> Result<Response, Error> {
    let Answer {
        candidates,
        prompt_feedback,
        usage_metadata,
        model_version,
        response_id,
        ..
    } = Answer::read(body)?;
    let (mut text, mut tool_calls) = (String::new(), Vec::new());
    let blocked = prompt_feedback.is_some_and(|feedback| feedback.block_reason.is_some());
    let finish = match candidates.into_iter().next() {
        Some(mut candidate) => {
            for part in candidate.parts() {
                let calls = u32::try_from(tool_calls.len()).unwrap_or(u32::MAX);
                match part.said(response_id.as_deref(), calls) {
                    Some(Said::Text(piece)) => text.push_str(&piece),
                    Some(Said::Call(call)) => tool_calls.push(call),
                    None => {}
                }
            }
            finish(&candidate.finish_reason.unwrap_or_default(), !tool_calls.is_empty())
        }
        // The question was refused: there is no answer, and that is the answer.
        None if blocked => Finish::ContentFilter,
        None => return Err(failure::malformed("`candidates[0]`: missing")),
    };
    Ok(Response {
        id: response_id,
        model: model_version.unwrap_or(asked),
        text,
        tool_calls,
        finish,
        usage: usage_metadata.map_or(
            Usage {
                input_tokens: 0,
                output_tokens: 0,
            },
            Usage::from,
        ),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_gives_its_text_without_thoughts_and_its_usage_with_them() {
        let body = br#"{"candidates": [{"content": {"parts": [{"text": "hm", "thought": true}, {"text": "hi "},
            {"text": "you", "thoughtSignature": "c2ln"}], "role": "model"}, "finishReason": "STOP", "index": 0}],
            "modelVersion": "m-1", "responseId": "r", "usageMetadata": {"promptTokenCount": 3,
            "candidatesTokenCount": 1, "thoughtsTokenCount": 4, "totalTokenCount": 8}}"#;
        let response = read(body, "m".to_owned()).unwrap();
        assert_eq!((response.text.as_str(), response.model.as_str()), ("hi you", "m-1"));
        assert_eq!(response.id.as_deref(), Some("r"));
        assert!(matches!(response.finish, Finish::Stop));
        assert_eq!((response.usage.input_tokens, response.usage.output_tokens), (3, 5));
    }

    #[test]
    fn calls_have_ids_of_their_own_and_keep_their_signatures() {
        let body = br#"{"candidates": [{"content": {"parts": [
            {"functionCall": {"name": "add", "args": {"a": 1}}, "thoughtSignature": "c2ln"},
            {"functionCall": {"name": "now"}}, {"functionCall": {"id": "own", "name": "now", "args": {}}}]},
            "finishReason": "STOP"}], "responseId": "r"}"#;
        let response = read(body, "m".to_owned()).unwrap();
        let calls: Vec<_> = response
            .tool_calls
            .iter()
            .map(|call| (call.id.as_str(), call.arguments.as_str()))
            .collect();
        assert_eq!(
            calls,
            [
                ("call_r_0__thought__c2ln", "{\"a\": 1}"),
                ("call_r_1", "{}"),
                ("own", "{}")
            ]
        );
        assert!(matches!(response.finish, Finish::ToolCalls));
        assert_eq!(response.model, "m");
    }

    #[test]
    fn a_refused_question_ends_by_the_filter() {
        let body = br#"{"promptFeedback": {"blockReason": "SAFETY"}, "usageMetadata": {"promptTokenCount": 3}}"#;
        assert!(matches!(
            read(body, String::new()).unwrap().finish,
            Finish::ContentFilter
        ));
        let body = br#"{"candidates": [{"finishReason": "RECITATION"}]}"#;
        assert!(matches!(
            read(body, String::new()).unwrap().finish,
            Finish::ContentFilter
        ));
        let body = br#"{"candidates": [{"content": {"role": "model"}, "finishReason": "MAX_TOKENS"}]}"#;
        assert!(matches!(read(body, String::new()).unwrap().finish, Finish::Length));
        let body = br#"{"candidates": [{"finishReason": "MALFORMED_FUNCTION_CALL"}]}"#;
        assert!(matches!(read(body, String::new()).unwrap().finish, Finish::Other(_)));
    }

    #[test]
    fn an_answer_without_a_candidate_is_malformed() {
        let error = read(b"{}", String::new()).unwrap_err();
        assert!(matches!(error, Error::MalformedResponse(text) if text.contains("`candidates[0]`")));
        let body = br#"{"candidates": [{"content": {"parts": [{"functionCall": {}}]}}]}"#;
        let error = read(body, String::new()).unwrap_err();
        assert!(matches!(error, Error::MalformedResponse(text) if text.contains("`candidates[0].content.parts[0]")));
    }
}
