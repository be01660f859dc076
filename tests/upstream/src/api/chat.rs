//! OpenAI's chat completions, whole and streamed. There is no language model here: the answer is made of the
//! conversation itself, always in the same way, and says so.
//!
//! | the last message | the answer |
//! |---|---|
//! | of a tool | `The tool answered: …` |
//! | of the user, with `call NAME` and a tool of that name | a call of that tool; JSON behind the name is its arguments |
//! | of the user, else | `You said: …` |
//!
//! A word is a token of the answer and a chunk of the stream; `max_tokens` cuts after so many words.

use std::{convert::Infallible, sync::Arc};

use axum::{
    Json,
    extract::State as Shared,
    response::{
        IntoResponse, Response,
        sse::{Event, Sse},
    },
};
use bytes::Bytes;
use futures::stream;
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::{
    openai::{Error, check_model, now},
    parse,
};
use crate::state::State;

#[derive(Deserialize)]
struct ChatRequest {
    model: String,
    messages: Vec<Message>,
    #[serde(default)]
    stream: Option<bool>,
    #[serde(default)]
    stream_options: Option<StreamOptions>,
    #[serde(default)]
    max_tokens: Option<usize>,
    #[serde(default)]
    max_completion_tokens: Option<usize>,
    #[serde(default)]
    tools: Option<Vec<Tool>>,
    #[serde(default)]
    tool_choice: Option<Value>,
    #[serde(default)]
    n: Option<u64>,
}

#[derive(Deserialize)]
struct StreamOptions {
    #[serde(default)]
    include_usage: Option<bool>,
}

#[derive(Deserialize)]
struct Message {
    role: String,
    #[serde(default)]
    content: Option<Content>,
}

/// A text, or parts of which the text ones count.
#[derive(Deserialize)]
#[serde(untagged)]
enum Content {
    Text(String),
    Parts(Vec<Value>),
}

#[derive(Deserialize)]
struct Tool {
    function: Function,
}

#[derive(Deserialize)]
struct Function {
    name: String,
}

impl Message {
    fn text(&self) -> String {
        match &self.content {
            None => String::new(),
            Some(Content::Text(text)) => text.clone(),
            Some(Content::Parts(parts)) => parts
                .iter()
                .filter_map(|part| part.get("text")?.as_str())
                .collect::<Vec<_>>()
                .join(" "),
        }
    }
}

/// What is answered.
#[derive(Debug, Clone, PartialEq)]
enum Reply {
    /// Words with the white space before them, and whether `max_tokens` cut more off.
    Text { words: Vec<String>, cut: bool },
    /// A call of a tool, its arguments in JSON.
    Call { name: String, arguments: String },
}

impl ChatRequest {
    fn check(&self) -> Result<(), Error> {
        check_model(&self.model)?;
        if self.messages.is_empty() {
            return Err(Error::invalid("messages", "[] is too short - 'messages'"));
        }
        let roles = ["system", "developer", "user", "assistant", "tool"];
        if let Some(message) = self
            .messages
            .iter()
            .find(|message| !roles.contains(&message.role.as_str()))
        {
            return Err(Error::invalid(
                "messages",
                format!("'{}' is not one of {roles:?}", message.role),
            ));
        }
        match self.n {
            None | Some(1) => Ok(()),
            Some(_) => Err(Error::invalid(
                "n",
                "'n' other than 1 is not served by this local server",
            )),
        }
    }

    fn reply(&self) -> Reply {
        let last = self
            .messages
            .iter()
            .rfind(|message| matches!(message.role.as_str(), "user" | "tool"));
        let text = last.map(Message::text).unwrap_or_default();
        let of_tool = last.is_some_and(|message| message.role == "tool");
        if !of_tool && let Some(call) = self.call(&text) {
            return call;
        }
        let said = if of_tool {
            format!("The tool answered: {text}")
        } else {
            format!("You said: {text}")
        };
        let mut words: Vec<String> = said.split_inclusive(char::is_whitespace).map(str::to_owned).collect();
        let most = self.max_completion_tokens.or(self.max_tokens).unwrap_or(usize::MAX);
        let cut = words.len() > most;
        words.truncate(most);
        Reply::Text { words, cut }
    }

