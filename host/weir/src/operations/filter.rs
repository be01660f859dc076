//! A store's filter as JSON: `{"must": [{"key": "language", "equals": "rust"}], "should": […], "must_not": […]}`.
//!
//! | test | holds where the field |
//! |---|---|
//! | `equals: V` | is V, or has an element that is |
//! | `any: [V]` | is one of these |
//! | `none: [V]` | is none of these, or missing |
//! | `range: {gt?, gte?, lt?, lte?}` | is a number in the range |
//! | `contains: "text"` | is a text with this in it |
//! | `is_empty: true` | is missing, null or an empty list |
//!
//! V is a text, a whole number or a truth value.

use serde::{Deserialize, Deserializer};
use weir_runtime::vector_store::{Condition, Filter, Range, Test, Value};

use super::error::Refusal;
use super::input::expected;

/// A filter as JSON.
#[derive(Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[derive(Default)]
pub(super) struct FilterJson {
    must: Vec<ConditionJson>,
    should: Vec<ConditionJson>,
    must_not: Vec<ConditionJson>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct ConditionJson {
    key: String,
    equals: Option<ValueJson>,
    any: Option<Vec<ValueJson>>,
    none: Option<Vec<ValueJson>>,
    range: Option<RangeJson>,
    contains: Option<String>,
    is_empty: Option<bool>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct RangeJson {
    gt: Option<f64>,
    gte: Option<f64>,
    lt: Option<f64>,
    lte: Option<f64>,
}

#[derive(Debug)]
struct ValueJson(Value);

impl<'de> Deserialize<'de> for ValueJson {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        use serde_json::Value as Json;
        let json = Json::deserialize(deserializer)?;
        let value = match &json {
            Json::String(text) => Value::Text(text.clone()),
            Json::Bool(value) => Value::Boolean(*value),
            Json::Number(number) => match number.as_i64() {
                Some(integer) => Value::Integer(integer),
                None => return expected("a whole number (use `range` for others)", &json),
            },
            other => return expected("a text, a whole number or a truth value", other),
        };
        Ok(ValueJson(value))
    }
}

/// Reads a filter. One without conditions is none.
pub(super) fn filter(json: FilterJson) -> Result<Option<Filter>, Refusal> {
    let filter = Filter {
        must: conditions(json.must)?,
        should: conditions(json.should)?,
        must_not: conditions(json.must_not)?,
    };
    let empty = filter.must.is_empty() && filter.should.is_empty() && filter.must_not.is_empty();
    Ok((!empty).then_some(filter))
}

fn conditions(conditions: Vec<ConditionJson>) -> Result<Vec<Condition>, Refusal> {
    conditions.into_iter().map(condition).collect()
}

fn condition(json: ConditionJson) -> Result<Condition, Refusal> {
    let ConditionJson {
        key,
        equals,
        any,
        none,
        range,
        contains,
        is_empty,
    } = json;
    if key.is_empty() {
        return Err(Refusal::input("a condition's `key` is empty"));
    }
    let values = |values: Vec<ValueJson>| values.into_iter().map(|value| value.0).collect();
    let refuse = |message: &str| Err(Refusal::Input(format!("the condition on `{key}` {message}")));
    let is_empty = match is_empty {
        Some(false) => return refuse("has `is_empty: false`; put `is_empty: true` under `must_not`"),
        given => given.map(|_| Test::IsEmpty),
    };
    if let Some(RangeJson {
        gt: None,
        gte: None,
        lt: None,
        lte: None,
    }) = range
    {
        return refuse("has a range without a bound");
    }
    let mut tests = [
        equals.map(|value| Test::Equals(value.0)),
        any.map(|any| Test::AnyOf(values(any))),
        none.map(|none| Test::NoneOf(values(none))),
        range.map(|range| {
            Test::InRange(Range {
                gt: range.gt,
                gte: range.gte,
                lt: range.lt,
                lte: range.lte,
            })
        }),
        contains.map(Test::Contains),
        is_empty,
    ]
    .into_iter()
    .flatten();
    match (tests.next(), tests.next()) {
        (Some(test), None) => Ok(Condition { key, test }),
        (None, _) => refuse("has no test; give one of `equals`, `any`, `none`, `range`, `contains`, `is_empty`"),
        (Some(_), Some(_)) => refuse("has several tests; write one condition for each"),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::input::read;
    use super::*;

    fn parse(json: serde_json::Value) -> Result<Option<Filter>, Refusal> {
        filter(read(json)?)
    }

    #[test]
    fn every_test_is_read() {
        let filter = parse(json!({
            "must": [
                {"key": "language", "equals": "rust"},
                {"key": "n", "range": {"gte": 1, "lt": 2.5}},
                {"key": "path", "any": ["a", "b"]},
                {"key": "text", "contains": "x"},
            ],
            "should": [{"key": "n", "equals": 3}, {"key": "ok", "equals": true}],
            "must_not": [{"key": "tag", "none": [1]}, {"key": "gone", "is_empty": true}],
        }))
        .unwrap()
        .unwrap();

        assert!(matches!(&filter.must[0].test, Test::Equals(Value::Text(text)) if text == "rust"));
        assert!(matches!(
            filter.must[1].test,
            Test::InRange(Range {
                gt: None,
                gte: Some(1.0),
                lt: Some(2.5),
                lte: None
            })
        ));
        assert!(matches!(&filter.must[2].test, Test::AnyOf(values) if values.len() == 2));
        assert!(matches!(&filter.must[3].test, Test::Contains(text) if text == "x"));
        assert!(matches!(filter.should[0].test, Test::Equals(Value::Integer(3))));
        assert!(matches!(filter.should[1].test, Test::Equals(Value::Boolean(true))));
        assert!(matches!(&filter.must_not[0].test, Test::NoneOf(values) if values.len() == 1));
        assert!(matches!(filter.must_not[1].test, Test::IsEmpty));
    }

    #[test]
    fn wrong_conditions_are_named() {
        for (condition, expected) in [
            (json!({"key": "a"}), "the condition on `a` has no test"),
            (
                json!({"key": "a", "equals": 1, "contains": "x"}),
                "the condition on `a` has several tests",
            ),
            (
                json!({"key": "a", "range": {}}),
                "the condition on `a` has a range without a bound",
            ),
            (
                json!({"key": "a", "equals": 1.5}),
                "`must[0].equals`: expected a whole number (use `range` for others)",
            ),
            (
                json!({"key": "a", "equal": 1}),
                "`must[0].equal`: unknown field `equal`; did you mean `equals`?",
            ),
        ] {
            let Refusal::Input(message) = parse(json!({"must": [condition]})).unwrap_err() else {
                panic!("an answer")
            };
            assert!(message.starts_with(expected), "{message}");
        }
    }

    #[test]
    fn a_filter_without_conditions_is_none() {
        assert!(parse(json!({})).unwrap().is_none());
        assert!(parse(json!({"must": []})).unwrap().is_none());
    }
}
