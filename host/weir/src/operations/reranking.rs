//! `rerank`.

use serde::Deserialize;
use serde_json::{Value, json};
use weir_runtime::reranking::{Request, Response};

use super::error::Refusal;
use super::input::{filled, read};
use super::output::{input_usage, number};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Input {
    query: String,
    documents: Vec<String>,
    top_n: Option<u32>,
    model: Option<String>,
}

/// Reads `{query, documents, top_n?, model?}`.
pub(super) fn request(input: Value) -> Result<Request, Refusal> {
    let input: Input = read(input)?;
    if input.top_n == Some(0) {
        return Err(Refusal::input("`top_n` must be above 0"));
    }
    Ok(Request {
        query: input.query,
        documents: filled("documents", input.documents)?,
        top_n: input.top_n,
        model: input.model,
    })
}

/// Writes `{model, results: [{index, score}], usage}`.
pub(super) fn response(response: &Response) -> Result<Value, Refusal> {
    let results: Value = response
        .results
        .iter()
        .map(|ranked| Ok(json!({ "index": ranked.index, "score": number(&"score", ranked.score)? })))
        .collect::<Result<_, Refusal>>()?;
    Ok(json!({ "model": response.model, "results": results, "usage": input_usage(&response.usage) }))
}

#[cfg(test)]
mod tests {
    use weir_runtime::reranking::Ranked;
    use weir_runtime::types::Usage;

    use super::*;

    #[test]
    fn a_request_is_read_and_an_answer_written() {
        let asked = request(json!({"query": "q", "documents": ["a", "b"], "top_n": 1})).unwrap();
        assert_eq!(
            (asked.query.as_str(), asked.documents.len(), asked.top_n),
            ("q", 2, Some(1))
        );
        let answer = Response {
            model: "rerank-2.5".into(),
            results: vec![Ranked { index: 1, score: 0.75 }],
            usage: Usage {
                input_tokens: 4,
                output_tokens: 0,
            },
        };
        assert_eq!(
            response(&answer).unwrap(),
            json!({"model": "rerank-2.5", "results": [{"index": 1, "score": 0.75}], "usage": {"input_tokens": 4}})
        );
    }

    #[test]
    fn nothing_to_rank_is_refused() {
        assert!(request(json!({"query": "q", "documents": []})).is_err());
        assert_eq!(
            request(json!({"query": "q", "document": ["a"]})).unwrap_err(),
            Refusal::input("unknown field `document`; did you mean `documents`?")
        );
    }
}
