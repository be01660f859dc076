//! `POST /chat/completions`: one request, and an answer in either of two forms.

mod body;
mod completion;
mod message;
mod stream;
mod streamed;
mod whole;

use weir_guest::types::Error;

pub use self::stream::{Streamed, stream, stream_as};
pub use self::whole::read;
pub use weir_guest::chat::{
    Decoder, Event, Finish, Message, Parameter, Part, Request, Response, Role, Tool, ToolCall, ToolCallDelta, given_up,
};

/// How the answer comes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// In one piece.
    Whole,
    /// In events.
    Streamed,
}

/// How a server calls what is asked of it.
#[derive(Debug, Clone, Copy)]
pub struct Dialect<'a> {
    /// The most tokens an answer may have: `max_completion_tokens` at OpenAI, nearly everywhere else `max_tokens`.
    pub max_tokens: &'a str,
    /// Whether `stream_options` are known, without which most servers tell no usage at a stream's end.
    pub stream_options: bool,
}

impl Dialect<'_> {
    /// What most servers that speak OpenAI's API understand.
    pub const COMPATIBLE: Dialect<'static> = Dialect {
        max_tokens: "max_tokens",
        stream_options: true,
    };
}

/// A request to `url`, which ends with the path.
///
/// # Errors
/// `invalid-input` naming the tool or the parameter that is no JSON, or that is not the caller's to set.
pub fn request(
    url: String,
    model: &str,
    request: &Request,
    form: Form,
    dialect: Dialect<'_>,
) -> Result<weir_guest::Request, Error> {
    let body = body::Body::new(request, model, dialect, form)?;
    Ok(weir_guest::Request::post(url).operation("chat").json(&body))
}
