//! `POST /v2/rerank`.

use serde::{Deserialize, Serialize};
use weir_guest::ranking::{self, Ranked};
use weir_guest::types::Error;
use weir_guest::{Request, json};

use crate::embed::Meta;
use crate::{API_KEY, reranking};

#[derive(Serialize)]
struct Body<'a> {
    model: &'a str,
    query: &'a str,
    documents: &'a [String],
    #[serde(skip_serializing_if = "Option::is_none")]
    top_n: Option<u32>,
}

#[derive(Deserialize)]
struct Answer {
    results: Vec<Item>,
    #[serde(default)]
    meta: Meta,
}

#[derive(Deserialize)]
struct Item {
    index: u32,
    relevance_score: f32,
}

pub(crate) fn request(base_url: &str, model: &str, request: &reranking::Request) -> Request {
    Request::post(format!("{base_url}/v2/rerank"))
        .operation("rerank")
        .bearer(API_KEY)
        .replay_safe()
        .json(&Body {
            model,
            query: &request.query,
            documents: &request.documents,
            top_n: request.top_n,
        })
}

pub(crate) fn read(body: &[u8], model: String, request: &reranking::Request) -> Result<reranking::Response, Error> {
    let Answer { results, meta } = json::read(body)?;
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
        usage: meta.into(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked() -> reranking::Request {
        reranking::Request {
            query: "q".to_owned(),
            documents: vec!["a".to_owned(), "b".to_owned(), "c".to_owned()],
            top_n: Some(2),
            model: None,
        }
    }

    #[test]
    fn a_request_has_the_documents_and_how_many_to_return() {
        let (wire, _) = request("https://api.example.com", "rerank-v3.5", &asked())
            .into_wire()
            .unwrap();
        let body: serde_json::Value = serde_json::from_slice(&wire.body.unwrap()).unwrap();
        assert_eq!(wire.url, "https://api.example.com/v2/rerank");
        assert_eq!(
            body,
            serde_json::json!({"model": "rerank-v3.5", "query": "q", "documents": ["a", "b", "c"], "top_n": 2})
        );
    }

    #[test]
    fn an_answer_gives_the_documents_best_first() {
        let body =
            br#"{"id": "1", "results": [{"index": 2, "relevance_score": 0.9}, {"index": 0, "relevance_score": 0.1}],
            "meta": {"api_version": {"version": "2"}, "billed_units": {"search_units": 1}}}"#;

        let response = read(body, "rerank-v3.5".to_owned(), &asked()).unwrap();

        let ranking: Vec<_> = response
            .results
            .iter()
            .map(|ranked| (ranked.index, ranked.score))
            .collect();
        assert_eq!(ranking, [(2, 0.9), (0, 0.1)]);
        assert_eq!(response.model, "rerank-v3.5");
        assert_eq!(response.usage.input_tokens, 0);
    }
}
