//! `POST /model/M/converse` and `/converse-stream`: one body for every model's conversations.

mod answer;
mod body;
mod streamed;

pub(crate) use answer::read;
pub(crate) use body::body;
pub(crate) use streamed::Decoder;
