//! `GET /info`: the one model that is served.

use serde::Deserialize;
use weir_guest::types::Error;
use weir_guest::{Request, json};

use crate::models_api::Model;

#[derive(Deserialize)]
struct Info {
    model_id: String,
}

pub(crate) fn request(base_url: &str) -> Request {
    Request::get(format!("{base_url}/info"))
}

pub(crate) fn read(body: &[u8]) -> Result<Vec<Model>, Error> {
    let Info { model_id } = json::read(body)?;
    Ok(vec![Model {
        id: model_id,
        owner: None,
        created: None,
    }])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_served_model_is_the_only_one() {
        let models = read(br#"{"model_id": "BAAI/bge-m3", "model_dtype": "float16", "version": "1.8.0"}"#).unwrap();
        assert_eq!((models.len(), models[0].id.as_str()), (1, "BAAI/bge-m3"));
    }
}
