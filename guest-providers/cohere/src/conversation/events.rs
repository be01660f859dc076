//! An answer that comes in events, each with its `type`.

use openai_api::chat::{Decoder, Event, ToolCallDelta};
use serde::Deserialize;
use weir_guest::streaming::Decode;
use weir_guest::types::Error;
use weir_guest::{failure, json, sse};

use super::{Consumed, finish};

/// The answer so far.
#[derive(Default)]
pub(crate) struct Deltas {
    begun: bool,
    finished: bool,
}

/// What every event tells. What else it has depends on its type: the first has lists where others have single ones.
#[derive(Deserialize)]
struct Kind<'a> {
    r#type: &'a str,
    #[serde(default)]
    index: u32,
}

#[derive(Deserialize)]
struct Piece {
    delta: PieceDelta,
}

#[derive(Deserialize)]
struct PieceDelta {
    message: Message,
}

#[derive(Deserialize)]
struct Message {
    content: Option<Content>,
    tool_calls: Option<Call>,
}

#[derive(Deserialize)]
struct End {
    delta: EndDelta,
}

#[derive(Deserialize)]
struct EndDelta {
    finish_reason: String,
    error: Option<String>,
    usage: Option<Consumed>,
}

#[derive(Deserialize)]
struct Content {
    text: Option<String>,
}

#[derive(Deserialize)]
struct Call {
    id: Option<String>,
    function: Function,
}

#[derive(Deserialize)]
struct Function {
    name: Option<String>,
    arguments: Option<String>,
}

impl Decoder for Deltas {
    fn has_begun(&self) -> bool {
        self.begun
    }

    fn model(&self) -> Option<String> {
        None
    }
}

impl Decode for Deltas {
    type Item = Event;

    fn event(&mut self, event: &sse::Event, items: &mut Vec<Event>) -> Result<(), Error> {
        let data = event.data.trim();
        if data.is_empty() || data == "[DONE]" {
            return Ok(());
        }
        let Kind { r#type, index } = json::read(data.as_bytes())?;
        self.begun = true;
        match r#type {
            "content-start" | "content-delta" | "tool-call-start" | "tool-call-delta" => {
                let Piece { delta } = json::read(data.as_bytes())?;
                let Message { content, tool_calls } = delta.message;
                let text = content.and_then(|content| content.text).filter(|text| !text.is_empty());
                items.extend(text.map(Event::Text));
                items.extend(tool_calls.map(|call| {
                    Event::ToolCall(ToolCallDelta {
                        index,
                        id: call.id,
                        name: call.function.name,
                        arguments: call.function.arguments.unwrap_or_default(),
                    })
                }));
            }
            "message-end" => {
                let End { delta } = json::read(data.as_bytes())?;
                if let Some(error) = delta.error {
                    return Err(failure::inside_answer(error.as_bytes()));
                }
                self.finished = true;
                items.push(Event::Finish(finish(&delta.finish_reason)));
                items.extend(delta.usage.map(|usage| Event::Usage(usage.into())));
            }
            _ => {}
        }
        Ok(())
    }

    fn is_done(&self) -> bool {
        self.finished
    }

    fn end(&mut self, _: &mut Vec<Event>) -> Result<(), Error> {
        if self.finished {
            Ok(())
        } else {
            Err(failure::malformed("the stream ended before its `message-end`"))
        }
    }
}

#[cfg(test)]
mod tests {
    use weir_guest::chat::told_by_data;

    use super::*;

    fn read(data: &[&str]) -> (Vec<String>, Result<(), Error>) {
        told_by_data::<Deltas>(data)
    }

    const START: &str = r#"{"id": "1", "type": "message-start",
        "delta": {"message": {"role": "assistant", "content": [], "tool_plan": "", "tool_calls": [], "citations": []}}}"#;
    const END: &str = r#"{"type": "message-end", "delta": {"finish_reason": "COMPLETE",
        "usage": {"billed_units": {"input_tokens": 1}, "tokens": {"input_tokens": 9, "output_tokens": 2}}}}"#;

    #[test]
    fn text_finish_and_usage_come_in_this_order() {
        let begin =
            r#"{"type": "content-start", "index": 0, "delta": {"message": {"content": {"type": "text", "text": ""}}}}"#;
        let text = r#"{"type": "content-delta", "index": 0, "delta": {"message": {"content": {"text": "hi"}}}}"#;
        let end = r#"{"type": "content-end", "index": 0}"#;
        let (events, result) = read(&[START, begin, text, text, end, END, "[DONE]"]);
        assert_eq!(events, ["hi", "hi", "Stop", "9+2"]);
        assert!(result.is_ok());
    }

    #[test]
    fn the_pieces_of_a_tool_call_keep_their_index() {
        let plan = r#"{"type": "tool-plan-delta", "delta": {"message": {"tool_plan": "I will"}}}"#;
        let first = r#"{"type": "tool-call-start", "index": 1, "delta": {"message": {"tool_calls":
            {"id": "c", "type": "function", "function": {"name": "add", "arguments": ""}}}}}"#;
        let second = r#"{"type": "tool-call-delta", "index": 1,
            "delta": {"message": {"tool_calls": {"function": {"arguments": "{}"}}}}}"#;
        let (events, _) = read(&[START, plan, first, second, END]);
        assert_eq!(events, ["1:add(", "1:({}", "Stop", "9+2"]);
    }

    #[test]
    fn a_stream_that_stops_in_the_middle_says_so() {
        assert!(matches!(read(&[START]).1, Err(Error::MalformedResponse(text)) if text.contains("message-end")));
        let failed = r#"{"type": "message-end", "delta": {"finish_reason": "ERROR", "error": "no capacity"}}"#;
        assert!(matches!(read(&[START, failed]).1, Err(Error::Upstream(failure)) if failure.message == "no capacity"));
    }
}
