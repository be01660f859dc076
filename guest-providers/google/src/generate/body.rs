//! The request's body.

use conversation::turns::{self, Conversation, Turn};
use conversation::{Message, Object, Part as Given, Request, Role};
use serde::Serialize;
use serde_json::value::RawValue;
use weir_guest::types::Error;

use super::call_id;
use super::part::Part;

#[derive(Serialize)]
struct Content<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    role: Option<&'static str>,
    parts: Vec<Part<'a>>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Tools<'a> {
    function_declarations: Vec<Declaration<'a>>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Declaration<'a> {
    name: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    description: Option<&'a str>,
    /// JSON Schema whole; `parameters` takes a part of it only.
    parameters_json_schema: &'a RawValue,
}

/// # Errors
/// `invalid-input` naming what the API has no form for.
pub(crate) fn body(request: &Request) -> Result<Object<'_>, Error> {
    let conversation = Conversation::of(&request.messages)?;
    let mut body = Object::default();
    let contents = conversation.turns.iter().map(|turn| content(turn, &request.messages));
    body.set("contents", &contents.collect::<Result<Vec<_>, _>>()?)?;
    let system = (!conversation.system.is_empty()).then(|| Content {
        role: None,
        parts: conversation.system.iter().copied().map(Part::text).collect(),
    });
    body.set_some("systemInstruction", system)?;

    let mut generation = Object::default();
    generation.set_some("maxOutputTokens", request.max_tokens)?;
    generation.set_some("temperature", request.temperature)?;
    body.set_some("generationConfig", generation.unless_empty())?;

    let mut declarations = Vec::with_capacity(request.tools.len());
    for tool in &request.tools {
        declarations.push(Declaration {
            name: &tool.name,
            description: tool.description.as_deref(),
            parameters_json_schema: turns::schema(tool)?,
        });
    }
    let tools = [Tools {
        function_declarations: declarations,
    }];
    body.set_some("tools", (!request.tools.is_empty()).then_some(tools))?;
    body.set_parameters(&request.parameters)?;
    Ok(body)
}

fn content<'a>(turn: &Turn<'a>, conversation: &'a [Message]) -> Result<Content<'a>, Error> {
    let mut parts = Vec::new();
    for message in &turn.messages {
        if matches!(message.role, Role::Tool) {
            parts.push(Part::answer(message, conversation)?);
            continue;
        }
        for part in &message.content {
            // The API refuses empty texts.
            if !matches!(part, Given::Text(text) if text.is_empty()) {
                parts.push(Part::of(part)?);
            }
        }
        let unsigned = !message
            .tool_calls
            .iter()
            .any(|call| call_id::split(&call.id).1.is_some());
        for (index, call) in message.tool_calls.iter().enumerate() {
            // Of calls made together the first alone is signed.
            parts.push(Part::call(call, (unsigned && index == 0).then_some(call_id::UNSIGNED))?);
        }
    }
    Ok(Content {
        role: Some(if turn.is_models { "model" } else { "user" }),
        parts,
    })
}

#[cfg(test)]
mod tests {
    use conversation::ToolCall;
    use conversation::{Parameter, Tool};
    use serde_json::{Value, json};

    use super::*;

    fn message(role: Role, content: Vec<Given>) -> Message {
        Message {
            role,
            content,
            tool_calls: vec![],
            tool_call_id: None,
        }
    }

    fn called(calls: &[(&str, &str)]) -> Message {
        let calls = calls.iter().map(|(id, name)| ToolCall {
            id: (*id).to_owned(),
            name: (*name).to_owned(),
            arguments: "{\"a\": 1}".to_owned(),
        });
        Message {
            tool_calls: calls.collect(),
            ..message(Role::Assistant, vec![])
        }
    }

    fn answered(id: &str, text: &str) -> Message {
        Message {
            tool_call_id: Some(id.to_owned()),
            ..message(Role::Tool, vec![Given::Text(text.to_owned())])
        }
    }

    fn request(messages: Vec<Message>) -> Request {
        Request {
            model: None,
            messages,
            max_tokens: None,
            temperature: None,
            tools: vec![],
            parameters: vec![],
        }
    }

    fn sent(request: &Request) -> Value {
        serde_json::to_value(body(request).unwrap()).unwrap()
    }

    #[test]
    fn a_conversation_is_written_as_the_api_wants_it() {
        let mut request = request(vec![
            message(Role::System, vec![Given::Text("short".into())]),
            message(
                Role::User,
                vec![
                    Given::Text("what?".into()),
                    Given::ImageUrl("data:image/png;base64,AAAA".into()),
                    Given::ImageUrl("https://x/y.png".into()),
                ],
            ),
            message(
                Role::Assistant,
                vec![Given::Text("that".into()), Given::Text("".into())],
            ),
        ]);
        request.max_tokens = Some(16);
        request.temperature = Some(0.5);
        request.tools = vec![Tool {
            name: "add".into(),
            description: Some("adds".into()),
            parameters: r#"{"type": "object"}"#.into(),
        }];
        request.parameters = vec![Parameter {
            name: "safetySettings".into(),
            value: "[]".into(),
        }];
        assert_eq!(
            sent(&request),
            json!({
                "systemInstruction": {"parts": [{"text": "short"}]},
                "contents": [
                    {"role": "user", "parts": [
                        {"text": "what?"},
                        {"inlineData": {"mimeType": "image/png", "data": "AAAA"}},
                        {"fileData": {"fileUri": "https://x/y.png"}},
                    ]},
                    {"role": "model", "parts": [{"text": "that"}]},
                ],
                "generationConfig": {"maxOutputTokens": 16, "temperature": 0.5},
                "tools": [{"functionDeclarations": [
                    {"name": "add", "description": "adds", "parametersJsonSchema": {"type": "object"}},
                ]}],
                "safetySettings": [],
            })
        );
    }

    #[test]
    fn results_of_calls_made_together_go_back_together_by_name() {
        let request = request(vec![
            called(&[("c1__thought__c2ln", "add"), ("c2", "sub")]),
            answered("c2", "{\"is\": 2}"),
            answered("c1__thought__c2ln", "one"),
        ]);
        assert_eq!(
            sent(&request)["contents"],
            json!([
                {"role": "model", "parts": [
                    {"functionCall": {"id": "c1", "name": "add", "args": {"a": 1}}, "thoughtSignature": "c2ln"},
                    {"functionCall": {"id": "c2", "name": "sub", "args": {"a": 1}}},
                ]},
                {"role": "user", "parts": [
                    {"functionResponse": {"id": "c2", "name": "sub", "response": {"is": 2}}},
                    {"functionResponse": {"id": "c1", "name": "add", "response": {"output": "one"}}},
                ]},
            ])
        );
    }

    #[test]
    fn calls_of_another_model_say_that_they_are_unsigned() {
        let parts = &sent(&request(vec![called(&[("a", "add"), ("b", "add")])]))["contents"][0]["parts"];
        assert_eq!(parts[0]["thoughtSignature"], "skip_thought_signature_validator");
        assert!(parts[1].get("thoughtSignature").is_none());
    }

    #[test]
    fn a_result_of_no_call_is_refused() {
        let said = |message| match body(&request(vec![called(&[("a", "add")]), message])) {
            Err(Error::InvalidInput(failure)) => failure.message,
            _ => panic!("taken"),
        };
        assert!(said(answered("b", "x")).contains("`b`"));
        assert!(said(message(Role::Tool, vec![])).contains("`tool_call_id`"));
    }
}
