//! An answer that comes in events.

use weir_guest::streaming::Decode;
use weir_guest::types::{Error, Usage};
use weir_guest::{failure, sse};

use super::completion::{Call, Choice, Completion, Content, finish};
use super::{Decoder, Event, ToolCallDelta};
use crate::errors;

/// The last event's data. Some servers leave it out and end the body instead.
const DONE: &str = "[DONE]";

/// The answer so far.
#[derive(Default)]
pub(super) struct Chunks {
    begun: bool,
    model: Option<String>,
    /// The last usage told: some servers tell one with every chunk, each replacing the one before.
    usage: Option<Usage>,
    finished: bool,
    done: bool,
}

impl Decoder for Chunks {
    fn has_begun(&self) -> bool {
        self.begun
    }

    fn model(&self) -> Option<String> {
        self.model.clone()
    }
}

impl Chunks {
    fn choice(&mut self, choice: Choice, items: &mut Vec<Event>) {
        let delta = choice.delta.or(choice.message).unwrap_or_default();
        let text = delta
            .content
            .map(|Content(text)| text)
            .into_iter()
            .chain(delta.refusal)
            .filter(|text| !text.is_empty());
        items.extend(text.map(Event::Text));
        items.extend(delta.tool_calls.into_iter().flatten().map(tool_call));
        if let Some(reason) = choice.finish_reason.filter(|_| !self.finished) {
            self.finished = true;
            items.push(Event::Finish(finish(&reason)));
        }
    }
}

impl Decode for Chunks {
    type Item = Event;

    fn event(&mut self, event: &sse::Event, items: &mut Vec<Event>) -> Result<(), Error> {
        let data = event.data.trim();
        if data == DONE {
            self.done = true;
            return Ok(());
        }
        if event.name == "error" {
            return Err(errors::classify(failure::inside_answer(data.as_bytes())));
        }
        if data.is_empty() {
            return Ok(());
        }
        let Completion {
            model, choices, usage, ..
        } = Completion::read_chunk(data.as_bytes())?;
        self.model = self.model.take().or(model.filter(|model| !model.is_empty()));
        // Before all else Azure tells what its filters found in the prompt, in a chunk that does not name the model.
        self.begun |= self.model.is_some() || !choices.is_empty() || usage.is_some();
        self.usage = usage.map(|tokens| tokens.of_chat()).or(self.usage.take());
        // There is more than one choice only where the caller's own parameters ask for it.
        for choice in choices.into_iter().filter(|choice| choice.index == 0) {
            self.choice(choice, items);
        }
        Ok(())
    }

    fn is_done(&self) -> bool {
        self.done
    }

    fn end(&mut self, items: &mut Vec<Event>) -> Result<(), Error> {
        if !self.done && !self.finished {
            return Err(failure::malformed("the stream ended before any `finish_reason`"));
        }
        items.extend(self.usage.take().map(Event::Usage));
        Ok(())
    }
}

fn tool_call(call: Call) -> Event {
    Event::ToolCall(ToolCallDelta {
        index: call.index,
        // Some servers have empty texts in the place of what an earlier piece told.
        id: call.id.filter(|id| !id.is_empty()),
        name: call.function.name.filter(|name| !name.is_empty()),
        arguments: call.function.arguments.unwrap_or_default(),
    })
}

#[cfg(test)]
mod tests {
    use weir_guest::chat::told_by_data;

    use super::*;

    fn read(data: &[&str]) -> (Vec<String>, Result<(), Error>) {
        told_by_data::<Chunks>(data)
    }

    const HELLO: &str = r#"{"model": "m", "choices": [{"index": 0, "delta": {"role": "assistant", "content": ""}}]}"#;
    const TEXT: &str =
        r#"{"model": "m", "choices": [{"index": 0, "delta": {"content": "hi"}, "finish_reason": null}]}"#;
    const STOP: &str = r#"{"model": "m", "choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]}"#;
    const USAGE: &str = r#"{"model": "m", "choices": [], "usage": {"prompt_tokens": 3, "completion_tokens": 1}}"#;

    #[test]
    fn text_finish_and_usage_come_in_this_order() {
        let (events, result) = read(&[HELLO, TEXT, TEXT, STOP, USAGE, DONE]);
        assert_eq!(events, ["hi", "hi", "Stop", "3+1"]);
        assert!(result.is_ok());
    }

    #[test]
    fn the_message_so_far_beside_a_delta_is_not_told_again() {
        let chunk =
            r#"{"choices": [{"delta": {"content": "b"}, "message": {"content": "ab"}, "finish_reason": "stop"}]}"#;
        assert_eq!(read(&[TEXT, chunk]).0, ["hi", "b", "Stop"]);
    }

