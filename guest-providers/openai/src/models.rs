//! `GET /models`.

use serde::Deserialize;
use weir_guest::types::Error;
use weir_guest::{Request, json};

use crate::models_api::Model;

#[derive(Deserialize)]
struct Answer {
    data: Vec<Item>,
}

#[derive(Deserialize)]
struct Item {
    id: String,
    owned_by: Option<String>,
    created: Option<f64>,
}

pub(crate) fn request(base_url: &str) -> Request {
    Request::get(format!("{base_url}/models"))
        .operation("models")
        .replay_safe()
}

pub(crate) fn read(body: &[u8]) -> Result<Vec<Model>, Error> {
    let Answer { data } = json::read(body)?;
    let model = |item: Item| Model {
        id: item.id,
        owner: item.owned_by,
        created: item.created.map(|at| at as u64),
    };
    Ok(data.into_iter().map(model).collect())
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
}
