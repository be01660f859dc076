//! `web-search`.

use serde::Deserialize;
use serde_json::{Value, json};
use weir_runtime::web_search::{Found, Request};

use super::error::Refusal;
use super::input::read;
use super::output::number;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Input {
    query: String,
    max_results: Option<u32>,
}

/// Reads `{query, max_results?}`.
pub(super) fn request(input: Value) -> Result<Request, Refusal> {
    let input: Input = read(input)?;
    Ok(Request {
        query: input.query,
        max_results: input.max_results,
    })
}

/// Writes `{results: [{title, url, content, score}]}`; a score that the provider does not give is null.
pub(super) fn response(found: &[Found]) -> Result<Value, Refusal> {
    let results: Value = found
        .iter()
        .map(|page| {
            let score = page.score.map(|score| number(&"score", score)).transpose()?;
            Ok(json!({ "title": page.title, "url": page.url, "content": page.content, "score": score }))
        })
        .collect::<Result<_, Refusal>>()?;
    Ok(json!({ "results": results }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pages_become_results() {
        assert_eq!(
            request(json!({"query": "q", "max_results": 3})).unwrap().max_results,
            Some(3)
        );
        let page = Found {
            title: "T".into(),
            url: "https://x.example".into(),
            content: "c".into(),
            score: None,
        };
        assert_eq!(
            response(&[page]).unwrap(),
            json!({"results": [{"title": "T", "url": "https://x.example", "content": "c", "score": null}]})
        );
    }
}
