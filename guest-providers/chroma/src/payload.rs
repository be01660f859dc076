//! Payloads as Chroma's metadata, and back.
//!
//! Metadata is flat: a field is a text, a number, a truth value, or a list of one of those. Such fields of a payload are
//! kept as they are, where any client of Chroma finds them. The others are kept twice: whole, as JSON in the field
//! [`REST`], from which they are read; and each part that a filter can test by its path (`author.name`).

use serde_json::{Map, Value};
use weir_guest::failure;
use weir_guest::types::Error;

/// The field that holds, as JSON, the fields of a payload that metadata can't.
const REST: &str = "weir:rest";

/// How the names begin that Chroma keeps for itself, or reads as something else, and ours.
const RESERVED: [&str; 4] = ["chroma:", "weir:", "#", "$"];

/// The metadata of a payload.
///
/// # Errors
/// `invalid-input` if it is no JSON object.
pub(crate) fn to_metadata(payload: &str, subject: &str) -> Result<Map<String, Value>, Error> {
    let payload: Value = serde_json::from_slice(payload.as_bytes())
        .map_err(|error| failure::refused(format!("{subject}: the payload is no JSON: {error}")))?;
    let Value::Object(fields) = payload else {
        return Err(failure::refused(format!("{subject}: the payload is not a JSON object")));
    };
    let mut metadata = Map::new();
    let mut rest = Map::new();
    for (name, value) in fields {
        if is_kept_whole(&name, &value) {
            metadata.insert(name, value);
        } else {
            add_parts(&mut metadata, &name, &value);
            rest.insert(name, value);
        }
    }
    if !rest.is_empty() {
        metadata.insert(REST.to_owned(), Value::String(Value::Object(rest).to_string()));
    }
    Ok(metadata)
}

/// The payload that metadata was made of. What another client wrote is a payload as it is.
///
/// # Errors
/// `malformed-response` if what is kept as JSON is none.
pub(crate) fn of_metadata(metadata: Value) -> Result<String, Error> {
    let mut metadata = match metadata {
        Value::Object(metadata) => metadata,
        // A record may have none.
        _ => Map::new(),
    };
    if let Some(rest) = metadata.remove(REST) {
        let rest = rest
            .as_str()
            .and_then(|rest| serde_json::from_slice(rest.as_bytes()).ok());
        let Some(Value::Object(rest)) = rest else {
            return Err(failure::malformed(format!("the field `{REST}` holds no JSON object")));
        };
        // Names with a point in them are parts of what is in the rest.
        metadata.retain(|name, _| !name.contains('.') && !rest.contains_key(name));
        metadata.extend(rest);
    }
    Ok(Value::Object(metadata).to_string())
}

/// Whether metadata gives the field back as it was.
fn is_kept_whole(name: &str, value: &Value) -> bool {
    let is_plain = !name.is_empty() && !name.contains('.') && !is_reserved(name);
    is_plain
        && match value {
            Value::Array(items) => is_list(items),
            value => is_scalar(value),
        }
}

fn is_reserved(name: &str) -> bool {
    RESERVED.iter().any(|start| name.starts_with(start))
}

/// What filters can test of a field, by its path.
fn add_parts(metadata: &mut Map<String, Value>, path: &str, value: &Value) {
    if path.is_empty() || is_reserved(path) {
        return;
    }
    match value {
        Value::Object(fields) => {
            for (name, value) in fields {
                add_parts(metadata, &format!("{path}.{name}"), value);
            }
        }
        Value::Array(items) if !is_list(items) => {}
        Value::Null => {}
        value => _ = metadata.insert(path.to_owned(), value.clone()),
    }
}

fn is_scalar(value: &Value) -> bool {
    match value {
        Value::String(_) | Value::Bool(_) => true,
        // A whole number beyond 63 bits becomes a float.
        Value::Number(number) => number.is_i64() || number.is_f64(),
        _ => false,
    }
}

/// Whether all items are scalars of one kind. An empty list is no field at all.
fn is_list(items: &[Value]) -> bool {
    let kind = |value: &Value| match value {
        Value::String(_) => 0,
        Value::Bool(_) => 1,
        Value::Number(number) if number.is_i64() => 2,
        _ => 3,
    };
    items
        .first()
        .is_some_and(|first| items.iter().all(|item| is_scalar(item) && kind(item) == kind(first)))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn written(payload: Value) -> Value {
        Value::Object(to_metadata(&payload.to_string(), "point 1").unwrap())
    }

    #[test]
    fn flat_fields_are_kept_as_they_are() {
        let flat = json!({"path": "a.rs", "line": 7, "score": 0.5, "whole": 1.0, "public": true, "tags": ["a", "b"]});
        assert_eq!(written(flat.clone()), flat);
    }

    #[test]
    fn what_metadata_cannot_hold_is_kept_as_json_and_its_parts_can_be_tested() {
        let payload = json!({"path": "a.rs", "author": {"name": "Ada", "born": {"year": 1815}}, "none": null});
        assert_eq!(
            written(payload),
            json!({
                "path": "a.rs", "author.name": "Ada", "author.born.year": 1815,
                "weir:rest": r#"{"author":{"born":{"year":1815},"name":"Ada"},"none":null}"#,
            })
        );
    }

    #[test]
    fn every_payload_comes_back_as_it_was() {
        for written in [
            json!({}),
            json!({"a": 1, "b": [1, 2], "c": "x"}),
            json!({"a": {"b": {"c": [1]}}, "d": 1}),
            json!({"a.b": 1, "a": {"b": 2}, "": 3}),
            json!({"$eq": 1, "chroma:document": "x", "weir:rest": "y", "#id": 2}),
            json!({"empty": [], "mixed": [1, "a"], "numbers": [1, 2.5], "null": null, "nested": [[1]]}),
            json!({"big": u64::MAX, "small": i64::MIN, "float": 1.0}),
        ] {
            let metadata = to_metadata(&written.to_string(), "point 1").unwrap();
            let read: Value = serde_json::from_str(&of_metadata(Value::Object(metadata)).unwrap()).unwrap();
            assert_eq!(read, written);
        }
        assert_eq!(of_metadata(Value::Null).unwrap(), "{}");
    }

    #[test]
    fn no_field_has_a_name_that_chroma_keeps_for_itself() {
        let metadata = written(json!({"$eq": 1, "chroma:document": "x", "#id": 2, "": 3}));
        assert_eq!(metadata.as_object().unwrap().keys().collect::<Vec<_>>(), [REST]);
    }

    #[test]
    fn what_another_client_wrote_is_a_payload() {
        let metadata = json!({"a.b": 1, "c": 2});
        assert_eq!(of_metadata(metadata).unwrap(), r#"{"a.b":1,"c":2}"#);
    }

    #[test]
    fn a_payload_that_is_no_object_is_refused() {
        for (payload, reason) in [("[]", "not a JSON object"), ("{", "no JSON")] {
            let Err(Error::InvalidInput(failure)) = to_metadata(payload, "point 1") else {
                panic!("taken")
            };
            assert!(failure.message.contains("point 1") && failure.message.contains(reason));
        }
    }
}
