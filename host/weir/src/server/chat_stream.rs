//! A streamed chat answer as server-sent events, OpenAI's way: one `data: {json}` a chunk, `data: [DONE]` at the end.
//!
//! An error in mid-stream is `data: {"error": …}`, and the end: `[DONE]` is said only of a whole answer. A quiet stream
//! gets comments, so that proxies keep it open and a client that left is noticed.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::time::Duration;

use axum::http::HeaderValue;
use axum::response::sse::{Event as SseEvent, KeepAlive, Sse};
use axum::response::{IntoResponse, Response};
use futures::stream::{self, BoxStream, Stream, StreamExt};
use serde_json::{Value, json};
use tracing::Instrument as _;
use weir_runtime::CallError;
use weir_runtime::chat::Event;
use weir_runtime::types::Usage;

use super::allowance::Spending;
use super::chat::{Head, all, finish_reason, usage};
use super::error::ApiError;
use super::observe::StreamFailure;

/// A quarter of the shortest idle time-out in common use (nginx's `proxy_read_timeout`, 60 s).
const COMMENT_EVERY: Duration = Duration::from_secs(15);

/// The answer of a request with `"stream": true`. Dropping its body drops `events`, which cancels the call.
pub(crate) fn sse(
    head: Head,
    include_usage: bool,
    spending: Spending,
    events: BoxStream<'static, Result<Event, CallError>>,
) -> Response {
    let failure = StreamFailure::default();
    let frames = frames(
        ChunkWriter {
            head,
            include_usage,
            spending,
            usage: None,
            written: 0,
        },
        events,
        failure.clone(),
    );
    let frames = frames.map(|data| Ok::<_, Infallible>(SseEvent::default().data(data)));
    let mut response = Sse::new(frames)
        .keep_alive(KeepAlive::new().interval(COMMENT_EVERY))
        .into_response();
    response.extensions_mut().insert(failure);
    // nginx buffers answers unless told not to.
    response
        .headers_mut()
        .insert("x-accel-buffering", HeaderValue::from_static("no"));
    response
}

struct State {
    writer: ChunkWriter,
    events: BoxStream<'static, Result<Event, CallError>>,
    ready: VecDeque<String>,
    over: bool,
}

/// What follows each `data: `.
fn frames(
    writer: ChunkWriter,
    events: BoxStream<'static, Result<Event, CallError>>,
    failure: StreamFailure,
) -> impl Stream<Item = String> + Send {
    let first = VecDeque::from([writer.first()]);
    let span = tracing::Span::current();
    stream::unfold(
        State {
            writer,
            events,
            ready: first,
            over: false,
        },
        move |mut state| {
            let failure = failure.clone();
            let next = async move {
                loop {
                    if let Some(data) = state.ready.pop_front() {
                        return Some((data, state));
                    }
                    if state.over {
                        return None;
                    }
                    match state.events.next().await {
                        Some(Ok(event)) => state.ready.extend(state.writer.event(event)),
                        Some(Err(error)) => {
                            tracing::warn!(%error, "the stream failed");
                            let error = ApiError::from(&error);
                            failure.set(error.status, error.code());
                            state.ready.push_back(error.to_json().to_string());
                            state.over = true;
                        }
                        None => {
                            state.ready.extend(state.writer.last());
                            state.ready.push_back("[DONE]".to_owned());
                            state.over = true;
                        }
                    }
                }
            };
            next.instrument(span.clone())
        },
    )
}

/// Turns events into chunks.
struct ChunkWriter {
    head: Head,
    include_usage: bool,
    spending: Spending,
    usage: Option<Usage>,
    /// Tokens of the text so far, estimated.
    written: u64,
}

/// A client that leaves before the provider has told what was used pays for what was written.
impl Drop for ChunkWriter {
    fn drop(&mut self) {
        if self.usage.is_none() {
            self.spending.spend(self.written);
        }
    }
}

impl ChunkWriter {
    /// The role comes first, alone.
    fn first(&self) -> String {
        self.choice(json!({"role": "assistant", "content": ""}), None)
    }

    /// The chunk of an event. Usage is kept for the end.
    fn event(&mut self, event: Event) -> Option<String> {
        match event {
            Event::Text(text) => {
                self.written += u64::from(weir_runtime::estimate::tokens(&text));
                Some(self.choice(json!({ "content": text }), None))
            }
            Event::ToolCall(piece) => {
                let mut call = json!({"index": piece.index, "function": {"arguments": piece.arguments}});
                if let Some(id) = piece.id {
                    call["id"] = id.into();
                    call["type"] = "function".into();
                }
                if let Some(name) = piece.name {
                    call["function"]["name"] = name.into();
                }
                Some(self.choice(json!({ "tool_calls": [call] }), None))
            }
            Event::Finish(finish) => Some(self.choice(json!({}), Some(finish_reason(&finish)))),
            Event::Usage(usage) => {
                // Some tell it again as it grows.
                let before = self.usage.as_ref().map_or(0, all);
                self.spending.spend(all(&usage).saturating_sub(before));
                self.usage = Some(usage);
                None
            }
        }
    }

    /// The usage, if it was asked for and the provider told it.
    fn last(&self) -> Option<String> {
        let told = self.usage.as_ref().filter(|_| self.include_usage)?;
        Some(self.chunk(json!([]), usage(told)))
    }

