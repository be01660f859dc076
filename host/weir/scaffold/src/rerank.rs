//! `POST /rerank`.

use serde::{Deserialize, Serialize};
use weir_guest::ranking::{self, Ranked};
use weir_guest::types::{Error, Usage};
use weir_guest::{Request, json};

use crate::{API_KEY, Adapter, BASE_URL, MODEL, reranking};

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
}

#[derive(Deserialize)]
struct Item {
    index: u32,
    relevance_score: f32,
}

impl reranking::Guest for Adapter {
    async fn rerank(request: reranking::Request) -> Result<reranking::Response, Error> {
        let model = MODEL.or(request.model.clone())?;
        let answer = Request::post(format!("{}/rerank", BASE_URL.url()?))
            .operation("rerank")
            .bearer(API_KEY)
            .replay_safe()
            .json(&Body {
                model: &model,
                query: &request.query,
                documents: &request.documents,
                top_n: request.top_n,
            })
            .send()
            .await?;
        Ok(reranking::Response {
            model,
            results: read(answer.body(), request.documents.len(), request.top_n)?,
            usage: Usage {
                input_tokens: 0,
                output_tokens: 0,
            },
        })
    }
}

fn read(body: &[u8], documents: usize, top_n: Option<u32>) -> Result<Vec<reranking::Ranked>, Error> {
    let Answer { results } = json::read(body)?;
    let items = results.into_iter().map(|item| Ranked {
        index: item.index,
        score: item.relevance_score,
    });
    let ranking = ranking::best_first("results", items, documents, top_n)?;
    Ok(ranking
        .into_iter()
        .map(|Ranked { index, score }| reranking::Ranked { index, score })
        .collect())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn the_best_document_comes_first() {
        let body = br#"{"results": [{"index": 0, "relevance_score": 0.1}, {"index": 1, "relevance_score": 0.9}]}"#;
        assert_eq!(read(body, 2, None).unwrap()[0].index, 1);
        assert!(matches!(read(body, 3, None), Err(Error::MalformedResponse(_))));
    }
}
