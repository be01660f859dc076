//! An answer that comes in messages of the event stream.

use conversation::tool_blocks::ToolBlocks;
use conversation::{Event, ToolCallDelta};
use weir_guest::eventstream::Message;
use weir_guest::streaming::Decode;
use weir_guest::types::{Error, Usage};
use weir_guest::{failure, json};

use super::answer::{Told, finish};
use crate::refusal;

/// The answer so far.
#[derive(Default)]
pub(crate) struct Decoder {
    begun: bool,
    calls: ToolBlocks,
    usage: Option<Usage>,
    finished: bool,
}

impl Decode<Message> for Decoder {
    type Item = Event;

    fn event(&mut self, message: &Message, items: &mut Vec<Event>) -> Result<(), Error> {
        let header = |name| message.header(name).unwrap_or_default();
        match header(":message-type") {
            "event" => self.told(header(":event-type"), &message.payload, items),
            "exception" => Err(refusal::inside(header(":exception-type"), &message.payload)),
            "error" => Err(refusal::inside(
                header(":error-code"),
                header(":error-message").as_bytes(),
            )),
            other => Err(failure::malformed(format!(
                "a message of the type `{other}` in the event stream"
            ))),
        }
    }

    fn is_done(&self) -> bool {
        self.finished && self.usage.is_some()
    }

    fn end(&mut self, items: &mut Vec<Event>) -> Result<(), Error> {
        if !self.finished {
            return Err(failure::malformed("the stream ended before any `messageStop`"));
        }
        items.extend(self.usage.take().map(Event::Usage));
        Ok(())
    }
}

impl Decoder {
    fn told(&mut self, kind: &str, payload: &[u8], items: &mut Vec<Event>) -> Result<(), Error> {
        // Of an event of another type nothing is understood.
        let known = [
            "messageStart",
            "contentBlockStart",
            "contentBlockDelta",
            "contentBlockStop",
            "messageStop",
            "metadata",
        ];
        if !known.contains(&kind) {
            return Ok(());
        }
        let told: Told<'_> = json::read(payload)?;
        let block = told.content_block_index;
        self.begun = true;
        if let Some(call) = told
            .start
            .and_then(|start| start.tool_use)
            .filter(|call| !call.is_theirs())
        {
            let index = self.calls.start(block);
            items.push(piece(index, call.tool_use_id, call.name, String::new()));
        }
        if let Some(delta) = told.delta {
            items.extend(delta.text.filter(|text| !text.is_empty()).map(Event::Text));
            if let Some(input) = delta.tool_use.and_then(|call| call.input) {
                let arguments: String = json::read(input.get().as_bytes())?;
                let index = self.calls.piece(block, &arguments).filter(|_| !arguments.is_empty());
                items.extend(index.map(|index| piece(index, None, None, arguments)));
            }
        }
        if kind == "contentBlockStop" {
            items.extend(
                self.calls
                    .stop(block)
                    .map(|index| piece(index, None, None, "{}".to_owned())),
            );
        }
        if let Some(reason) = told.stop_reason.filter(|_| !self.finished) {
            self.finished = true;
            items.push(Event::Finish(finish(&reason)));
        }
        self.usage = told.usage.map(Usage::from).or(self.usage.take());
        Ok(())
    }
}

impl conversation::Decoder<Message> for Decoder {
    fn has_begun(&self) -> bool {
        self.begun
    }

    fn model(&self) -> Option<String> {
        None
    }
}

fn piece(index: u32, id: Option<String>, name: Option<String>, arguments: String) -> Event {
    Event::ToolCall(ToolCallDelta {
        index,
        id,
        name,
        arguments,
    })
}

#[cfg(test)]
mod tests {
    use weir_guest::chat::told;

    use super::*;

    fn read(messages: &[(&str, &str)]) -> (Vec<String>, Result<(), Error>) {
        let message = |(kind, payload): &(&str, &str)| {
            let (message_type, type_header) = match kind.strip_suffix("Exception") {
                Some(_) => ("exception", ":exception-type"),
                None => ("event", ":event-type"),
            };
            Message::new(
                &[(":message-type", message_type), (type_header, kind)],
                payload.as_bytes(),
            )
        };
        told::<_, Decoder>(messages.iter().map(message))
    }

