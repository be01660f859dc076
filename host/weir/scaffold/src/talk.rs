//! Conversations: yet to be written. weir's own adapter `openai` is a whole one.

use weir_guest::types::Error;

use crate::{Adapter, chat};

impl chat::Guest for Adapter {
    async fn chat(_request: chat::Request) -> Result<chat::Response, Error> {
        Err(yet_to_be_written("chat"))
    }

    async fn chat_streaming(_request: chat::Request) -> Result<chat::StreamingResponse, Error> {
        Err(yet_to_be_written("chat in pieces"))
    }
}

fn yet_to_be_written(what: &str) -> Error {
    Error::Unsupported(format!("{what} is yet to be written"))
}
