//! What the API answers: a whole completion and a chunk of one differ in one field's name.

use serde::Deserialize;
use serde_json::value::RawValue;
use weir_guest::types::{Error, Usage};
use weir_guest::{failure, json};

use crate::chat_api::Finish;

/// A completion, or a chunk of one.
#[derive(Deserialize)]
pub(super) struct Completion<'a> {
    pub id: Option<String>,
    pub model: Option<String>,
    /// Empty in the chunk that carries the usage, and in Azure's first.
    #[serde(default)]
    pub choices: Vec<Choice>,
    pub usage: Option<Tokens>,
    /// Gateways put a failure behind a 200, and every server one in the middle of a stream.
    #[serde(borrow)]
    error: Option<&'a RawValue>,
}

#[derive(Deserialize)]
pub(super) struct Choice {
    #[serde(default)]
    pub index: u32,
    #[serde(alias = "delta")]
    pub message: Option<Message>,
    pub finish_reason: Option<String>,
}

#[derive(Default, Deserialize)]
pub(super) struct Message {
    pub content: Option<String>,
    /// Stands where the model declines to answer.
    pub refusal: Option<String>,
    pub tool_calls: Option<Vec<Call>>,
}

#[derive(Deserialize)]
pub(super) struct Call {
    #[serde(default)]
    pub index: u32,
    pub id: Option<String>,
    pub function: Function,
}

#[derive(Deserialize)]
pub(super) struct Function {
    pub name: Option<String>,
    pub arguments: Option<String>,
}

#[derive(Deserialize)]
pub(super) struct Tokens {
    #[serde(default)]
    prompt_tokens: u64,
    #[serde(default)]
    completion_tokens: u64,
}

impl<'a> Completion<'a> {
    /// # Errors
    /// The failure the server put in its place, or `malformed-response`.
    pub(super) fn read(body: &'a [u8]) -> Result<Self, Error> {
        json::read(body).and_then(Self::unless_error)
    }

    /// A chunk out of an event's data. What follows it there is not regarded: servers that leave out the empty line
    /// before `[DONE]`, or end the body with a stray quote, have told all.
    ///
    /// # Errors
    /// As [`Completion::read`].
    pub(super) fn read_chunk(data: &'a [u8]) -> Result<Self, Error> {
        json::read_first(data).and_then(Self::unless_error)
    }

    fn unless_error(self) -> Result<Self, Error> {
        match self.error {
            Some(error) => Err(failure::inside_answer(error.get().as_bytes())),
            None => Ok(self),
        }
    }
}

impl From<Tokens> for Usage {
    fn from(tokens: Tokens) -> Self {
        Self {
            input_tokens: tokens.prompt_tokens,
            output_tokens: tokens.completion_tokens,
        }
    }
}

/// `finish_reason`, as the contract calls it.
pub(super) fn finish(reason: &str) -> Finish {
    match reason {
        "stop" => Finish::Stop,
        "length" => Finish::Length,
        "tool_calls" | "function_call" => Finish::ToolCalls,
        "content_filter" => Finish::ContentFilter,
        other => Finish::Other(other.to_owned()),
    }
}