    /// The tool the text asks to call, or the one `tool_choice` demands.
    fn call(&self, text: &str) -> Option<Reply> {
        let tools = self.tools.as_ref()?;
        let choice = self.tool_choice.as_ref();
        if choice.and_then(Value::as_str) == Some("none") {
            return None;
        }
        let demanded = choice.and_then(|choice| choice.get("function")?.get("name")?.as_str());
        let required = choice.and_then(Value::as_str) == Some("required");
        let asked = text.match_indices("call ").find_map(|(at, word)| {
            let rest = text.get(at + word.len()..)?;
            let end = rest
                .find(|c: char| !(c.is_alphanumeric() || "_-.".contains(c)))
                .unwrap_or(rest.len());
            let (name, rest) = rest.split_at(end);
            tools
                .iter()
                .any(|tool| tool.function.name == name)
                .then_some((name, rest))
        });
        let (name, rest) = match (demanded, asked, required) {
            (Some(name), Some((asked, rest)), _) if asked == name => (name, rest),
            (Some(name), _, _) => (name, ""),
            (None, Some(asked), _) => asked,
            (None, None, true) => (tools.first()?.function.name.as_str(), ""),
            (None, None, false) => return None,
        };
        let given = serde_json::Deserializer::from_str(rest.trim_start())
            .into_iter::<Map<String, Value>>()
            .next();
        let arguments = Value::Object(given.and_then(Result::ok).unwrap_or_default()).to_string();
        Some(Reply::Call {
            name: name.to_owned(),
            arguments,
        })
    }

    fn usage(&self, state: &State, reply: &Reply) -> Value {
        let prompt: u64 = self
            .messages
            .iter()
            .map(|message| state.model.count_tokens(&message.text()))
            .sum();
        let completion = match reply {
            Reply::Text { words, .. } => words.len() as u64,
            Reply::Call { arguments, .. } => state.model.count_tokens(arguments),
        };
        json!({"prompt_tokens": prompt, "completion_tokens": completion, "total_tokens": prompt + completion})
    }
}

impl Reply {
    fn finish_reason(&self) -> &'static str {
        match self {
            Self::Text { cut: true, .. } => "length",
            Self::Text { cut: false, .. } => "stop",
            Self::Call { .. } => "tool_calls",
        }
    }

    fn message(&self, number: u64) -> Value {
        match self {
            Self::Text { words, .. } => json!({"role": "assistant", "content": words.concat(), "refusal": null}),
            Self::Call { name, arguments } => json!({"role": "assistant", "content": null, "refusal": null,
                "tool_calls": [{"id": format!("call_{number}"), "type": "function",
                    "function": {"name": name, "arguments": arguments}}]}),
        }
    }

    /// The `delta`s of a stream, in order.
    fn deltas(&self, number: u64) -> Vec<Value> {
        match self {
            Self::Text { words, .. } => {
                let first = json!({"role": "assistant", "content": "", "refusal": null});
                std::iter::once(first)
                    .chain(words.iter().map(|word| json!({"content": word})))
                    .collect()
            }
            Self::Call { name, arguments } => {
                let call = json!({"index": 0, "id": format!("call_{number}"), "type": "function",
                    "function": {"name": name, "arguments": ""}});
                let first = json!({"role": "assistant", "content": null, "tool_calls": [call]});
                let pieces = arguments
                    .split_inclusive([':', ','])
                    .map(|piece| json!({"tool_calls": [{"index": 0, "function": {"arguments": piece}}]}));
                std::iter::once(first).chain(pieces).collect()
            }
        }
    }
}

/// `POST /v1/chat/completions`.
pub(super) async fn completions(Shared(state): Shared<Arc<State>>, body: Bytes) -> Result<Response, Error> {
    let request: ChatRequest = parse(&body).map_err(Error::body)?;
    request.check()?;
    let reply = request.reply();
    let usage = request.usage(&state, &reply);
    let number = state.next_number();
    let id = format!("chatcmpl-{number}");
    if request.stream.unwrap_or(false) {
        let with_usage = request
            .stream_options
            .and_then(|options| options.include_usage)
            .unwrap_or(false);
        let chunks = chunks(&id, &request.model, &reply, number, with_usage.then_some(usage));
        let events = chunks
            .into_iter()
            .map(|data| Ok::<_, Infallible>(Event::default().data(data)));
        return Ok(Sse::new(stream::iter(events)).into_response());
    }
    let choice = json!({"index": 0, "message": reply.message(number), "logprobs": null,
        "finish_reason": reply.finish_reason()});
    let answer = json!({"id": id, "object": "chat.completion", "created": now(), "model": request.model,
        "choices": [choice], "usage": usage, "system_fingerprint": null});
    Ok(Json(answer).into_response())
}

