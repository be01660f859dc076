//! `POST /search`.

use serde::{Deserialize, Serialize};
use weir_guest::types::Error;
use weir_guest::{Request, json};

use crate::{API_KEY, api};

/// What the operator wants of every search.
#[derive(Debug, Default, Serialize)]
pub(crate) struct Options {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub search_depth: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub topic: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub time_range: Option<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub include_domains: Vec<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub exclude_domains: Vec<String>,
}

#[derive(Serialize)]
struct Body<'a> {
    query: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    max_results: Option<u32>,
    #[serde(flatten)]
    options: &'a Options,
}

#[derive(Deserialize)]
struct Answer {
    results: Vec<Page>,
}

#[derive(Deserialize)]
struct Page {
    /// Some pages have none.
    title: Option<String>,
    url: String,
    content: String,
    score: Option<f32>,
}

pub(crate) fn request(base_url: &str, request: &api::Request, options: &Options) -> Request {
    Request::post(format!("{base_url}/search"))
        .operation("web-search")
        .bearer(API_KEY)
        .replay_safe()
        .json(&Body {
            query: &request.query,
            max_results: request.max_results,
            options,
        })
}

pub(crate) fn read(body: &[u8]) -> Result<Vec<api::Found>, Error> {
    let Answer { results } = json::read(body)?;
    let found = |page: Page| api::Found {
        title: page.title.unwrap_or_default(),
        url: page.url,
        content: page.content,
        score: page.score,
    };
    Ok(results.into_iter().map(found).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sent(max_results: Option<u32>, options: &Options) -> serde_json::Value {
        let asked = api::Request {
            query: "who plans the trains".to_owned(),
            max_results,
        };
        let (wire, _) = request("https://api.example.com", &asked, options).into_wire().unwrap();
        assert_eq!(wire.url, "https://api.example.com/search");
        serde_json::from_slice(&wire.body.unwrap()).unwrap()
    }

    #[test]
    fn what_is_not_asked_for_is_tavilys_to_choose() {
        assert_eq!(
            sent(None, &Options::default()),
            serde_json::json!({"query": "who plans the trains"})
        );
    }

    #[test]
    fn the_operators_options_go_with_every_search() {
        let options = Options {
            search_depth: Some("advanced".to_owned()),
            topic: Some("news".to_owned()),
            time_range: Some("week".to_owned()),
            include_domains: vec!["a.example".to_owned()],
            exclude_domains: vec![],
        };
        assert_eq!(
            sent(Some(3), &options),
            serde_json::json!({
                "query": "who plans the trains", "max_results": 3, "search_depth": "advanced", "topic": "news",
                "time_range": "week", "include_domains": ["a.example"],
            })
        );
    }

    #[test]
    fn pages_keep_their_order_and_what_is_told_of_them() {
        let body = br#"{"query": "q", "answer": null, "images": [], "response_time": 0.9, "results": [
            {"title": "A", "url": "https://a.example", "content": "about a", "score": 0.75, "raw_content": null},
            {"title": null, "url": "https://b.example", "content": "about b"}]}"#;
        let found = read(body).unwrap();
        let summary: Vec<_> = found
            .iter()
            .map(|page| {
                (
                    page.title.as_str(),
                    page.url.as_str(),
                    page.content.as_str(),
                    page.score,
                )
            })
            .collect();
        assert_eq!(
            summary,
            [
                ("A", "https://a.example", "about a", Some(0.75)),
                ("", "https://b.example", "about b", None)
            ]
        );
    }

    #[test]
    fn a_page_without_an_address_is_malformed_at_its_place() {
        let error = read(br#"{"results": [{"title": "A", "content": "c"}]}"#).unwrap_err();
        assert!(matches!(error, Error::MalformedResponse(text) if text.contains("`results[0]`")));
        for body in [&b"<html>busy</html>"[..], br#"{"results": [{"title""#, b"{}", b""] {
            assert!(matches!(read(body), Err(Error::MalformedResponse(_))));
        }
    }
}
