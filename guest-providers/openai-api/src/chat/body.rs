//! The request's body.

use serde::ser::{Serialize, SerializeMap, Serializer};
use serde_json::value::RawValue;
use weir_guest::failure;
use weir_guest::types::Error;

use super::message::Message;
use super::{Dialect, Form, Request};

/// The body, borrowed from the call.
pub(super) struct Body<'a> {
    model: &'a str,
    request: &'a Request,
    tools: Vec<Tool<'a>>,
    dialect: Dialect<'a>,
    form: Form,
    /// Sent as they are; one of them replaces what else goes by its name.
    parameters: Vec<(&'a str, &'a RawValue)>,
}

impl<'a> Body<'a> {
    /// # Errors
    /// `invalid-input` naming the tool or the parameter that is no JSON, or that is not the caller's to set.
    pub(super) fn new(request: &'a Request, model: &'a str, dialect: Dialect<'a>, form: Form) -> Result<Self, Error> {
        let mut tools = Vec::with_capacity(request.tools.len());
        for tool in &request.tools {
            let parameters = json(&tool.parameters, || {
                format!("the parameters of the tool `{}`", tool.name)
            })?;
            let function = Function {
                name: &tool.name,
                description: tool.description.as_deref(),
                parameters,
            };
            tools.push(Tool {
                r#type: "function",
                function,
            });
        }
        let mut parameters = Vec::with_capacity(request.parameters.len());
        for parameter in &request.parameters {
            if parameter.name == "stream" {
                return Err(failure::refused(
                    "`stream` is no parameter: call `chat` or `chat-streaming`",
                ));
            }
            let value = json(&parameter.value, || format!("the parameter `{}`", parameter.name))?;
            parameters.push((parameter.name.as_str(), value));
        }
        Ok(Self {
            model,
            request,
            tools,
            dialect,
            form,
            parameters,
        })
    }

    fn is_replaced(&self, name: &str) -> bool {
        self.parameters.iter().any(|(replacing, _)| *replacing == name)
    }
}

impl Serialize for Body<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut fields = Fields {
            map: serializer.serialize_map(None)?,
            body: self,
        };
        fields.add("model", Some(self.model))?;
        fields.add(
            "messages",
            Some(self.request.messages.iter().map(Message::from).collect::<Vec<_>>()),
        )?;
        fields.add(self.dialect.max_tokens, self.request.max_tokens)?;
        fields.add("temperature", self.request.temperature)?;
        fields.add("tools", Some(&self.tools).filter(|tools| !tools.is_empty()))?;
        let streamed = self.form == Form::Streamed;
        fields.add("stream", streamed.then_some(true))?;
        fields.add(
            "stream_options",
            (streamed && self.dialect.stream_options).then_some(StreamOptions { include_usage: true }),
        )?;
        for (name, value) in &self.parameters {
            fields.map.serialize_entry(name, value)?;
        }
        fields.map.end()
    }
}

struct Fields<'a, M> {
    map: M,
    body: &'a Body<'a>,
}

impl<M: SerializeMap> Fields<'_, M> {
    fn add(&mut self, name: &str, value: Option<impl Serialize>) -> Result<(), M::Error> {
        match value {
            Some(value) if !self.body.is_replaced(name) => self.map.serialize_entry(name, &value),
            _ => Ok(()),
        }
    }
}

#[derive(serde::Serialize)]
struct StreamOptions {
    include_usage: bool,
}

#[derive(serde::Serialize)]
struct Tool<'a> {
    r#type: &'static str,
    function: Function<'a>,
}

#[derive(serde::Serialize)]
struct Function<'a> {
    name: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    description: Option<&'a str>,
    parameters: &'a RawValue,
}

