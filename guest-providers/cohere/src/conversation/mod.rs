//! `POST /v2/chat`: what is asked is written as OpenAI's API writes it, what is answered is not.

mod events;
mod message;

use openai_api::chat::{Dialect, Finish, Form, Request};
use weir_guest::types::{Error, Usage};

pub(crate) use events::Deltas;
pub(crate) use message::read;

/// Usage comes at the end of a stream unasked.
const DIALECT: Dialect<'static> = Dialect {
    max_tokens: "max_tokens",
    stream_options: false,
};

pub(crate) fn request(
    base_url: &str,
    model: &str,
    request: &Request,
    form: Form,
) -> Result<weir_guest::Request, Error> {
    openai_api::chat::request(format!("{base_url}/v2/chat"), model, request, form, DIALECT)
}

/// What a conversation cost: in tokens, and what of them is billed.
#[derive(Default, serde::Deserialize)]
struct Consumed {
    tokens: Option<Tokens>,
    billed_units: Option<Tokens>,
}

/// Floats in Cohere's own description.
#[derive(Default, serde::Deserialize)]
struct Tokens {
    #[serde(default)]
    input_tokens: f64,
    #[serde(default)]
    output_tokens: f64,
}

impl From<Consumed> for Usage {
    fn from(consumed: Consumed) -> Self {
        let tokens = consumed.tokens.or(consumed.billed_units).unwrap_or_default();
        Self {
            input_tokens: tokens.input_tokens as u64,
            output_tokens: tokens.output_tokens as u64,
        }
    }
}

/// `finish_reason`, as the contract calls it.
fn finish(reason: &str) -> Finish {
    match reason {
        "COMPLETE" | "STOP_SEQUENCE" => Finish::Stop,
        "MAX_TOKENS" => Finish::Length,
        "TOOL_CALL" => Finish::ToolCalls,
        other => Finish::Other(other.to_owned()),
    }
}
