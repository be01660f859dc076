//! Hugging Face's router.

use serde_json::{Value, json};

use super::super::{Case, Recording};
use super::{case_of, openai, vectors};

pub(super) fn case(recording: &Recording) -> Result<Case, String> {
    let asked = &recording.asked;
    if asked["inputs"].is_null() || asked["messages"].is_array() {
        let path = recording.path.as_deref().unwrap_or_default();
        if path.ends_with("/v1/models") {
            let dialect = openai::Dialect {
                models: "/v1/models",
                ..openai::Dialect::OPENAI
            };
            return openai::case(recording, &dialect);
        }
        return Ok(openai::chat(recording, "/v1/chat/completions"));
    }
    let answer = recording.answer();
    let answered = answer.as_array().map_or(1, Vec::len);
    let path = recording.path.as_deref().unwrap_or_default();
    let model = path.split_once("/models/").map_or("a-model", |(_, rest)| rest);
    let model = model.split("/pipeline/").next().unwrap_or(model);
    let input = json!({ "inputs": vectors::inputs(&asked["inputs"], answered), "model": model });
    let written = match &answer[0] {
        Value::Array(_) => answer.clone(),
        _ => vec![answer].into(),
    };
    let sent = format!("/hf-inference/models/{model}/pipeline/feature-extraction");
    Ok(case_of(recording, "embed", &sent, input, json!({ "vectors": written })))
}