fn json(text: &str, subject: impl FnOnce() -> String) -> Result<&RawValue, Error> {
    serde_json::from_slice(text.as_bytes())
        .map_err(|error| failure::refused(format!("{} are no JSON: {error}", subject())))
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::chat::{self, Parameter, Part, Role};

    fn message(role: Role, content: Vec<Part>) -> chat::Message {
        chat::Message {
            role,
            content,
            tool_calls: vec![],
            tool_call_id: None,
        }
    }

    fn request(messages: Vec<chat::Message>) -> Request {
        Request {
            model: None,
            messages,
            max_tokens: None,
            temperature: None,
            tools: vec![],
            parameters: vec![],
        }
    }

    fn sent(request: &Request, form: Form) -> Value {
        let body = Body::new(request, "m", Dialect::COMPATIBLE, form).unwrap();
        serde_json::to_value(&body).unwrap()
    }

    #[test]
    fn a_conversation_with_a_tool_is_written_as_the_api_wants_it() {
        let mut called = message(Role::Assistant, vec![]);
        called.tool_calls = vec![chat::ToolCall {
            id: "1".into(),
            name: "add".into(),
            arguments: "{\"a\":1}".into(),
        }];
        let mut result = message(Role::Tool, vec![Part::Text("2".into())]);
        result.tool_call_id = Some("1".into());
        let mut request = request(vec![
            message(Role::System, vec![Part::Text("short".into())]),
            message(
                Role::User,
                vec![Part::Text("what?".into()), Part::ImageUrl("https://x/y.png".into())],
            ),
            called,
            result,
        ]);
        request.max_tokens = Some(16);
        request.temperature = Some(0.1);
        request.tools = vec![chat::Tool {
            name: "add".into(),
            description: None,
            parameters: r#"{"type":"object"}"#.into(),
        }];

        assert_eq!(
            Body::new(&request, "m", Dialect::COMPATIBLE, Form::Whole)
                .map(|body| serde_json::to_string(&body).unwrap())
                .unwrap(),
            concat!(
                r#"{"model":"m","messages":[{"role":"system","content":"short"},{"role":"user","content":["#,
                r#"{"type":"text","text":"what?"},{"type":"image_url","image_url":{"url":"https://x/y.png"}}]},"#,
                r#"{"role":"assistant","content":null,"tool_calls":[{"id":"1","type":"function","function":"#,
                r#"{"name":"add","arguments":"{\"a\":1}"}}]},{"role":"tool","content":"2","tool_call_id":"1"}],"#,
                r#""max_tokens":16,"temperature":0.1,"tools":[{"type":"function","function":"#,
                r#"{"name":"add","parameters":{"type":"object"}}}]}"#,
            )
        );
    }

    #[test]
    fn a_streamed_answer_is_the_same_request_and_asks_for_usage() {
        let request = request(vec![message(Role::User, vec![Part::Text("hi".into())])]);
        let mut streamed = sent(&request, Form::Streamed);
        assert_eq!(streamed["stream"], true);
        assert_eq!(streamed["stream_options"], json!({"include_usage": true}));
        let fields = streamed.as_object_mut().unwrap();
        fields.remove("stream");
        fields.remove("stream_options");
        assert_eq!(streamed, sent(&request, Form::Whole));
    }

    #[test]
    fn a_parameter_replaces_what_goes_by_its_name() {
        let mut request = request(vec![]);
        request.temperature = Some(1.0);
        request.parameters = vec![
            Parameter {
                name: "temperature".into(),
                value: "0".into(),
            },
            Parameter {
                name: "stop".into(),
                value: "[\"\\n\"]".into(),
            },
        ];
        assert_eq!(
            sent(&request, Form::Whole),
            json!({"model": "m", "messages": [], "temperature": 0, "stop": ["\n"]})
        );
    }

    #[test]
    fn what_is_no_json_is_refused_by_name() {
        let said = |request: &Request| match Body::new(request, "m", Dialect::COMPATIBLE, Form::Whole) {
            Err(Error::InvalidInput(failure)) => failure.message,
            _ => panic!("taken"),
        };
        let mut request = request(vec![]);
        request.parameters = vec![Parameter {
            name: "stop".into(),
            value: "{".into(),
        }];
        assert!(said(&request).contains("`stop`"));
        request.parameters = vec![Parameter {
            name: "stream".into(),
            value: "true".into(),
        }];
        assert!(said(&request).contains("`chat-streaming`"));
        request.parameters = vec![];
        request.tools = vec![chat::Tool {
            name: "add".into(),
            description: None,
            parameters: String::new(),
        }];
        assert!(said(&request).contains("`add`"));
    }
}
