//! `POST /chat/completions`: one request, and an answer in either of two forms.

pub(crate) mod body;
mod completion;
mod message;
pub(crate) mod streamed;
pub(crate) mod whole;

/// How the answer comes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Form {
    Whole,
    Streamed,
}
