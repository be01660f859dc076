//! The two sides of a conversation, and what each says.

use serde_json::value::RawValue;
use weir_guest::types::Error;
use weir_guest::{failure, json};

use crate::{Message, Part, Role, Tool, ToolCall};

/// A conversation as the APIs want it whose two sides take turns: what the system says is apart, and a tool's result
/// is the user's.
#[derive(Debug)]
pub struct Conversation<'a> {
    /// The texts of the system and of the developer.
    pub system: Vec<&'a str>,
    /// In order; two that follow each other are of different sides.
    pub turns: Vec<Turn<'a>>,
}

/// Messages of one side.
#[derive(Debug)]
pub struct Turn<'a> {
    /// Whether it is the model's; else it is the user's.
    pub is_models: bool,
    /// At least one.
    pub messages: Vec<&'a Message>,
}

impl<'a> Conversation<'a> {
    /// # Errors
    /// `invalid-input` for an image that the system shows.
    pub fn of(messages: &'a [Message]) -> Result<Self, Error> {
        let mut conversation = Self {
            system: Vec::new(),
            turns: Vec::new(),
        };
        for message in messages {
            match message.role {
                Role::System | Role::Developer => {
                    for part in &message.content {
                        // APIs refuse texts of white space alone.
                        let text = text(part)?;
                        if !text.trim().is_empty() {
                            conversation.system.push(text);
                        }
                    }
                }
                Role::User | Role::Tool => conversation.push(false, message),
                Role::Assistant => conversation.push(true, message),
            }
        }
        Ok(conversation)
    }

    fn push(&mut self, is_models: bool, message: &'a Message) {
        match self.turns.last_mut() {
            Some(turn) if turn.is_models == is_models => turn.messages.push(message),
            _ => self.turns.push(Turn {
                is_models,
                messages: vec![message],
            }),
        }
    }
}

/// The text of a part, where an image has no place.
///
/// # Errors
/// `invalid-input` if it is one.
pub fn text(part: &Part) -> Result<&str, Error> {
    match part {
        Part::Text(text) => Ok(text),
        Part::ImageUrl(_) => Err(failure::refused(
            "this provider takes images in the user's messages alone",
        )),
    }
}

/// The call that a tool's message answers.
///
/// # Errors
/// `invalid-input` if it names none.
pub fn answered(message: &Message) -> Result<&str, Error> {
    message
        .tool_call_id
        .as_deref()
        .ok_or_else(|| failure::refused("a tool's message names no call (`tool_call_id`)"))
}

/// The arguments of a call the model made, for the APIs that want them as JSON and not as text.
///
/// # Errors
/// `invalid-input` if they are no JSON object; none at all count as an empty one.
pub fn arguments(call: &ToolCall) -> Result<&RawValue, Error> {
    let subject = || format!("the arguments of the call `{}` of `{}`", call.id, call.name);
    let text = match call.arguments.trim() {
        "" => "{}",
        text => text,
    };
    let arguments = json::given(text, subject)?;
    if arguments.get().starts_with('{') {
        Ok(arguments)
    } else {
        Err(failure::refused(format!("{} is no JSON object", subject())))
    }
}

/// The JSON Schema of a tool's parameters.
///
/// # Errors
/// `invalid-input` naming the tool if it is no JSON.
pub fn schema(tool: &Tool) -> Result<&RawValue, Error> {
    json::given(&tool.parameters, || {
        format!("the schema of the parameters of the tool `{}`", tool.name)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(role: Role, text: &str) -> Message {
        Message {
            role,
            content: vec![Part::Text(text.to_owned())],
            tool_calls: vec![],
            tool_call_id: None,
        }
    }

    #[test]
    fn the_two_sides_take_turns_and_the_system_is_apart() {
        let messages = [
            message(Role::System, "a"),
            message(Role::User, "b"),
            message(Role::Assistant, "c"),
            message(Role::Tool, "d"),
            message(Role::Tool, "e"),
            message(Role::Developer, "f"),
            message(Role::System, " \n"),
            message(Role::User, "g"),
        ];
        let conversation = Conversation::of(&messages).unwrap();
        assert_eq!(conversation.system, ["a", "f"]);
        let turns: Vec<_> = conversation
            .turns
            .iter()
            .map(|turn| (turn.is_models, turn.messages.len()))
            .collect();
        assert_eq!(turns, [(false, 1), (true, 1), (false, 3)]);
    }

    #[test]
    fn arguments_are_an_object_or_refused_by_name() {
        let call = |arguments: &str| ToolCall {
            id: "1".to_owned(),
            name: "add".to_owned(),
            arguments: arguments.to_owned(),
        };
        assert_eq!(arguments(&call("")).unwrap().get(), "{}");
        assert_eq!(arguments(&call(" {\"a\": 1} ")).unwrap().get(), "{\"a\": 1}");
        for wrong in ["[1]", "{", "7", "{} {}"] {
            let error = arguments(&call(wrong)).unwrap_err();
            assert!(
                matches!(error, Error::InvalidInput(failure) if failure.message.contains("`add`")),
                "{wrong}"
            );
        }
    }
}