    #[test]
    fn a_first_chunk_without_a_choice_begins_the_answer() {
        let filters = r#"{"model": "", "choices": [], "prompt_filter_results": [{"prompt_index": 0}]}"#;
        let (events, result) = read(&[filters, TEXT, STOP, DONE]);
        assert_eq!(events, ["hi", "Stop"]);
        assert!(result.is_ok());
    }

    #[test]
    fn the_end_of_the_body_does_without_done() {
        let (events, result) = read(&[HELLO, TEXT, STOP]);
        assert_eq!(events, ["hi", "Stop"]);
        assert!(result.is_ok());
    }

    #[test]
    fn what_follows_a_chunk_in_its_event_is_not_regarded() {
        for rest in ["\"", "\n[DONE]"] {
            let (events, result) = read(&[TEXT, &format!("{STOP}{rest}")]);
            assert_eq!(events, ["hi", "Stop"]);
            assert!(result.is_ok());
        }
    }

    #[test]
    fn a_stream_that_stops_in_the_middle_says_so() {
        let (events, result) = read(&[HELLO, TEXT]);
        assert_eq!(events, ["hi"]);
        assert!(matches!(result, Err(Error::MalformedResponse(text)) if text.contains("finish_reason")));
    }

    #[test]
    fn the_pieces_of_a_tool_call_keep_their_index() {
        let first = r#"{"choices": [{"delta": {"tool_calls": [{"index": 1, "id": "c", "type": "function",
            "function": {"name": "add", "arguments": ""}}]}}]}"#;
        let second = r#"{"choices": [{"delta": {"tool_calls": [{"index": 1, "function": {"arguments": "{\"a\""}}]}}]}"#;
        let (events, _) = read(&[first, second, STOP]);
        assert_eq!(events, ["1:add(", "1:({\"a\"", "Stop"]);
    }

    #[test]
    fn an_empty_id_or_name_tells_nothing() {
        let piece = r#"{"choices": [{"delta": {"tool_calls": [{"index": 0, "id": "",
            "function": {"name": "", "arguments": "{}"}}]}}]}"#;
        let event = sse::Event {
            name: String::new(),
            data: piece.to_owned(),
        };
        let mut items = Vec::new();
        Chunks::default().event(&event, &mut items).unwrap();
        let [Event::ToolCall(call)] = items.as_slice() else {
            panic!()
        };
        assert_eq!((&call.id, &call.name), (&None, &None));
    }

    #[test]
    fn a_chunk_that_tells_nothing_of_the_answer_does_not_begin_it() {
        let mut chunks = Chunks::default();
        let mut tell = |data: &str| {
            let event = sse::Event {
                name: String::new(),
                data: data.to_owned(),
            };
            chunks.event(&event, &mut Vec::new()).unwrap();
            (chunks.has_begun(), chunks.model())
        };
        let preface = r#"{"choices": [], "id": "", "model": "", "prompt_filter_results": [{"prompt_index": 0}]}"#;
        assert_eq!(tell(preface), (false, None));
        assert_eq!(tell(HELLO), (true, Some("m".to_owned())));
    }

    #[test]
    fn only_the_last_usage_of_many_is_told() {
        let chunk =
            r#"{"choices": [{"delta": {"content": "a"}}], "usage": {"prompt_tokens": 3, "completion_tokens": 0}}"#;
        let (events, _) = read(&[chunk, STOP, USAGE]);
        assert_eq!(events, ["a", "Stop", "3+1"]);
    }

    #[test]
    fn an_error_in_the_stream_keeps_the_providers_words() {
        let error = r#"{"error": {"message": "overloaded", "code": 429}}"#;
        let (events, result) = read(&[TEXT, error, TEXT]);
        assert_eq!(events, ["hi"]);
        assert!(matches!(result, Err(Error::RateLimited(failure)) if failure.message == "overloaded"));

        let error = r#"{"error": {"message": "no credits", "code": 402}, "choices": []}"#;
        assert!(matches!(read(&[TEXT, error]).1, Err(Error::Unauthorized(_))));

        let event = sse::Event {
            name: "error".to_owned(),
            data: "gone".to_owned(),
        };
        let result = Chunks::default().event(&event, &mut Vec::new());
        assert!(matches!(result, Err(Error::Upstream(failure)) if failure.message == "gone"));
    }

    #[test]
    fn a_chunk_that_is_no_json_is_malformed() {
        assert!(matches!(read(&["{"]).1, Err(Error::MalformedResponse(_))));
    }
}
