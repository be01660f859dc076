//! Tavily's API.

use serde_json::{Value, json};

use super::super::{Case, Recording};
use super::case_of;

pub(super) fn case(recording: &Recording) -> Result<Case, String> {
    let (asked, answer) = (&recording.asked, recording.answer());
    let mut input = json!({ "query": asked["query"].as_str().unwrap_or("a question") });
    if !asked["max_results"].is_null() {
        input["max_results"] = asked["max_results"].clone();
    }
    let results = answer["results"].as_array().into_iter().flatten().map(|found| {
        json!({
            "title": found["title"], "url": found["url"], "content": found["content"], "score": found["score"],
        })
    });
    let result = json!({ "results": results.collect::<Vec<Value>>() });
    Ok(case_of(recording, "web-search", "/search", input, result))
}