    const START: (&str, &str) = ("messageStart", r#"{"p": "abc", "role": "assistant"}"#);
    const TEXT: (&str, &str) = (
        "contentBlockDelta",
        r#"{"contentBlockIndex": 0, "delta": {"text": "hi"}, "p": "a"}"#,
    );
    const STOP: (&str, &str) = ("messageStop", r#"{"p": "", "stopReason": "end_turn"}"#);
    const USAGE: (&str, &str) = (
        "metadata",
        r#"{"metrics": {"latencyMs": 1}, "usage": {"inputTokens": 3, "outputTokens": 2, "totalTokens": 5}}"#,
    );

    #[test]
    fn text_finish_and_usage_come_in_this_order() {
        let stop = ("contentBlockStop", r#"{"contentBlockIndex": 0}"#);
        let (events, result) = read(&[START, TEXT, ("new", "not JSON"), TEXT, stop, STOP, USAGE]);
        assert_eq!(events, ["hi", "hi", "Stop", "3+2"]);
        assert!(result.is_ok());
    }

    #[test]
    fn calls_are_counted_among_themselves_and_have_arguments() {
        let (events, _) = read(&[
            START,
            TEXT,
            (
                "contentBlockStart",
                r#"{"contentBlockIndex": 1, "start": {"toolUse": {"toolUseId": "t", "name": "add"}}}"#,
            ),
            (
                "contentBlockDelta",
                r#"{"contentBlockIndex": 1, "delta": {"toolUse": {"input": "{\"a\": 1}"}}}"#,
            ),
            ("contentBlockStop", r#"{"contentBlockIndex": 1}"#),
            (
                "contentBlockStart",
                r#"{"contentBlockIndex": 2, "start": {"toolUse": {"toolUseId": "u", "name": "now"}}}"#,
            ),
            ("contentBlockStop", r#"{"contentBlockIndex": 2}"#),
            STOP,
        ]);
        assert_eq!(events, ["hi", "0:add(", "0:({\"a\": 1}", "1:now(", "1:({}", "Stop"]);
    }

    #[test]
    fn a_call_of_the_providers_own_tool_is_none_of_the_callers() {
        let (events, _) = read(&[
            START,
            (
                "contentBlockStart",
                r#"{"contentBlockIndex": 0, "start": {"toolUse": {"toolUseId": "t", "name": "search",
                    "type": "server_tool_use"}}}"#,
            ),
            (
                "contentBlockDelta",
                r#"{"contentBlockIndex": 0, "delta": {"toolUse": {"input": "{\"a\": 1}"}}}"#,
            ),
            ("contentBlockStop", r#"{"contentBlockIndex": 0}"#),
            (
                "contentBlockDelta",
                r#"{"contentBlockIndex": 1, "delta": {"text": "hi"}}"#,
            ),
            STOP,
        ]);
        assert_eq!(events, ["hi", "Stop"]);
    }

    #[test]
    fn a_stream_that_stops_in_the_middle_says_so() {
        let (events, result) = read(&[START, TEXT]);
        assert_eq!(events, ["hi"]);
        assert!(matches!(result, Err(Error::MalformedResponse(text)) if text.contains("messageStop")));
    }

    #[test]
    fn an_exception_in_the_stream_keeps_the_providers_words() {
        let exception = ("throttlingException", r#"{"message": "slow down"}"#);
        let (events, result) = read(&[START, TEXT, exception]);
        assert_eq!(events, ["hi"]);
        assert!(matches!(result, Err(Error::RateLimited(failure)) if failure.message == "slow down"));
    }

    #[test]
    fn an_error_without_a_payload_tells_its_code_and_message() {
        let headers = [
            (":message-type", "error"),
            (":error-code", "InternalError"),
            (":error-message", "gone"),
        ];
        let error = Decoder::default()
            .event(&Message::new(&headers, b""), &mut Vec::new())
            .unwrap_err();
        assert!(matches!(error, Error::Upstream(failure)
            if failure.message == "gone" && failure.code.as_deref() == Some("InternalError")));
        let error = Decoder::default()
            .event(&Message::new(&[], b""), &mut Vec::new())
            .unwrap_err();
        assert!(matches!(error, Error::MalformedResponse(_)));
    }
}