/// The `data:` of every event: the deltas, the reason of the end, the usage if asked for, and `[DONE]`.
fn chunks(id: &str, model: &str, reply: &Reply, number: u64, usage: Option<Value>) -> Vec<String> {
    let created = now();
    let chunk = |choices: Value, used: Option<&Value>| {
        let mut chunk = json!({"id": id, "object": "chat.completion.chunk", "created": created, "model": model,
            "system_fingerprint": null, "choices": choices});
        if let (Some(_), Some(chunk)) = (&usage, chunk.as_object_mut()) {
            // With usage asked for, every other chunk has it as null.
            chunk.insert("usage".to_owned(), used.cloned().unwrap_or(Value::Null));
        }
        chunk.to_string()
    };
    let choice = |delta: Value, finish: Option<&str>| {
        chunk(
            json!([{"index": 0, "delta": delta, "logprobs": null, "finish_reason": finish}]),
            None,
        )
    };
    let mut chunks: Vec<String> = reply
        .deltas(number)
        .into_iter()
        .map(|delta| choice(delta, None))
        .collect();
    chunks.push(choice(json!({}), Some(reply.finish_reason())));
    chunks.extend(usage.as_ref().map(|usage| chunk(json!([]), Some(usage))));
    chunks.push("[DONE]".to_owned());
    chunks
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reply(request: Value) -> Reply {
        serde_json::from_value::<ChatRequest>(request).unwrap().reply()
    }

    fn asking(text: &str, more: Value) -> Value {
        let mut request =
            json!({"model": "m", "messages": [{"role": "system", "content": "s"}, {"role": "user", "content": text}]});
        request
            .as_object_mut()
            .unwrap()
            .extend(more.as_object().unwrap().clone());
        request
    }

    fn weather() -> Value {
        json!({"tools": [{"type": "function", "function": {"name": "weather", "parameters": {}}}]})
    }

    #[test]
    fn the_answer_repeats_what_the_user_said_last() {
        let Reply::Text { words, cut } = reply(asking("two words", json!({}))) else {
            panic!("not a text")
        };
        assert_eq!(
            (words.concat().as_str(), words.len(), cut),
            ("You said: two words", 4, false)
        );
    }

    #[test]
    fn an_answer_is_cut_after_the_most_tokens_allowed() {
        let cut = reply(asking("one two three", json!({"max_tokens": 3})));
        assert_eq!(
            cut,
            Reply::Text {
                words: vec!["You ".into(), "said: ".into(), "one ".into()],
                cut: true
            }
        );
        assert_eq!(cut.finish_reason(), "length");
    }

    #[test]
    fn a_tool_is_called_when_the_user_asks_for_it_by_name() {
        let called = reply(asking(r#"please call weather {"city": "Rome"} now"#, weather()));
        assert_eq!(
            called,
            Reply::Call {
                name: "weather".into(),
                arguments: r#"{"city":"Rome"}"#.into()
            }
        );
        assert!(matches!(reply(asking("call nothing", weather())), Reply::Text { .. }));
        let mut forbidden = weather();
        forbidden["tool_choice"] = json!("none");
        assert!(matches!(reply(asking("call weather", forbidden)), Reply::Text { .. }));
        let mut demanded = weather();
        demanded["tool_choice"] = json!({"type": "function", "function": {"name": "weather"}});
        assert_eq!(
            reply(asking("hello", demanded)),
            Reply::Call {
                name: "weather".into(),
                arguments: "{}".into()
            }
        );
    }

    #[test]
    fn the_deltas_of_a_call_join_to_its_arguments() {
        let call = Reply::Call {
            name: "weather".into(),
            arguments: r#"{"city":"Rome","days":2}"#.into(),
        };
        let joined: String = call
            .deltas(1)
            .iter()
            .map(|delta| {
                delta["tool_calls"][0]["function"]["arguments"]
                    .as_str()
                    .unwrap()
                    .to_owned()
            })
            .collect();
        assert_eq!(joined, r#"{"city":"Rome","days":2}"#);
    }

    #[test]
    fn a_stream_ends_with_the_usage_asked_for_and_done() {
        let reply = Reply::Text {
            words: vec!["You ".into(), "said".into()],
            cut: false,
        };
        let chunks = chunks("id", "m", &reply, 1, Some(json!({"total_tokens": 3})));
        assert_eq!(chunks.len(), 6);
        assert_eq!(chunks[5], "[DONE]");
        let last: Value = serde_json::from_str(&chunks[4]).unwrap();
        assert_eq!(
            (&last["choices"], &last["usage"]),
            (&json!([]), &json!({"total_tokens": 3}))
        );
        let first: Value = serde_json::from_str(&chunks[0]).unwrap();
        assert!(first["usage"].is_null() && first["choices"][0]["delta"]["role"] == "assistant");
    }
}
