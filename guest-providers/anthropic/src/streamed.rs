//! A message that comes in events (<https://platform.claude.com/docs/en/build-with-claude/streaming>).

use conversation::tool_blocks::ToolBlocks;
use conversation::{Event, ToolCallDelta};
use serde::Deserialize;
use weir_guest::streaming::Decode;
use weir_guest::types::Error;
use weir_guest::{failure, json, sse};

use crate::answer::{Block, Tokens, finish};

/// Any event: each has some of these.
#[derive(Deserialize)]
struct Told<'a> {
    #[serde(borrow)]
    r#type: &'a str,
    message: Option<Begun>,
    #[serde(default)]
    index: u32,
    #[serde(borrow)]
    content_block: Option<Block<'a>>,
    delta: Option<Delta>,
    usage: Option<Tokens>,
}

#[derive(Deserialize)]
struct Begun {
    model: Option<String>,
    usage: Option<Tokens>,
}

/// Of a block, or of the message.
#[derive(Default, Deserialize)]
struct Delta {
    text: Option<String>,
    partial_json: Option<String>,
    stop_reason: Option<String>,
}

/// The message so far.
#[derive(Default)]
pub(crate) struct Decoder {
    begun: bool,
    model: Option<String>,
    calls: ToolBlocks,
    usage: Tokens,
    finished: bool,
    done: bool,
}

impl Decode for Decoder {
    type Item = Event;

    fn event(&mut self, event: &sse::Event, items: &mut Vec<Event>) -> Result<(), Error> {
        if event.data.trim().is_empty() {
            return Ok(());
        }
        let told: Told<'_> = json::read(event.data.as_bytes())?;
        match told.r#type {
            "message_start" => {
                self.begun = true;
                if let Some(begun) = told.message {
                    self.model = begun.model;
                    self.add(begun.usage);
                }
            }
            "content_block_start" => {
                if let Some(block) = told.content_block.filter(|block| block.r#type == "tool_use") {
                    let index = self.calls.start(told.index);
                    items.push(call(index, block.id, block.name, String::new()));
                }
            }
            "content_block_delta" => {
                let delta = told.delta.unwrap_or_default();
                items.extend(delta.text.filter(|text| !text.is_empty()).map(Event::Text));
                if let Some(arguments) = delta.partial_json.filter(|piece| !piece.is_empty())
                    && let Some(index) = self.calls.piece(told.index, &arguments)
                {
                    items.push(call(index, None, None, arguments));
                }
            }
            "content_block_stop" => {
                items.extend(
                    self.calls
                        .stop(told.index)
                        .map(|index| call(index, None, None, "{}".to_owned())),
                );
            }
            "message_delta" => {
                self.add(told.usage);
                if let Some(reason) = told
                    .delta
                    .and_then(|delta| delta.stop_reason)
                    .filter(|_| !self.finished)
                {
                    self.finished = true;
                    items.push(Event::Finish(finish(&reason)));
                }
            }
            "message_stop" => self.done = true,
            "error" => return Err(crate::classify(failure::inside_answer(event.data.as_bytes()))),
            // `ping`, and "new event types may be added".
            _ => {}
        }
        Ok(())
    }

    fn is_done(&self) -> bool {
        self.done
    }

    fn end(&mut self, items: &mut Vec<Event>) -> Result<(), Error> {
        if !self.finished {
            return Err(failure::malformed("the stream ended before any `stop_reason`"));
        }
        items.push(Event::Usage(std::mem::take(&mut self.usage).into()));
        Ok(())
    }
}

impl Decoder {
    /// Usage told later is the whole so far, not more of it.
    fn add(&mut self, usage: Option<Tokens>) {
        if let Some(usage) = usage {
            self.usage = usage.or(std::mem::take(&mut self.usage));
        }
    }
}

impl conversation::Decoder<sse::Event> for Decoder {
    fn has_begun(&self) -> bool {
        self.begun
    }

    fn model(&self) -> Option<String> {
        self.model.clone()
    }
}

fn call(index: u32, id: Option<String>, name: Option<String>, arguments: String) -> Event {
    Event::ToolCall(ToolCallDelta {
        index,
        id,
        name,
        arguments,
    })
}

#[cfg(test)]
mod tests {
    use weir_guest::chat::told_by_data;

    use super::*;

    fn read(data: &[&str]) -> (Vec<String>, Result<(), Error>) {
        told_by_data::<Decoder>(data)
    }

    const START: &str = r#"{"type": "message_start", "message": {"id": "1", "type": "message", "role": "assistant",
        "content": [], "model": "m", "stop_reason": null, "usage": {"input_tokens": 3, "output_tokens": 1}}}"#;
    const BLOCK: &str = r#"{"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}}"#;
    const TEXT: &str = r#"{"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": "hi"}}"#;
    const STOP: &str = r#"{"type": "message_delta", "delta": {"stop_reason": "end_turn", "stop_sequence": null},
        "usage": {"output_tokens": 15}}"#;
    const PING: &str = r#"{"type": "ping"}"#;

    #[test]
    fn text_finish_and_usage_come_in_this_order() {
        let stop = r#"{"type": "content_block_stop", "index": 0}"#;
        let (events, result) = read(&[START, BLOCK, PING, TEXT, stop, STOP, r#"{"type": "message_stop"}"#]);
        assert_eq!(events, ["hi", "Stop", "3+15"]);
        assert!(result.is_ok());
    }

    #[test]
    fn calls_are_counted_among_themselves_and_have_arguments() {
        let start = |index: u32, name: &str| {
            format!(
                r#"{{"type": "content_block_start", "index": {index}, "content_block":
                    {{"type": "tool_use", "id": "t", "name": "{name}", "input": {{}}}}}}"#
            )
        };
        let piece = |json: &str| {
            format!(
                r#"{{"type": "content_block_delta", "index": 1, "delta": {{"type": "input_json_delta", "partial_json": {json}}}}}"#
            )
        };
        let stop = |index: u32| format!(r#"{{"type": "content_block_stop", "index": {index}}}"#);
        let (events, _) = read(&[
            START,
            BLOCK,
            &stop(0),
            &start(1, "add"),
            &piece(r#""""#),
            &piece(r#""{\"a\"""#),
            &piece(r#"": 1}""#),
            &stop(1),
            &start(2, "now"),
            &stop(2),
            STOP,
        ]);
        assert_eq!(
            events,
            ["0:add(", "0:({\"a\"", "0:(: 1}", "1:now(", "1:({}", "Stop", "3+15"]
        );
    }

    #[test]
    fn thoughts_and_what_is_not_known_are_passed_over() {
        let thought =
            r#"{"type": "content_block_delta", "index": 0, "delta": {"type": "thinking_delta", "thinking": "h"}}"#;
        let (events, result) = read(&[START, thought, r#"{"type": "new", "delta": {"what": []}}"#, STOP]);
        assert_eq!(events, ["Stop", "3+15"]);
        assert!(result.is_ok());
    }

    #[test]
    fn a_stream_that_stops_in_the_middle_says_so() {
        let (events, result) = read(&[START, TEXT]);
        assert_eq!(events, ["hi"]);
        assert!(matches!(result, Err(Error::MalformedResponse(text)) if text.contains("stop_reason")));
    }

    #[test]
    fn an_error_in_the_stream_keeps_the_providers_words() {
        let error = r#"{"type": "error", "error": {"type": "overloaded_error", "message": "busy"}}"#;
        let (events, result) = read(&[START, TEXT, error]);
        assert_eq!(events, ["hi"]);
        assert!(matches!(result, Err(Error::Upstream(failure)) if failure.message == "busy"));
    }
}
