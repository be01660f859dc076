//! The messages of the APIs whose messages are made of blocks (Anthropic, Bedrock).

use serde::Serialize;
use serde_json::value::RawValue;
use weir_guest::types::Error;

use crate::turns::{self, Turn};
use crate::{Message, Part, Role};

/// A block as an API writes it.
pub trait Block<'a>: Sized {
    /// A part of what is said; none for a text that the API would refuse.
    ///
    /// # Errors
    /// `invalid-input` for an image that the API has no form for.
    fn part(part: &'a Part) -> Result<Option<Self>, Error>;

    /// A call that the model made.
    fn call(id: &'a str, name: &'a str, arguments: &'a RawValue) -> Self;

    /// What the call of this id gave.
    fn result(id: &'a str, content: Vec<Self>) -> Self;
}

/// A message.
#[derive(Serialize)]
pub struct Written<B> {
    role: &'static str,
    content: Vec<B>,
}

/// The messages of a conversation's turns.
///
/// # Errors
/// `invalid-input` naming what the API has no form for.
pub fn messages<'a, B: Block<'a>>(turns: &[Turn<'a>]) -> Result<Vec<Written<B>>, Error> {
    let mut written = Vec::with_capacity(turns.len());
    for turn in turns {
        let mut content = Vec::new();
        for message in &turn.messages {
            write(message, &mut content)?;
        }
        written.push(Written {
            role: if turn.is_models { "assistant" } else { "user" },
            content,
        });
    }
    Ok(written)
}

fn write<'a, B: Block<'a>>(message: &'a Message, blocks: &mut Vec<B>) -> Result<(), Error> {
    let mut parts = Vec::with_capacity(message.content.len());
    for part in &message.content {
        parts.extend(B::part(part)?);
    }
    if matches!(message.role, Role::Tool) {
        blocks.push(B::result(turns::answered(message)?, parts));
        return Ok(());
    }
    blocks.append(&mut parts);
    for call in &message.tool_calls {
        blocks.push(B::call(&call.id, &call.name, turns::arguments(call)?));
    }
    Ok(())
}
