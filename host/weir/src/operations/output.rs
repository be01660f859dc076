//! Numbers and usage as JSON.

use serde_json::{Value, json};
use weir_runtime::types::Usage;

use super::error::Refusal;

/// A list of numbers, each in the shortest form that reads back as the same 32-bit float.
pub(super) fn numbers(name: &str, values: &[f32]) -> Result<Value, Refusal> {
    values
        .iter()
        .enumerate()
        .map(|(index, value)| number(&format_args!("{name}[{index}]"), *value))
        .collect()
}

/// One number.
pub(super) fn number(name: &dyn std::fmt::Display, value: f32) -> Result<Value, Refusal> {
    // A plain widening would print 0.1 as 0.10000000149011612.
    match value.to_string().parse::<f64>() {
        Ok(number) if number.is_finite() => Ok(number.into()),
        _ => Err(Refusal::Answer(format!("`{name}` is no finite number"))),
    }
}

/// What an operation consumed that writes nothing.
pub(super) fn input_usage(usage: &Usage) -> Value {
    json!({ "input_tokens": usage.input_tokens })
}
