//! `GET /models`, page by page.

use serde::Deserialize;
use weir_guest::types::Error;
use weir_guest::url::segment;
use weir_guest::{failure, json};

use crate::models::Model;

#[derive(Deserialize)]
struct Answer {
    data: Vec<Item>,
    #[serde(default)]
    has_more: bool,
    last_id: Option<String>,
}

#[derive(Deserialize)]
struct Item {
    id: String,
}

/// 1,000 is the most a page can have (<https://platform.claude.com/docs/en/api/models/list>).
pub(crate) fn url(base_url: &str, last: Option<&str>) -> Result<String, Error> {
    let after = last.map_or(Ok(String::new()), |id| segment(id).map(|id| format!("&after_id={id}")))?;
    Ok(format!("{base_url}/models?limit=1000{after}"))
}

/// Appends the models of the page after `last`; returns the id after which the next page begins.
pub(crate) fn read(body: &[u8], last: Option<&str>, models: &mut Vec<Model>) -> Result<Option<String>, Error> {
    let Answer {
        data,
        has_more,
        last_id,
    } = json::read(body)?;
    // A page of none is the last, whatever it says of another.
    let next = last_id.filter(|id| has_more && !id.is_empty() && !data.is_empty());
    if next.is_some() && next.as_deref() == last {
        return Err(failure::malformed("`last_id`: that of the page before"));
    }
    models.extend(data.into_iter().map(|Item { id }| Model {
        id,
        owner: Some("anthropic".to_owned()),
        created: None,
    }));
    Ok(next)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pages_are_followed_by_their_last_id() {
        let mut models = Vec::new();
        let first = br#"{"data": [{"type": "model", "id": "a", "display_name": "A"}], "has_more": true,
            "first_id": "a", "last_id": "a"}"#;
        let next = read(first, None, &mut models).unwrap();
        assert_eq!(
            url("https://a/v1", next.as_deref()).unwrap(),
            "https://a/v1/models?limit=1000&after_id=a"
        );
        let last = br#"{"data": [{"id": "b"}], "has_more": false, "last_id": "b"}"#;
        assert!(read(last, next.as_deref(), &mut models).unwrap().is_none());
        let ids: Vec<_> = models.iter().map(|model| model.id.as_str()).collect();
        assert_eq!(ids, ["a", "b"]);
    }

    #[test]
    fn an_empty_page_is_the_last() {
        let body = br#"{"data": [], "has_more": true, "last_id": "a"}"#;
        assert!(read(body, None, &mut Vec::new()).unwrap().is_none());
    }

    #[test]
    fn a_page_that_leads_to_itself_is_malformed() {
        let body = br#"{"data": [{"id": "a"}], "has_more": true, "last_id": "a"}"#;
        let error = read(body, Some("a"), &mut Vec::new()).unwrap_err();
        assert!(matches!(error, Error::MalformedResponse(text) if text.contains("`last_id`")));
    }
}
