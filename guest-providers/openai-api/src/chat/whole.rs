//! An answer that comes whole.

use weir_guest::failure;
use weir_guest::types::{Error, Usage};

use super::completion::{Call, Completion, Content, Message, finish};
use super::{Finish, Response, ToolCall};

/// # Errors
/// What the server put in the answer's place, or `malformed-response` naming what is missing.
pub fn read(body: &[u8], asked: String) -> Result<Response, Error> {
    let Completion {
        id,
        model,
        choices,
        usage,
        ..
    } = Completion::read(body)?;
    let choice = choices
        .into_iter()
        .next()
        .ok_or_else(|| failure::malformed("`choices[0]`: missing"))?;
    let message = match choice.message {
        Some(message) => message,
        // Azure leaves a message that its filter withheld out altogether.
        None if choice.finish_reason.as_deref() == Some("content_filter") => Message::default(),
        None => return Err(failure::malformed("`choices[0].message`: missing")),
    };
    let calls = message.tool_calls.unwrap_or_default().into_iter().enumerate();
    Ok(Response {
        id,
        model: model.unwrap_or(asked),
        text: message
            .content
            .map(|Content(text)| text)
            .or(message.refusal)
            .unwrap_or_default(),
        tool_calls: calls.map(|(at, call)| tool_call(at, call)).collect::<Result<_, _>>()?,
        // A server that tells no reason has none of its words to pass on.
        finish: choice
            .finish_reason
            .map_or_else(|| Finish::Other(String::new()), |reason| finish(&reason)),
        usage: usage.map_or(
            Usage {
                input_tokens: 0,
                output_tokens: 0,
            },
            |tokens| tokens.of_chat(),
        ),
    })
}

fn tool_call(at: usize, call: Call) -> Result<ToolCall, Error> {
    let missing = || failure::malformed(format!("`choices[0].message.tool_calls[{at}].function.name`: missing"));
    Ok(ToolCall {
        id: call.id.unwrap_or_default(),
        name: call.function.name.ok_or_else(missing)?,
        arguments: call.function.arguments.unwrap_or_default(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_gives_its_text_and_usage() {
        let body = br#"{"id": "c-1", "object": "chat.completion", "model": "m-2024", "choices": [{"index": 0,
            "message": {"role": "assistant", "content": "hi", "refusal": null}, "finish_reason": "stop"}],
            "usage": {"prompt_tokens": 3, "completion_tokens": 1, "total_tokens": 4}}"#;
        let response = read(body, "m".to_owned()).unwrap();
        assert_eq!((response.text.as_str(), response.model.as_str()), ("hi", "m-2024"));
        assert_eq!(response.id.as_deref(), Some("c-1"));
        assert!(matches!(response.finish, Finish::Stop));
        assert_eq!((response.usage.input_tokens, response.usage.output_tokens), (3, 1));
    }

    #[test]
    fn tool_calls_keep_their_arguments_as_the_model_wrote_them() {
        let body = br#"{"choices": [{"message": {"content": null, "tool_calls": [{"id": "1", "type": "function",
            "function": {"name": "add", "arguments": "{\"a\": 1"}}]}, "finish_reason": "tool_calls"}]}"#;
        let response = read(body, "m".to_owned()).unwrap();
        assert_eq!(response.tool_calls[0].arguments, "{\"a\": 1");
        assert!(matches!(response.finish, Finish::ToolCalls));
        assert_eq!((response.text.as_str(), response.model.as_str()), ("", "m"));
    }

    #[test]
    fn a_call_of_a_tool_that_takes_any_text_has_it_as_its_arguments() {
        let body = br#"{"choices": [{"message": {"tool_calls": [{"id": "1", "type": "custom",
            "custom": {"name": "run", "input": "print(1)"}}]}, "finish_reason": "tool_calls"}]}"#;
        let call = &read(body, "m".to_owned()).unwrap().tool_calls[0];
        assert_eq!((call.name.as_str(), call.arguments.as_str()), ("run", "print(1)"));
    }

    #[test]
    fn a_message_that_was_withheld_is_an_answer_without_a_text() {
        let body = br#"{"choices": [{"index": 0, "finish_reason": "content_filter"}], "usage": {"prompt_tokens": 3}}"#;
        let response = read(body, "m".to_owned()).unwrap();
        assert!(response.text.is_empty() && matches!(response.finish, Finish::ContentFilter));
        let error = read(
            br#"{"choices": [{"text": "hi", "finish_reason": "stop"}]}"#,
            "m".to_owned(),
        )
        .unwrap_err();
        assert!(matches!(error, Error::MalformedResponse(text) if text.contains("`choices[0].message`")));
    }

    #[test]
    fn other_words_for_an_end_are_the_contracts() {
        let ended = |reason: &str| {
            let body = format!(r#"{{"choices": [{{"message": {{"content": ""}}, "finish_reason": "{reason}"}}]}}"#);
            read(body.as_bytes(), "m".to_owned()).unwrap().finish
        };
        assert!(matches!(ended("eos"), Finish::Stop));
        assert!(matches!(ended("model_length"), Finish::Length));
        assert!(matches!(ended("error"), Finish::Other(reason) if reason == "error"));
    }

    #[test]
    fn thoughts_and_an_empty_delta_beside_the_message_are_not_its_text() {
        let body = br#"{"choices": [{"delta": {"content": ""}, "finish_reason": "stop", "message": {"content": [
            {"type": "thinking", "thinking": [{"type": "text", "text": "hm"}]}, {"type": "text", "text": "4"}]}}]}"#;
        assert_eq!(read(body, "m".to_owned()).unwrap().text, "4");
    }

    #[test]
    fn an_error_behind_a_200_is_an_error() {
        let error = read(br#"{"error": {"message": "no capacity", "code": 502}}"#, "m".to_owned()).unwrap_err();
        assert!(matches!(error, Error::Upstream(failure) if failure.message == "no capacity"));
    }

    #[test]
    fn an_answer_without_a_choice_is_malformed() {
        let error = read(br#"{"choices": []}"#, "m".to_owned()).unwrap_err();
        assert!(matches!(error, Error::MalformedResponse(text) if text.contains("`choices[0]`")));
    }
}
