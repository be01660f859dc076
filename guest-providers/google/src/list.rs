//! `GET /models`, page by page.

use serde::Deserialize;
use weir_guest::types::Error;
use weir_guest::url::segment;
use weir_guest::{failure, json};

use crate::models::Model;

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Answer {
    #[serde(default)]
    models: Vec<Item>,
    next_page_token: Option<String>,
}

#[derive(Deserialize)]
struct Item {
    name: String,
}

/// 1,000 is the most a page can have (<https://ai.google.dev/api/models#method:-models.list>).
pub(crate) fn url(base_url: &str, page: Option<&str>) -> Result<String, Error> {
    let page = page.map_or(Ok(String::new()), |token| {
        segment(token).map(|token| format!("&pageToken={token}"))
    })?;
    Ok(format!("{base_url}/models?pageSize=1000{page}"))
}

/// Appends the models of `page`; returns the token of the next.
pub(crate) fn read(body: &[u8], page: Option<&str>, models: &mut Vec<Model>) -> Result<Option<String>, Error> {
    let Answer {
        models: items,
        next_page_token,
    } = json::read(body)?;
    // A page of none is the last, whatever it says of another.
    let next = next_page_token.filter(|token| !token.is_empty() && !items.is_empty());
    if next.is_some() && next.as_deref() == page {
        return Err(failure::malformed("`nextPageToken`: that of the page itself"));
    }
    models.extend(items.into_iter().map(|Item { name }| Model {
        id: name.strip_prefix("models/").map(str::to_owned).unwrap_or(name),
        owner: None,
        created: None,
    }));
    Ok(next)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pages_are_followed_by_their_token() {
        let mut models = Vec::new();
        let first = br#"{"models": [{"name": "models/a", "version": "1"}], "nextPageToken": "x/y="}"#;
        let next = read(first, None, &mut models).unwrap();
        assert_eq!(
            url("https://a", next.as_deref()).unwrap(),
            "https://a/models?pageSize=1000&pageToken=x%2Fy%3D"
        );
        assert!(
            read(
                br#"{"models": [{"name": "tunedModels/b"}]}"#,
                next.as_deref(),
                &mut models
            )
            .unwrap()
            .is_none()
        );
        let ids: Vec<_> = models.iter().map(|model| model.id.as_str()).collect();
        assert_eq!(ids, ["a", "tunedModels/b"]);
    }

    #[test]
    fn an_empty_page_is_the_last() {
        let body = br#"{"nextPageToken": "x"}"#;
        assert!(read(body, None, &mut Vec::new()).unwrap().is_none());
        assert_eq!(url("https://a", None).unwrap(), "https://a/models?pageSize=1000");
    }

    #[test]
    fn a_page_that_leads_to_itself_is_malformed() {
        let body = br#"{"models": [{"name": "models/a"}], "nextPageToken": "x"}"#;
        let error = read(body, Some("x"), &mut Vec::new()).unwrap_err();
        assert!(matches!(error, Error::MalformedResponse(text) if text.contains("`nextPageToken`")));
    }
}
