//! `POST /rerank`: a bare list of every text's rank.

use serde::{Deserialize, Serialize};
use weir_guest::ranking::{self, Ranked};
use weir_guest::types::{Error, Usage};
use weir_guest::{Request, json};

use crate::reranking;

#[derive(Serialize)]
struct Body<'a> {
    query: &'a str,
    texts: &'a [String],
    #[serde(skip_serializing_if = "Option::is_none")]
    truncate: Option<bool>,
}

#[derive(Deserialize)]
struct Rank {
    index: u32,
    score: f32,
}

pub(crate) fn request(base_url: &str, request: &reranking::Request, truncate: Option<bool>) -> Request {
    Request::post(format!("{base_url}/rerank")).json(&Body {
        query: &request.query,
        texts: &request.documents,
        truncate,
    })
}

pub(crate) fn read(
    body: &[u8],
    model: String,
    usage: Usage,
    request: &reranking::Request,
) -> Result<reranking::Response, Error> {
    let items = json::read::<Vec<Rank>>(body)?
        .into_iter()
        .map(|Rank { index, score }| Ranked { index, score });
    // The server has no `top_n`.
    let best = request.top_n.map_or(usize::MAX, |top_n| top_n as usize);
    let results = ranking::best_first("", items, request.documents.len(), None)?
        .into_iter()
        .take(best)
        .map(|Ranked { index, score }| reranking::Ranked { index, score })
        .collect();
    Ok(reranking::Response { model, results, usage })
}

#[cfg(test)]
mod tests {
    use super::*;

    const USAGE: Usage = Usage {
        input_tokens: 0,
        output_tokens: 0,
    };

    fn asked(top_n: Option<u32>) -> reranking::Request {
        reranking::Request {
            query: "q".to_owned(),
            documents: vec!["a".to_owned(), "b".to_owned(), "c".to_owned()],
            top_n,
            model: None,
        }
    }

    #[test]
    fn documents_are_called_texts() {
        let (wire, _) = request("http://t", &asked(None), None).into_wire().unwrap();
        let body: serde_json::Value = serde_json::from_slice(&wire.body.unwrap()).unwrap();
        assert_eq!(wire.url, "http://t/rerank");
        assert_eq!(body, serde_json::json!({"query": "q", "texts": ["a", "b", "c"]}));
    }

    #[test]
    fn the_best_are_taken_of_all() {
        let body = br#"[{"index": 0, "score": 0.1}, {"index": 2, "score": 0.9}, {"index": 1, "score": 0.5}]"#;
        let ranking = |top_n| -> Vec<u32> {
            let response = read(body, "m".to_owned(), USAGE, &asked(top_n)).unwrap();
            response.results.iter().map(|ranked| ranked.index).collect()
        };
        assert_eq!(ranking(None), [2, 1, 0]);
        assert_eq!(ranking(Some(2)), [2, 1]);
        let short = br#"[{"index": 0, "score": 0.1}]"#;
        let read = read(short, "m".to_owned(), USAGE, &asked(Some(1)));
        assert!(matches!(read, Err(Error::MalformedResponse(_))));
    }
}
