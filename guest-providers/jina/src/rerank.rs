//! `POST /rerank`.

use openai_api::rerank as ranks;
use serde::Serialize;
use weir_guest::Request;

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

pub(crate) fn request(base_url: &str, model: &str, request: &ranks::Request) -> Request {
    Request::post(format!("{base_url}/rerank"))
        .operation("rerank")
        .json(&Body {
            model,
            query: &request.query,
            documents: &request.documents,
            top_n: request.top_n,
            return_documents: false,
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked() -> ranks::Request {
        ranks::Request {
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
}
