//! `POST /rerank`.

use serde::{Deserialize, Serialize};
use weir_guest::ranking::{self, Ranked};
use weir_guest::types::Error;
use weir_guest::{Request, json};

use crate::embed::Tokens;
use crate::{API_KEY, reranking};

#[derive(Serialize)]
struct Body<'a> {
    model: &'a str,
    query: &'a str,
    documents: &'a [String],
    #[serde(skip_serializing_if = "Option::is_none")]
    top_k: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    truncation: Option<bool>,
}

#[derive(Deserialize)]
struct Answer {
    data: Vec<Item>,
    model: String,
    usage: Tokens,
}

#[derive(Deserialize)]
struct Item {
    index: u32,
    relevance_score: f32,
}

pub(crate) fn request(base_url: &str, model: &str, request: &reranking::Request, truncation: Option<bool>) -> Request {
    Request::post(format!("{base_url}/rerank"))
        .operation("rerank")
        .bearer(API_KEY)
        .replay_safe()
        .json(&Body {
            model,
            query: &request.query,
            documents: &request.documents,
            top_k: request.top_n,
            truncation,
        })
}

pub(crate) fn read(body: &[u8], request: &reranking::Request) -> Result<reranking::Response, Error> {
    let Answer { data, model, usage } = json::read(body)?;
    let items = data.into_iter().map(|item| Ranked {
        index: item.index,
        score: item.relevance_score,
    });
    let results = ranking::best_first("data", items, request.documents.len(), request.top_n)?
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

    fn asked(top_n: Option<u32>) -> reranking::Request {
        reranking::Request {
            query: "q".to_owned(),
            documents: vec!["a".to_owned(), "b".to_owned()],
            top_n,
            model: None,
        }
    }

    #[test]
    fn the_number_asked_for_is_called_top_k() {
        let (wire, _) = request("https://api.example.com/v1", "rerank-2.5", &asked(Some(1)), Some(false))
            .into_wire()
            .unwrap();
        let body: serde_json::Value = serde_json::from_slice(&wire.body.unwrap()).unwrap();
        assert_eq!(wire.url, "https://api.example.com/v1/rerank");
        assert_eq!(
            body,
            serde_json::json!({"model": "rerank-2.5", "query": "q", "documents": ["a", "b"], "top_k": 1, "truncation": false})
        );
    }

    #[test]
    fn an_answer_gives_the_documents_best_first() {
        let body = br#"{"object": "list", "model": "rerank-2.5", "usage": {"total_tokens": 9},
            "data": [{"relevance_score": 0.25, "index": 0}, {"relevance_score": 0.5, "index": 1}]}"#;

        let response = read(body, &asked(None)).unwrap();

        let ranking: Vec<_> = response
            .results
            .iter()
            .map(|ranked| (ranked.index, ranked.score))
            .collect();
        assert_eq!(ranking, [(1, 0.5), (0, 0.25)]);
        assert_eq!(response.usage.input_tokens, 9);
    }
}