    fn choice(&self, delta: Value, finish_reason: Option<&str>) -> String {
        let choice = json!({"index": 0, "delta": delta, "logprobs": null, "finish_reason": finish_reason});
        self.chunk(json!([choice]), Value::Null)
    }

    /// With `include_usage` every chunk has the field, null in all but the last (OpenAI's reference).
    fn chunk(&self, choices: Value, usage: Value) -> String {
        let Head {
            id,
            object,
            created,
            model,
        } = &self.head;
        let mut chunk = json!({"id": id, "object": object, "created": created, "model": model, "choices": choices});
        if self.include_usage {
            chunk["usage"] = usage;
        }
        chunk.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::server::fake::{FakeBackend, FakeProvider, post_raw, refusal};
    use weir_runtime::chat::{Finish, ToolCallDelta};
    use weir_runtime::types::Error;

    /// The `data` of every event of a streamed answer.
    async fn stream(include_usage: bool, events: Vec<Event>) -> Vec<Value> {
        stream_of(FakeProvider::new("openai").streaming(events), include_usage).await
    }

    async fn stream_of(provider: FakeProvider, include_usage: bool) -> Vec<Value> {
        let backend = FakeBackend::default().provider(provider);
        let mut body = json!({"model": "openai", "stream": true, "messages": [{"role": "user", "content": "x"}]});
        if include_usage {
            body["stream_options"] = json!({"include_usage": true});
        }
        let (head, text) = post_raw(backend, "/v1/chat/completions", body).await;
        assert_eq!(
            (head.status.as_u16(), &head.headers["content-type"]),
            (200, &"text/event-stream".parse().unwrap())
        );
        let frames = text.strip_suffix("\n\n").unwrap().split("\n\n");
        let data = frames.map(|frame| {
            frame
                .strip_prefix("data: ")
                .unwrap_or_else(|| panic!("no event: {frame:?}"))
        });
        data.map(|data| serde_json::from_str(data).unwrap_or_else(|_| data.into()))
            .collect()
    }

    fn text(text: &str) -> Event {
        Event::Text(text.to_owned())
    }

    #[tokio::test]
    async fn a_stream_is_role_then_text_then_finish_then_done() {
        let events = vec![text("Hel"), text("lo\n"), Event::Finish(Finish::Stop)];
        let chunks = stream(false, events).await;
        let deltas: Vec<&Value> = chunks[..4].iter().map(|chunk| &chunk["choices"][0]["delta"]).collect();
        assert_eq!(
            deltas,
            [
                &json!({"role": "assistant", "content": ""}),
                &json!({"content": "Hel"}),
                &json!({"content": "lo\n"}),
                &json!({}),
            ]
        );
        assert_eq!(chunks[2]["choices"][0]["finish_reason"], Value::Null);
        assert_eq!(chunks[3]["choices"][0]["finish_reason"], "stop");
        assert_eq!(chunks[4..], [json!("[DONE]")]);
        assert!(
            chunks[..4]
                .iter()
                .all(|c| c["object"] == "chat.completion.chunk" && c["id"] == chunks[0]["id"])
        );
        assert!(chunks[..4].iter().all(|chunk| chunk.get("usage").is_none()));
    }

    #[tokio::test]
    async fn usage_comes_in_one_last_chunk_without_choices_when_asked_for() {
        let usage = || {
            Event::Usage(Usage {
                input_tokens: 3,
                output_tokens: 4,
            })
        };
        let chunks = stream(true, vec![text("a"), usage(), Event::Finish(Finish::Stop)]).await;
        let last = &chunks[chunks.len() - 2];
        assert_eq!(last["choices"], json!([]));
        assert_eq!(
            last["usage"],
            json!({"prompt_tokens": 3, "completion_tokens": 4, "total_tokens": 7})
        );
        assert!(chunks[..chunks.len() - 2].iter().all(|chunk| chunk["usage"].is_null()));

        let chunks = stream(false, vec![text("a"), usage()]).await;
        assert!(chunks.iter().all(|chunk| chunk.get("usage").is_none()));
    }

    #[tokio::test]
    async fn the_pieces_of_a_tool_call_share_an_index_and_only_the_first_is_named() {
        let piece = |id: Option<&str>, arguments: &str| {
            Event::ToolCall(ToolCallDelta {
                index: 1,
                id: id.map(str::to_owned),
                name: id.map(|_| "look".to_owned()),
                arguments: arguments.to_owned(),
            })
        };
        let chunks = stream(false, vec![piece(Some("c1"), ""), piece(None, "{}")]).await;
        let calls = |chunk: &Value| chunk["choices"][0]["delta"]["tool_calls"].clone();
        let first =
            json!([{"index": 1, "id": "c1", "type": "function", "function": {"name": "look", "arguments": ""}}]);
        assert_eq!(calls(&chunks[1]), first);
        assert_eq!(
            calls(&chunks[2]),
            json!([{"index": 1, "function": {"arguments": "{}"}}])
        );
    }

    #[tokio::test]
    async fn an_error_in_mid_stream_is_told_and_is_the_end() {
        let failing = FakeProvider::new("openai")
            .streaming(vec![text("a")])
            .failing(Error::Upstream(refusal(500)));
        let chunks = stream_of(failing, true).await;
        let last = chunks.last().unwrap();
        assert_eq!(last["error"]["type"], "server_error");
        assert!(last["error"]["message"].as_str().unwrap().starts_with("openai chat: "));
        assert_eq!(chunks.len(), 3);
    }
}
