//! An answer that comes in events. Each is an answer by itself, with the next piece in it; the body's end ends it.

use conversation::{Event, Finish, ToolCallDelta};
use weir_guest::streaming::Decode;
use weir_guest::types::{Error, Usage};
use weir_guest::{failure, sse};

use super::answer::{Answer, Said, finish};

/// The answer so far.
#[derive(Default)]
pub(crate) struct Decoder {
    begun: bool,
    model: Option<String>,
    calls: u32,
    /// Every event tells the usage so far.
    usage: Option<Usage>,
    finished: bool,
}

impl Decode for Decoder {
    type Item = Event;

    fn event(&mut self, event: &sse::Event, items: &mut Vec<Event>) -> Result<(), Error> {
        if event.data.trim().is_empty() {
            return Ok(());
        }
        let Answer {
            candidates,
            prompt_feedback,
            usage_metadata,
            model_version,
            response_id,
            ..
        } = Answer::read(event.data.as_bytes())?;
        self.begun = true;
        self.model = self.model.take().or(model_version);
        self.usage = usage_metadata.map(Usage::from).or(self.usage.take());
        if prompt_feedback.is_some_and(|feedback| feedback.block_reason.is_some()) && !self.finished {
            self.finished = true;
            items.push(Event::Finish(Finish::ContentFilter));
        }
        let Some(mut candidate) = candidates.into_iter().next() else {
            return Ok(());
        };
        for part in candidate.parts() {
            match part.said(response_id.as_deref(), self.calls) {
                Some(Said::Text(text)) => items.push(Event::Text(text)),
                Some(Said::Call(call)) => {
                    items.push(Event::ToolCall(ToolCallDelta {
                        index: self.calls,
                        id: Some(call.id),
                        name: Some(call.name),
                        arguments: call.arguments,
                    }));
                    self.calls += 1;
                }
                None => {}
            }
        }
        if let Some(reason) = candidate.finish_reason.filter(|_| !self.finished) {
            self.finished = true;
            items.push(Event::Finish(finish(&reason, self.calls > 0)));
        }
        Ok(())
    }

    fn is_done(&self) -> bool {
        false
    }

    fn end(&mut self, items: &mut Vec<Event>) -> Result<(), Error> {
        if !self.finished {
            return Err(failure::malformed("the stream ended before any `finishReason`"));
        }
        items.extend(self.usage.take().map(Event::Usage));
        Ok(())
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

#[cfg(test)]
mod tests {
    use weir_guest::chat::told_by_data;

    use super::*;

    fn read(data: &[&str]) -> (Vec<String>, Result<(), Error>) {
        told_by_data::<Decoder>(data)
    }

    const TEXT: &str = r#"{"candidates": [{"content": {"parts": [{"text": "hi"}]}}],
        "usageMetadata": {"promptTokenCount": 3}}"#;
    const STOP: &str = r#"{"candidates": [{"content": {"parts": [{"text": ""}]}, "finishReason": "STOP"}],
        "usageMetadata": {"promptTokenCount": 3, "candidatesTokenCount": 1, "thoughtsTokenCount": 1}}"#;

    #[test]
    fn text_finish_and_the_last_usage_come_in_this_order() {
        let (events, result) = read(&[TEXT, TEXT, STOP]);
        assert_eq!(events, ["hi", "hi", "Stop", "3+2"]);
        assert!(result.is_ok());
    }

    #[test]
    fn calls_come_whole_and_are_counted_over_events() {
        let call = r#"{"candidates": [{"content": {"parts": [{"functionCall": {"name": "f", "args": {"a": 1}}}]}}]}"#;
        let (events, _) = read(&[call, call, STOP]);
        assert_eq!(events, ["0:f({\"a\": 1}", "1:f({\"a\": 1}", "ToolCalls", "3+2"]);
    }

    #[test]
    fn a_stream_that_stops_in_the_middle_says_so() {
        let (events, result) = read(&[TEXT]);
        assert_eq!(events, ["hi"]);
        assert!(matches!(result, Err(Error::MalformedResponse(text)) if text.contains("finishReason")));
    }

    #[test]
    fn an_error_in_the_stream_keeps_the_providers_words_and_its_wait() {
        let error = r#"{"error": {"code": 429, "message": "slow down", "status": "RESOURCE_EXHAUSTED",
            "details": [{"retryDelay": "2s"}]}}"#;
        let (events, result) = read(&[TEXT, error]);
        assert_eq!(events, ["hi"]);
        assert!(matches!(result, Err(Error::RateLimited(failure))
            if failure.message == "slow down" && failure.retry_after == Some(2_000_000_000)));
    }

    #[test]
    fn a_refused_question_ends_by_the_filter() {
        let (events, result) = read(&[r#"{"promptFeedback": {"blockReason": "OTHER"}}"#]);
        assert_eq!(events, ["ContentFilter"]);
        assert!(result.is_ok());
    }
}
