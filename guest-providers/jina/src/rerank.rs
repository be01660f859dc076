//! `POST /rerank`.

use serde::{Deserialize, Serialize};
use weir_guest::ranking::{self, Ranked};
use weir_guest::types::Error;
use weir_guest::{Request, json};

use crate::{API_KEY, Tokens, reranking};

#[derive(Serialize)]
struct Body<'a> {
    model: &'a str,
    query: &'a str,
    documents: &'a [String],
    #[serde(skip_serializing_if = "Option::is_none")]
    top_n: Option<u32>,
    /// Else every document comes back in the answer.
    return_documents: bool,
}

#[derive(Deserialize)]
struct Answer {
    results: Vec<Item>,
    model: String,
    #[serde(default)]
    usage: Tokens,
}

#[derive(Deserialize)]
struct Item {
    index: u32,
    relevance_score: f32,
}

pub(crate) fn request(base_url: &str, model: &str, request: &reranking::Request) -> Request {
    Request::post(format!("{base_url}/rerank"))
        .operation("rerank")
        .bearer(API_KEY)
        .replay_safe()
        .json(&Body {
            model,
            query: &request.query,
            documents: &request.documents,
            top_n: request.top_n,
            return_documents: false,
        })
}

pub(crate) fn read(body: &[u8], request: &reranking::Request) -> Result<reranking::Response, Error> {
    let Answer { results, model, usage } = json::read(body)?;
    let items = results.into_iter().map(|item| Ranked {
        index: item.index,
        score: item.relevance_score,
    });
    let results = ranking::best_first("results", items, request.documents.len(), request.top_n)?
        .into_iter()
        .map(|Ranked { index, score }| reranking::Ranked { index, score })
        .collect();
    Ok(reranking::Response {
        model,
        results,
        usage: usage.into(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked() -> reranking::Request {
        reranking::Request {
            query: "q".to_owned(),
            documents: vec!["a".to_owned(), "b".to_owned()],
            top_n: Some(1),
            model: None,
        }
    }

    #[test]
    fn documents_are_not_sent_back() {
        let (wire, _) = request("https://api.example.com/v1", "jina-reranker-v3", &asked())
            .into_wire()
            .unwrap();
        let body: serde_json::Value = serde_json::from_slice(&wire.body.unwrap()).unwrap();
        assert_eq!(wire.url, "https://api.example.com/v1/rerank");
        assert_eq!(
            body,
            serde_json::json!({
                "model": "jina-reranker-v3", "query": "q", "documents": ["a", "b"], "top_n": 1,
                "return_documents": false,
            })
        );
    }

    #[test]
    fn an_answer_gives_the_documents_best_first() {
        let body = br#"{"model": "jina-reranker-v3", "usage": {"total_tokens": 9},
            "results": [{"index": 1, "relevance_score": 0.5}]}"#;
        let response = read(body, &asked()).unwrap();
        assert_eq!((response.results[0].index, response.results[0].score), (1, 0.5));
        assert_eq!(response.usage.input_tokens, 9);
    }
}
