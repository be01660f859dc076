//! `POST /search` (<https://docs.perplexity.ai/api-reference/search-post>).

use serde::{Deserialize, Serialize};
use weir_guest::types::Error;
use weir_guest::{Request, json};

use crate::web_search::{self, Found};

#[derive(Serialize)]
struct Body<'a> {
    query: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    max_results: Option<u32>,
}

#[derive(Deserialize)]
struct Answer {
    results: Vec<Item>,
}

#[derive(Deserialize)]
struct Item {
    title: String,
    url: String,
    #[serde(default)]
    snippet: String,
}

pub(crate) fn request(url: String, request: &web_search::Request) -> Request {
    Request::post(url).operation("web-search").replay_safe().json(&Body {
        query: &request.query,
        max_results: request.max_results,
    })
}

pub(crate) fn read(body: &[u8]) -> Result<Vec<Found>, Error> {
    let Answer { results } = json::read(body)?;
    let found = |item: Item| Found {
        title: item.title,
        url: item.url,
        content: item.snippet,
        score: None,
    };
    Ok(results.into_iter().map(found).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_search_asks_for_so_many_pages_and_reads_their_passages() {
        let asked = web_search::Request {
            query: "q".to_owned(),
            max_results: Some(3),
        };
        let (wire, _) = request("https://api.example.com/search".to_owned(), &asked)
            .into_wire()
            .unwrap();
        assert_eq!(
            wire.body.as_deref(),
            Some(br#"{"query":"q","max_results":3}"#.as_slice())
        );

        let found =
            read(br#"{"id": "1", "results": [{"title": "T", "url": "https://x", "snippet": "s", "date": null}]}"#);
        let found = found.unwrap();
        assert_eq!(
            (found[0].title.as_str(), found[0].content.as_str(), found[0].score),
            ("T", "s", None)
        );
    }
}
