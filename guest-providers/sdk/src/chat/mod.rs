//! The contract's records of a conversation (see the interface `chat`), and an answer to one in events.
//!
//! Written out, so that the exports of every adapter can be over the same ones: generated here from an interface that
//! adapters export, they would have it imported too.
#![allow(missing_docs, reason = "the contract says what each field is")]

mod stream;
mod told;

use crate::types::Usage;

pub use stream::{Decoder, Streamed, begin, given_up};
pub use told::{told, told_by_data};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    System,
    Developer,
    User,
    Assistant,
    Tool,
}

impl Role {
    /// The role of this place in the contract's list; what the generated code calls.
    #[doc(hidden)]
    pub fn _lift(place: u8) -> Self {
        match place {
            0 => Self::System,
            1 => Self::Developer,
            3 => Self::Assistant,
            4 => Self::Tool,
            // The host sends no other.
            _ => Self::User,
        }
    }
}

#[derive(Debug, Clone)]
pub enum Part {
    Text(String),
    ImageUrl(String),
}

#[derive(Debug, Clone)]
pub struct ToolCall {
    pub id: String,
    pub name: String,
    pub arguments: String,
}

#[derive(Debug, Clone)]
pub struct Message {
    pub role: Role,
    pub content: Vec<Part>,
    pub tool_calls: Vec<ToolCall>,
    pub tool_call_id: Option<String>,
}

#[derive(Debug, Clone)]
pub struct Tool {
    pub name: String,
    pub description: Option<String>,
    pub parameters: String,
}

#[derive(Debug, Clone)]
pub struct Parameter {
    pub name: String,
    pub value: String,
}

#[derive(Debug, Clone)]
pub struct Request {
    pub model: Option<String>,
    pub messages: Vec<Message>,
    pub max_tokens: Option<u32>,
    pub temperature: Option<f32>,
    pub tools: Vec<Tool>,
    pub parameters: Vec<Parameter>,
}

#[derive(Debug, Clone)]
pub enum Finish {
    Stop,
    Length,
    ToolCalls,
    ContentFilter,
    Other(String),
}

#[derive(Debug, Clone)]
pub struct Response {
    pub id: Option<String>,
    pub model: String,
    pub text: String,
    pub tool_calls: Vec<ToolCall>,
    pub finish: Finish,
    pub usage: Usage,
}

#[derive(Debug, Clone)]
pub struct ToolCallDelta {
    pub index: u32,
    pub id: Option<String>,
    pub name: Option<String>,
    pub arguments: String,
}

#[derive(Debug, Clone)]
pub enum Event {
    Text(String),
    ToolCall(ToolCallDelta),
    Finish(Finish),
    Usage(Usage),
}
