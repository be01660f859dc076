//! Reading an operation's input: errors name the field, and what was perhaps meant.

use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use weir_runtime::types::SparseVector;

use super::error::Refusal;
use crate::suggest;

/// Reads the input into its type.
pub(super) fn read<T: DeserializeOwned>(input: Value) -> Result<T, Refusal> {
    // Serde would read a list as the fields in their order.
    if !input.is_object() {
        return Err(Refusal::input("expected a JSON object"));
    }
    serde_path_to_error::deserialize(input).map_err(|error| {
        let path = error.path().to_string();
        let message = with_suggestion(&error.inner().to_string());
        // Of an unknown field at the root, the path is the field itself.
        let at_root = path == "." || (message.starts_with("unknown field") && !path.contains(['.', '[']));
        Refusal::Input(if at_root {
            message
        } else {
            format!("`{path}`: {message}")
        })
    })
}

/// An input that has no fields.
pub(super) fn read_nothing(input: Value) -> Result<(), Refusal> {
    #[derive(Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Nothing {}
    if input.is_null() {
        Ok(())
    } else {
        read::<Nothing>(input).map(|_| ())
    }
}

/// Serde's sentence about an unknown field, with the nearest known one instead of them all.
fn with_suggestion(message: &str) -> String {
    let Some(rest) = message.strip_prefix("unknown field `") else {
        return message.to_owned();
    };
    let Some((field, rest)) = rest.split_once('`') else {
        return message.to_owned();
    };
    // `expected one of `a`, `b``: every second piece is a name.
    let known: Vec<&str> = rest.split('`').skip(1).step_by(2).collect();
    format!("unknown field `{field}`{}", suggest::ending(field, &known))
}

/// Refuses an empty list.
pub(super) fn filled<T>(name: &str, items: Vec<T>) -> Result<Vec<T>, Refusal> {
    if items.is_empty() {
        Err(Refusal::Input(format!("`{name}` is empty")))
    } else {
        Ok(items)
    }
}

/// Refuses a vector without numbers, or with numbers that a 32-bit float can't hold.
pub(super) fn vector(name: &str, values: Vec<f32>) -> Result<Vec<f32>, Refusal> {
    let values = filled(name, values)?;
    finite(name, &values)?;
    Ok(values)
}

/// Refuses a sparse vector whose lists don't match or which names an index twice.
pub(super) fn sparse(name: &str, vector: SparseJson) -> Result<SparseVector, Refusal> {
    let SparseJson { indices, values } = vector;
    if indices.len() != values.len() {
        let lengths = format!("{} indices and {} values", indices.len(), values.len());
        return Err(Refusal::Input(format!(
            "`{name}` has {lengths}; there must be as many of both"
        )));
    }
    finite(name, &values)?;
    let mut seen = std::collections::HashSet::with_capacity(indices.len());
    if let Some(index) = indices.iter().find(|index| !seen.insert(**index)) {
        return Err(Refusal::Input(format!("`{name}` names the index {index} twice")));
    }
    Ok(SparseVector { indices, values })
}

fn finite(name: &str, values: &[f32]) -> Result<(), Refusal> {
    match values.iter().position(|value| !value.is_finite()) {
        Some(index) => Err(Refusal::Input(format!(
            "`{name}[{index}]` is too large for a 32-bit float"
        ))),
        None => Ok(()),
    }
}

/// A sparse vector as JSON.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct SparseJson {
    indices: Vec<u32>,
    values: Vec<f32>,
}

/// A JSON value for a field that takes one of several types.
pub(super) fn expected<T, E: serde::de::Error>(what: &str, found: &Value) -> Result<T, E> {
    let found = match found {
        Value::Null => "null",
        Value::Bool(_) => "a truth value",
        Value::Number(_) => "a number",
        Value::String(_) => "a text",
        Value::Array(_) => "a list",
        Value::Object(_) => "an object",
    };
    Err(E::custom(format!("expected {what}, found {found}")))
}

/// Reads a part of the input inside another type's `Deserialize`.
pub(super) fn part<T: DeserializeOwned, E: serde::de::Error>(value: Value) -> Result<T, E> {
    T::deserialize(value).map_err(|error: serde_json::Error| E::custom(with_suggestion(&error.to_string())))
}

/// As [`part`] fails, where there is no value to name.
pub(super) fn custom<E: serde::de::Error>(message: &str) -> E {
    E::custom(message)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn sparse_vectors_must_be_well_formed() {
        let read = |value| sparse("sparse", serde_json::from_value(value).unwrap());
        assert!(read(json!({"indices": [1, 5], "values": [0.5, 1]})).is_ok());
        assert_eq!(
            read(json!({"indices": [1], "values": []})).unwrap_err(),
            Refusal::input("`sparse` has 1 indices and 0 values; there must be as many of both")
        );
        assert_eq!(
            read(json!({"indices": [7, 7], "values": [1, 2]})).unwrap_err(),
            Refusal::input("`sparse` names the index 7 twice")
        );
    }

    #[test]
    fn a_number_beyond_a_float_is_refused() {
        let values: Vec<f32> = serde_json::from_value(json!([1.0, 1e39])).unwrap();
        assert_eq!(
            vector("vector", values).unwrap_err(),
            Refusal::input("`vector[1]` is too large for a 32-bit float")
        );
    }
}
