//! `POST /v1/chat/completions`: OpenAI's shape, whole or streamed.

use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use axum::extract::State;
use axum::response::Response;
use axum::{Extension, Json};
use serde::Serialize;
use serde_json::{Map, Value, json};
use weir_runtime::chat::{self, Finish, Request};
use weir_runtime::types::Usage;

use super::allowance::Spending;
use super::app::App;
use super::attempt::first_answer;
use super::backend::RouteTable;
use super::chat_request::{self, ChatCall};
use super::chat_stream;
use super::error::ApiError;
use super::json::JsonBody;
use super::observe::told;
use super::request_id::RequestId;
use super::resolve::resolve;

/// What every answer, and every chunk of one, begins with.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Head {
    pub id: String,
    pub object: &'static str,
    /// Seconds since 1970.
    pub created: u64,
    pub model: String,
}

pub(crate) async fn completions(
    State(app): State<Arc<App>>,
    Extension(id): Extension<RequestId>,
    Extension(spending): Extension<Spending>,
    JsonBody(body): JsonBody<Map<String, Value>>,
) -> Result<Response, ApiError> {
    let call = chat_request::read(body)?;
    if call.stream {
        streamed(&app, &id, spending, call).await
    } else {
        whole(&app, &id, &spending, call).await
    }
}

async fn whole(app: &App, id: &RequestId, spending: &Spending, call: ChatCall) -> Result<Response, ApiError> {
    let backend = app.backend();
    let targets = resolve(backend.as_ref(), RouteTable::Chat, call.model.as_deref())?;
    let operation = RouteTable::Chat.operation();
    let (response, answered) = first_answer(backend.as_ref(), &targets, operation, |provider, model| {
        provider.chat(Request {
            model,
            ..call.request.clone()
        })
    })
    .await?;
    spending.spend(all(&response.usage));
    Ok(told(Json(completion(response, id)), answered))
}

async fn streamed(app: &App, id: &RequestId, spending: Spending, call: ChatCall) -> Result<Response, ApiError> {
    let backend = app.backend();
    let targets = resolve(backend.as_ref(), RouteTable::Chat, call.model.as_deref())?;
    let operation = RouteTable::Chat.operation();
    let (answer, answered) = first_answer(backend.as_ref(), &targets, operation, |provider, model| {
        provider.chat_streaming(Request {
            model,
            ..call.request.clone()
        })
    })
    .await?;
    let head = Head {
        id: completion_id(id),
        object: "chat.completion.chunk",
        created: seconds_since_1970(),
        model: answer.model,
    };
    Ok(told(
        chat_stream::sse(head, call.include_usage, spending, answer.events),
        answered,
    ))
}

/// Tokens that were read and written.
pub(crate) fn all(usage: &Usage) -> u64 {
    usage.input_tokens.saturating_add(usage.output_tokens)
}

fn completion(response: chat::Response, id: &RequestId) -> Value {
    let calls: Vec<Value> = response
        .tool_calls
        .iter()
        .map(|call| {
            let function = json!({"name": call.name, "arguments": call.arguments});
            json!({"id": call.id, "type": "function", "function": function})
        })
        .collect();
    // OpenAI's answer has null where the model only called tools.
    let content = (!response.text.is_empty() || calls.is_empty()).then_some(response.text);
    let mut message = json!({"role": "assistant", "content": content, "refusal": null});
    if !calls.is_empty() {
        message["tool_calls"] = Value::Array(calls);
    }
    json!({
        "id": response.id.unwrap_or_else(|| completion_id(id)),
        "object": "chat.completion",
        "created": seconds_since_1970(),
        "model": response.model,
        "choices": [{
            "index": 0,
            "message": message,
            "logprobs": null,
            "finish_reason": finish_reason(&response.finish),
        }],
        "usage": usage(&response.usage),
    })
}

/// OpenAI's word for why an answer ended; the provider's own where OpenAI has none.
pub(crate) fn finish_reason(finish: &Finish) -> &str {
    match finish {
        Finish::Stop => "stop",
        Finish::Length => "length",
        Finish::ToolCalls => "tool_calls",
        Finish::ContentFilter => "content_filter",
        Finish::Other(word) => word,
    }
}

/// Tokens as OpenAI counts them.
pub(crate) fn usage(usage: &Usage) -> Value {
    json!({
        "prompt_tokens": usage.input_tokens,
        "completion_tokens": usage.output_tokens,
        "total_tokens": usage.input_tokens.saturating_add(usage.output_tokens),
    })
}

fn completion_id(id: &RequestId) -> String {
    format!("chatcmpl-{}", id.as_str())
}

fn seconds_since_1970() -> u64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0, |since| since.as_secs())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::server::fake::{FakeBackend, FakeProvider, post};
    use weir_runtime::chat::ToolCall;

    #[tokio::test]
    async fn the_whole_answer_has_openais_shape() {
        let backend = FakeBackend::default().provider(FakeProvider::new("openai"));
        let body = json!({"model": "openai/gpt", "messages": [{"role": "user", "content": "hello"}]});
        let mut answer = post(backend, "/v1/chat/completions", body).await;
        assert!(answer.json["created"].take().as_u64().unwrap() > 1_700_000_000);
        let expected = json!({
            "id": format!("chatcmpl-{}", answer.headers["x-request-id"].to_str().unwrap()),
            "object": "chat.completion", "created": null, "model": "gpt",
            "choices": [{
                "index": 0, "logprobs": null, "finish_reason": "stop",
                "message": {"role": "assistant", "content": "you said hello", "refusal": null},
            }],
            "usage": {"prompt_tokens": 1, "completion_tokens": 3, "total_tokens": 4},
        });
        assert_eq!((answer.status, &answer.json), (200, &expected));
    }

    #[test]
    fn an_answer_of_tool_calls_alone_has_null_content() {
        let response = chat::Response {
            id: Some("their-id".into()),
            model: "m".into(),
            text: String::new(),
            tool_calls: vec![ToolCall {
                id: "c1".into(),
                name: "look".into(),
                arguments: "{\"at\":1}".into(),
            }],
            finish: Finish::ToolCalls,
            usage: Usage {
                input_tokens: 0,
                output_tokens: 0,
            },
        };
        let answer = completion(response, &RequestId::new());
        assert_eq!(answer["id"], "their-id");
        let choice = &answer["choices"][0];
        assert_eq!(choice["finish_reason"], "tool_calls");
        assert!(choice["message"]["content"].is_null());
        let call = json!({"id": "c1", "type": "function", "function": {"name": "look", "arguments": "{\"at\":1}"}});
        assert_eq!(choice["message"]["tool_calls"], json!([call]));
    }

    #[test]
    fn an_unknown_reason_keeps_the_providers_word() {
        assert_eq!(finish_reason(&Finish::Other("pause_turn".into())), "pause_turn");
    }
}
