//! `GET /models`.

use serde::Deserialize;
use weir_guest::types::Error;
use weir_guest::{Request, json};

use crate::{API_KEY, Adapter, BASE_URL, models};

#[derive(Deserialize)]
struct Answer {
    data: Vec<Item>,
}

#[derive(Deserialize)]
struct Item {
    id: String,
}

impl models::Guest for Adapter {
    async fn list_models() -> Result<Vec<models::Model>, Error> {
        let answer = Request::get(format!("{}/models", BASE_URL.url()?))
            .operation("models")
            .bearer(API_KEY)
            .replay_safe()
            .send()
            .await?;
        read(answer.body())
    }
}

fn read(body: &[u8]) -> Result<Vec<models::Model>, Error> {
    let Answer { data } = json::read(body)?;
    let model = |item: Item| models::Model {
        id: item.id,
        owner: None,
        created: None,
    };
    Ok(data.into_iter().map(model).collect())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn models_are_listed_by_id() {
        let body = br#"{"data": [{"id": "a", "object": "model"}]}"#;
        assert_eq!(read(body).unwrap()[0].id, "a");
    }
}
