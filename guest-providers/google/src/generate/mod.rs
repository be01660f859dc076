//! `POST /models/M:generateContent` and `:streamGenerateContent`.

mod answer;
mod body;
mod call_id;
mod part;
mod streamed;

pub(crate) use answer::{Tokens, read};
pub(crate) use body::body;
pub(crate) use streamed::Decoder;
