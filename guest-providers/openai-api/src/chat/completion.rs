//! What the API answers: a whole completion has a `message`, a chunk of one a `delta`.

use std::fmt;

use serde::de::{Deserialize, Deserializer, SeqAccess, Visitor};
use serde_json::value::RawValue;
use weir_guest::types::Error;
use weir_guest::{failure, json};

use super::Finish;
use crate::errors;
use crate::usage::Tokens;

/// A completion, or a chunk of one.
#[derive(serde::Deserialize)]
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

#[derive(serde::Deserialize)]
pub(super) struct Choice {
    #[serde(default)]
    pub index: u32,
    pub message: Option<Message>,
    /// Beside it perplexity has the message so far, and in a whole answer an empty delta beside the message.
    pub delta: Option<Message>,
    pub finish_reason: Option<String>,
}

#[derive(Default, serde::Deserialize)]
pub(super) struct Message {
    pub content: Option<Content>,
    /// Stands where the model declines to answer.
    pub refusal: Option<String>,
    pub tool_calls: Option<Vec<Call>>,
}

/// A text, or parts: mistral's models that reason tell their thoughts in parts of their own.
pub(super) struct Content(pub String);

#[derive(serde::Deserialize)]
struct Part {
    text: Option<String>,
}

#[derive(serde::Deserialize)]
pub(super) struct Call {
    #[serde(default)]
    pub index: u32,
    pub id: Option<String>,
    /// OpenAI has tools of the caller's own making too, which are given any text.
    #[serde(default, alias = "custom")]
    pub function: Function,
}

#[derive(Default, serde::Deserialize)]
pub(super) struct Function {
    pub name: Option<String>,
    #[serde(alias = "input")]
    pub arguments: Option<String>,
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
            Some(error) => Err(errors::classify(failure::inside_answer(error.get().as_bytes()))),
            None => Ok(self),
        }
    }
}

impl<'de> Deserialize<'de> for Content {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(ContentVisitor)
    }
}

struct ContentVisitor;

impl<'de> Visitor<'de> for ContentVisitor {
    type Value = Content;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a text or a list of parts")
    }

    fn visit_str<E>(self, text: &str) -> Result<Content, E> {
        Ok(Content(text.to_owned()))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut parts: A) -> Result<Content, A::Error> {
        let mut text = String::new();
        while let Some(part) = parts.next_element::<Part>()? {
            text.extend(part.text);
        }
        Ok(Content(text))
    }
}

/// `finish_reason`, as the contract calls it.
pub(super) fn finish(reason: &str) -> Finish {
    match reason {
        // together's word for a text that came to its end.
        "stop" | "eos" => Finish::Stop,
        // mistral's where it was the model's own limit.
        "length" | "model_length" => Finish::Length,
        "tool_calls" | "function_call" => Finish::ToolCalls,
        "content_filter" => Finish::ContentFilter,
        other => Finish::Other(other.to_owned()),
    }
}
