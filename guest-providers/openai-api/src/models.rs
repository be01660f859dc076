//! `GET /models`.

use serde::Deserialize;
use weir_guest::types::Error;
use weir_guest::{Request, json};

/// The contract's record of a model. See the interface `models`.
#[derive(Debug, Clone)]
pub struct Model {
    /// Its name.
    pub id: String,
    /// Whose it is.
    pub owner: Option<String>,
    /// Seconds since 1970.
    pub created: Option<u64>,
}

#[derive(Deserialize)]
struct Page {
    data: Vec<Item>,
}

#[derive(Deserialize)]
struct Item {
    id: String,
    owned_by: Option<String>,
    /// What together calls it, and GitHub.
    #[serde(alias = "publisher")]
    organization: Option<String>,
    created: Option<f64>,
}

/// A request to `url`, which ends with the path.
pub fn request(url: String) -> Request {
    Request::get(url).operation("models").replay_safe()
}

/// # Errors
/// `malformed-response`, naming the place.
pub fn read(body: &[u8]) -> Result<Vec<Model>, Error> {
    // together lists its models without anything around them.
    let items = if body.trim_ascii_start().starts_with(b"[") {
        json::read(body)?
    } else {
        json::read::<Page>(body)?.data
    };
    let model = |item: Item| Model {
        id: item.id,
        owner: item.owned_by.or(item.organization),
        created: item.created.map(|at| at as u64),
    };
    Ok(items.into_iter().map(model).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn models_are_listed_with_what_is_told_of_them() {
        let body = br#"{"object": "list", "data": [
            {"id": "gpt-4o-mini", "object": "model", "created": 1721172741, "owned_by": "system"}, {"id": "mine"}]}"#;
        let models = read(body).unwrap();
        assert_eq!(models[0].created, Some(1_721_172_741));
        assert_eq!(models[0].owner.as_deref(), Some("system"));
        assert_eq!((models[1].id.as_str(), models[1].created), ("mine", None));
    }

    #[test]
    fn a_list_alone_is_one_of_models() {
        let body = br#" [{"id": "a/b", "object": "model", "created": 0, "type": "chat", "organization": "A"}]"#;
        let models = read(body).unwrap();
        assert_eq!((models[0].id.as_str(), models[0].owner.as_deref()), ("a/b", Some("A")));
    }
}
