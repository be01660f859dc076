//! Voyage AI's API.

use serde_json::{Value, json};

use super::super::{Case, Recording};
use super::{case_of, first, vectors};

pub(super) fn case(recording: &Recording) -> Result<Case, String> {
    let (asked, answer) = (&recording.asked, recording.answer());
    let ends = |path: &str| {
        recording
            .path
            .as_deref()
            .is_some_and(|recorded| recorded.ends_with(path))
    };
    let model = first(&[&asked["model"], &answer["model"]])
        .and_then(Value::as_str)
        .unwrap_or("a-model");
    let usage = json!({ "input_tokens": answer["usage"]["total_tokens"] });
    if ends("/rerank") || answer["data"][0].get("relevance_score").is_some() {
        let mut input = json!({
            "query": asked["query"].as_str().unwrap_or("a question"),
            "documents": vectors::documents(&asked["documents"], &answer["data"]),
            "model": model,
        });
        if let Some(top_k) = first(&[&asked["top_k"]]) {
            input["top_n"] = top_k.clone();
        }
        let results = vectors::ranking(&answer["data"], "relevance_score");
        let result = json!({ "model": answer["model"], "results": results, "usage": usage });
        return Ok(case_of(recording, "rerank", "/rerank", input, result));
    }
    let answered = answer["data"].as_array().map_or(0, Vec::len);
    let mut input = json!({ "inputs": vectors::inputs(&asked["input"], answered), "model": model });
    for (own, theirs) in [("kind", "input_type"), ("dimensions", "output_dimension")] {
        if !asked[theirs].is_null() {
            input[own] = asked[theirs].clone();
        }
    }
    let written = vectors::in_order(&answer["data"]);
    let written: Vec<Value> = written.iter().map(|item| vectors::floats(&item["embedding"])).collect();
    let result = json!({ "model": answer["model"], "vectors": written, "usage": usage });
    Ok(case_of(recording, "embed", "/embeddings", input, result))
}
