//! Vectors as providers write them.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;

/// An array of numbers, or base64 of little-endian 32-bit floats.
pub(super) fn floats(written: &Value) -> Value {
    match packed(written) {
        Some(bytes) => {
            let (floats, _) = bytes.as_chunks();
            floats
                .iter()
                .map(|bytes| f32::from_le_bytes(*bytes))
                .collect::<Vec<_>>()
                .into()
        }
        None => written.clone(),
    }
}

/// An array of numbers, or base64 of signed bytes.
pub(super) fn signed_bytes(written: &Value) -> Value {
    match packed(written) {
        Some(bytes) => bytes.iter().map(|byte| byte.cast_signed()).collect::<Vec<_>>().into(),
        None => written.clone(),
    }
}

fn packed(written: &Value) -> Option<Vec<u8>> {
    STANDARD.decode(written.as_str()?).ok()
}

/// The list's items in the order of their `index`, where they have one.
pub(super) fn in_order(items: &Value) -> Vec<&Value> {
    let mut items: Vec<&Value> = items.as_array().into_iter().flatten().collect();
    items.sort_by_key(|item| item["index"].as_u64());
    items
}

/// As many texts as were embedded: those that were asked for, where they are texts.
pub(super) fn inputs(asked: &Value, answered: usize) -> Value {
    match asked {
        Value::String(text) => vec![text.clone()].into(),
        Value::Array(items) if !items.is_empty() && items.iter().all(Value::is_string) => asked.clone(),
        _ => vec!["a text"; answered.max(1)].into(),
    }
}

/// As many documents as were ranked, at least: those that were asked for, where there are any.
pub(super) fn documents(asked: &Value, results: &Value) -> Value {
    if let Value::Array(documents) = asked {
        let texts = documents.iter().map(|document| {
            let text = super::first(&[&document["text"], document]).and_then(Value::as_str);
            Value::from(text.unwrap_or("a text"))
        });
        return texts.collect();
    }
    let results = results.as_array().into_iter().flatten();
    let most = results.filter_map(|result| result["index"].as_u64()).max();
    (0..=most.unwrap_or(0))
        .map(|index| Value::from(format!("text {index}")))
        .collect()
}

/// A ranking, best first, each with the score's field.
pub(super) fn ranking(results: &Value, score: &str) -> Value {
    let mut results: Vec<&Value> = results.as_array().into_iter().flatten().collect();
    results.sort_by(|left, right| {
        let score = |result: &Value| result[score].as_f64().unwrap_or_default();
        score(right).total_cmp(&score(left))
    });
    let ranked = |result: &&Value| serde_json::json!({ "index": result["index"], "score": result[score] });
    results.iter().map(ranked).collect()
}
