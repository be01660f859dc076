//! `POST /search`.

use serde::{Deserialize, Serialize};
use weir_guest::types::Error;
use weir_guest::{Request, json};

use crate::{API_KEY, Adapter, BASE_URL, web_search};

#[derive(Serialize)]
struct Body<'a> {
    query: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    max_results: Option<u32>,
}

#[derive(Deserialize)]
struct Answer {
    results: Vec<Page>,
}

#[derive(Deserialize)]
struct Page {
    title: String,
    url: String,
    content: String,
    score: Option<f32>,
}

impl web_search::Guest for Adapter {
    async fn search(request: web_search::Request) -> Result<Vec<web_search::Found>, Error> {
        let answer = Request::post(format!("{}/search", BASE_URL.url()?))
            .operation("web-search")
            .bearer(API_KEY)
            .replay_safe()
            .json(&Body {
                query: &request.query,
                max_results: request.max_results,
            })
            .send()
            .await?;
        read(answer.body())
    }
}

fn read(body: &[u8]) -> Result<Vec<web_search::Found>, Error> {
    let Answer { results } = json::read(body)?;
    let found = |page: Page| web_search::Found {
        title: page.title,
        url: page.url,
        content: page.content,
        score: page.score,
    };
    Ok(results.into_iter().map(found).collect())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn a_page_may_have_no_score() {
        let body = br#"{"results": [{"title": "A", "url": "https://a.example", "content": "c"}]}"#;
        assert_eq!(read(body).unwrap()[0].score, None);
    }
}
