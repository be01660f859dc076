//! `models`.

use serde_json::{Map, Value, json};
use weir_runtime::models::Model;

use super::error::Refusal;
use super::input::read_nothing;

/// Reads `{}`.
pub(super) fn request(input: Value) -> Result<(), Refusal> {
    read_nothing(input)
}

/// Writes `{models: [{id, owner?, created?}]}`.
pub(super) fn response(models: &[Model]) -> Value {
    let models: Vec<Value> = models
        .iter()
        .map(|model| {
            let mut fields = Map::from_iter([("id".to_owned(), json!(model.id))]);
            fields.extend(model.owner.as_ref().map(|owner| ("owner".to_owned(), json!(owner))));
            fields.extend(model.created.map(|created| ("created".to_owned(), json!(created))));
            Value::Object(fields)
        })
        .collect();
    json!({ "models": models })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_provider_does_not_tell_is_left_out() {
        let model = Model {
            id: "m".into(),
            owner: None,
            created: Some(1),
        };
        assert_eq!(response(&[model]), json!({"models": [{"id": "m", "created": 1}]}));
        assert!(request(json!({})).is_ok());
        assert!(request(json!({"id": "m"})).is_err());
    }
}
