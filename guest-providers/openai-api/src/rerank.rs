//! `POST /rerank`, as Cohere began it: `{model, query, documents, top_n}`, answered with `results`.

use serde::{Deserialize, Serialize};
use weir_guest::json;
use weir_guest::ranking;
use weir_guest::types::{Error, Usage};

use crate::usage::Tokens;

/// The contract's record of a call. See the interface `reranking`.
#[derive(Debug, Clone)]
pub struct Request {
    /// What is asked.
    pub query: String,
    /// What is to be ranked.
    pub documents: Vec<String>,
    /// How many to return; all where none is given.
    pub top_n: Option<u32>,
    /// The model, where the call names one.
    pub model: Option<String>,
}

/// The contract's record of one document's worth.
pub use weir_guest::ranking::Ranked;

/// The contract's record of an answer.
#[derive(Debug, Clone)]
pub struct Response {
    /// The model that ranked.
    pub model: String,
    /// Best first.
    pub results: Vec<Ranked>,
    /// What it cost.
    pub usage: Usage,
}

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
    /// `data` at fireworks.
    #[serde(alias = "data")]
    results: Vec<Item>,
    model: Option<String>,
    usage: Option<Tokens>,
}

#[derive(Deserialize)]
struct Item {
    index: u32,
    relevance_score: f32,
}

/// A request to `url`, which ends with the path.
pub fn request(url: String, model: &str, request: &Request) -> weir_guest::Request {
    weir_guest::Request::post(url)
        .operation("rerank")
        .replay_safe()
        .json(&Body {
            model,
            query: &request.query,
            documents: &request.documents,
            top_n: request.top_n,
        })
}

/// # Errors
/// `malformed-response`, naming the place, where a document is missing, doubled or was never sent.
pub fn read(body: &[u8], asked: String, request: &Request) -> Result<Response, Error> {
    let Answer { results, model, usage } = json::read(body)?;
    let items = results.into_iter().map(|item| Ranked {
        index: item.index,
        score: item.relevance_score,
    });
    let results = ranking::best_first("results", items, request.documents.len(), request.top_n)?;
    Ok(Response {
        model: model.unwrap_or(asked),
        results,
        usage: Tokens::of_input(usage),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked() -> Request {
        Request {
            query: "q".to_owned(),
            documents: vec!["a".to_owned(), "b".to_owned(), "c".to_owned()],
            top_n: Some(2),
            model: None,
        }
    }

    #[test]
    fn a_request_has_the_documents_and_how_many_to_return() {
        let (wire, _) = request("https://api.example.com/v1/rerank".to_owned(), "m", &asked())
            .into_wire()
            .unwrap();
        let body: serde_json::Value = serde_json::from_slice(&wire.body.unwrap()).unwrap();
        assert_eq!(
            body,
            serde_json::json!({"model": "m", "query": "q", "documents": ["a", "b", "c"], "top_n": 2})
        );
    }

    #[test]
    fn an_answer_gives_the_documents_best_first() {
        let body = br#"{"model": "n", "usage": {"prompt_tokens": 9, "total_tokens": 9}, "results": [
            {"index": 0, "relevance_score": 0.1, "document": {"text": "a"}}, {"index": 2, "relevance_score": 0.9}]}"#;
        let response = read(body, "m".to_owned(), &asked()).unwrap();
        let ranking: Vec<_> = response
            .results
            .iter()
            .map(|ranked| (ranked.index, ranked.score))
            .collect();
        assert_eq!(ranking, [(2, 0.9), (0, 0.1)]);
        assert_eq!((response.model.as_str(), response.usage.input_tokens), ("n", 9));
    }

    #[test]
    fn the_results_are_data_to_some() {
        let body = br#"{"object": "list", "data": [{"index": 1, "relevance_score": 0.5, "document": null}]}"#;
        let asked = Request {
            top_n: Some(1),
            ..asked()
        };
        assert_eq!(read(body, "m".to_owned(), &asked).unwrap().results[0].index, 1);
    }
}
