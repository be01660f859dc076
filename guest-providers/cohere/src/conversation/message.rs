//! An answer that comes whole.

use openai_api::chat::{Response, ToolCall};
use serde::Deserialize;
use weir_guest::json;
use weir_guest::types::Error;

use super::{Consumed, finish};

#[derive(Deserialize)]
struct Answer {
    id: Option<String>,
    finish_reason: String,
    message: Message,
    #[serde(default)]
    usage: Consumed,
}

#[derive(Deserialize)]
struct Message {
    content: Option<Vec<Part>>,
    tool_calls: Option<Vec<Call>>,
}

/// Thoughts have another field for their text.
#[derive(Deserialize)]
struct Part {
    text: Option<String>,
}

#[derive(Deserialize)]
struct Call {
    id: String,
    function: Function,
}

#[derive(Deserialize)]
struct Function {
    name: String,
    #[serde(default)]
    arguments: String,
}

pub(crate) fn read(body: &[u8], model: String) -> Result<Response, Error> {
    let Answer {
        id,
        finish_reason,
        message,
        usage,
    } = json::read(body)?;
    let call = |call: Call| ToolCall {
        id: call.id,
        name: call.function.name,
        arguments: call.function.arguments,
    };
    Ok(Response {
        id,
        model,
        text: message
            .content
            .into_iter()
            .flatten()
            .filter_map(|part| part.text)
            .collect(),
        tool_calls: message.tool_calls.into_iter().flatten().map(call).collect(),
        finish: finish(&finish_reason),
        usage: usage.into(),
    })
}

#[cfg(test)]
mod tests {
    use openai_api::chat::Finish;

    use super::*;

    #[test]
    fn an_answer_gives_its_text_without_the_thoughts() {
        let body = br#"{"id": "1", "finish_reason": "COMPLETE", "message": {"role": "assistant", "content": [
            {"type": "thinking", "thinking": "hm"}, {"type": "text", "text": "hi"}]},
            "usage": {"billed_units": {"input_tokens": 2, "output_tokens": 1}, "tokens": {"input_tokens": 60, "output_tokens": 4}}}"#;
        let response = read(body, "m".to_owned()).unwrap();
        assert_eq!((response.text.as_str(), response.model.as_str()), ("hi", "m"));
        assert!(matches!(response.finish, Finish::Stop));
        assert_eq!((response.usage.input_tokens, response.usage.output_tokens), (60, 4));
    }

    #[test]
    fn an_answer_of_calls_has_no_text() {
        let body = br#"{"finish_reason": "TOOL_CALL", "message": {"tool_plan": "I will add.", "tool_calls": [
            {"id": "c", "type": "function", "function": {"name": "add", "arguments": "{\"a\":1}"}}]}}"#;
        let response = read(body, "m".to_owned()).unwrap();
        assert_eq!(response.text, "");
        assert_eq!(response.tool_calls[0].arguments, "{\"a\":1}");
        assert!(matches!(response.finish, Finish::ToolCalls));
    }
}
