//! Conditions on payloads (<https://qdrant.tech/documentation/concepts/filtering/>).

use serde::Serialize;
use weir_guest::failure;
use weir_guest::types::Error;

use crate::substring::Substring;
use crate::vector_store::{self, Range, Test, Value};

#[derive(Default, Serialize)]
pub(crate) struct Filter<'a> {
    #[serde(skip_serializing_if = "Vec::is_empty")]
    must: Vec<Condition<'a>>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    should: Vec<Condition<'a>>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    must_not: Vec<Condition<'a>>,
}

#[derive(Serialize)]
#[serde(untagged)]
enum Condition<'a> {
    Match { key: &'a str, r#match: Match<'a> },
    Range { key: &'a str, range: Bounds },
    IsEmpty { is_empty: Field<'a> },
    Nested(Filter<'a>),
}

#[derive(Serialize)]
#[serde(rename_all = "lowercase")]
enum Match<'a> {
    Value(Scalar<'a>),
    Any(Vec<Scalar<'a>>),
    Text(&'a str),
    Substring(&'a str),
}

#[derive(Clone, Copy, Serialize)]
#[serde(untagged)]
enum Scalar<'a> {
    Text(&'a str),
    Integer(i64),
    Boolean(bool),
}

#[derive(Serialize)]
struct Bounds {
    #[serde(skip_serializing_if = "Option::is_none")]
    gt: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    gte: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    lt: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    lte: Option<f64>,
}

#[derive(Serialize)]
struct Field<'a> {
    key: &'a str,
}

/// Qdrant's words for `filter`; none for one without a condition, which would choose everything.
///
/// # Errors
/// `invalid-input` for a bound that is not finite.
pub(crate) fn filter(filter: &vector_store::Filter, substring: Substring) -> Result<Option<Filter<'_>>, Error> {
    let vector_store::Filter { must, should, must_not } = filter;
    if must.is_empty() && should.is_empty() && must_not.is_empty() {
        return Ok(None);
    }
    Ok(Some(Filter {
        must: all(must, substring)?,
        should: all(should, substring)?,
        must_not: all(must_not, substring)?,
    }))
}

fn all(conditions: &[vector_store::Condition], substring: Substring) -> Result<Vec<Condition<'_>>, Error> {
    conditions.iter().map(|asked| condition(asked, substring)).collect()
}

fn condition(condition: &vector_store::Condition, substring: Substring) -> Result<Condition<'_>, Error> {
    let key = condition.key.as_str();
    Ok(match &condition.test {
        Test::Equals(value) => Condition::Match {
            key,
            r#match: Match::Value(scalar(value)),
        },
        Test::AnyOf(values) => any_of(key, values),
        // Qdrant's `except` skips points without the field, which are to pass.
        Test::NoneOf(values) => Condition::Nested(Filter {
            must_not: vec![any_of(key, values)],
            ..Filter::default()
        }),
        Test::InRange(range) => Condition::Range {
            key,
            range: bounds(key, range)?,
        },
        Test::Contains(text) => Condition::Match {
            key,
            r#match: match substring {
                Substring::Text => Match::Text(text),
                Substring::Substring => Match::Substring(text),
            },
        },
        Test::IsEmpty => Condition::IsEmpty {
            is_empty: Field { key },
        },
    })
}

/// `any` takes texts or integers, not both, and no booleans; any of those is one of several conditions.
fn any_of<'a>(key: &'a str, values: &'a [Value]) -> Condition<'a> {
    let texts = values.iter().all(|value| matches!(value, Value::Text(_)));
    let integers = values.iter().all(|value| matches!(value, Value::Integer(_)));
    let values = values.iter().map(scalar);
    if texts || integers {
        return Condition::Match {
            key,
            r#match: Match::Any(values.collect()),
        };
    }
    let should = values
        .map(|value| Condition::Match {
            key,
            r#match: Match::Value(value),
        })
        .collect();
    Condition::Nested(Filter {
        should,
        ..Filter::default()
    })
}

fn bounds(key: &str, range: &Range) -> Result<Bounds, Error> {
    let Range { gt, gte, lt, lte } = *range;
    if [gt, gte, lt, lte].into_iter().flatten().any(|bound| !bound.is_finite()) {
        return Err(failure::refused(format!(
            "the filter on `{key}`: a bound is not finite"
        )));
    }
    Ok(Bounds { gt, gte, lt, lte })
}

fn scalar(value: &Value) -> Scalar<'_> {
    match value {
        Value::Text(text) => Scalar::Text(text),
        Value::Integer(integer) => Scalar::Integer(*integer),
        Value::Boolean(boolean) => Scalar::Boolean(*boolean),
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use serde_json::json;

    use super::*;

    /// A filter of one condition that must hold.
    pub(crate) fn must(key: &str, test: Test) -> vector_store::Filter {
        vector_store::Filter {
            must: vec![vector_store::Condition {
                key: key.to_owned(),
                test,
            }],
            should: vec![],
            must_not: vec![],
        }
    }

    fn written(test: Test) -> serde_json::Value {
        let filter_asked = must("k", test);
        let written = serde_json::to_value(filter(&filter_asked, Substring::Text).unwrap()).unwrap();
        written["must"][0].clone()
    }

    #[test]
    fn each_test_has_its_words() {
        let text = |text: &str| Value::Text(text.to_owned());
        assert_eq!(
            written(Test::Equals(text("a"))),
            json!({"key": "k", "match": {"value": "a"}})
        );
        assert_eq!(
            written(Test::Equals(Value::Integer(-2))),
            json!({"key": "k", "match": {"value": -2}})
        );
        assert_eq!(
            written(Test::Equals(Value::Boolean(true))),
            json!({"key": "k", "match": {"value": true}})
        );
        assert_eq!(
            written(Test::AnyOf(vec![text("a"), text("b")])),
            json!({"key": "k", "match": {"any": ["a", "b"]}})
        );
        assert_eq!(written(Test::AnyOf(vec![])), json!({"key": "k", "match": {"any": []}}));
        assert_eq!(
            written(Test::Contains("a".into())),
            json!({"key": "k", "match": {"text": "a"}})
        );
        let contains = must("k", Test::Contains("a".into()));
        let newer = serde_json::to_value(filter(&contains, Substring::Substring).unwrap()).unwrap();
        assert_eq!(newer["must"][0], json!({"key": "k", "match": {"substring": "a"}}));
        assert_eq!(written(Test::IsEmpty), json!({"is_empty": {"key": "k"}}));
        let range = Range {
            gt: None,
            gte: Some(1.0),
            lt: Some(2.5),
            lte: None,
        };
        assert_eq!(
            written(Test::InRange(range)),
            json!({"key": "k", "range": {"gte": 1.0, "lt": 2.5}})
        );
    }

    #[test]
    fn values_of_several_kinds_are_tried_one_by_one() {
        assert_eq!(
            written(Test::AnyOf(vec![Value::Text("a".into()), Value::Integer(1)])),
            json!({"should": [{"key": "k", "match": {"value": "a"}}, {"key": "k", "match": {"value": 1}}]})
        );
    }

    #[test]
    fn none_of_lets_points_without_the_field_pass() {
        assert_eq!(
            written(Test::NoneOf(vec![Value::Integer(1)])),
            json!({"must_not": [{"key": "k", "match": {"any": [1]}}]})
        );
    }

    #[test]
    fn a_filter_without_conditions_is_none() {
        let empty = vector_store::Filter {
            must: vec![],
            should: vec![],
            must_not: vec![],
        };
        assert!(filter(&empty, Substring::Text).unwrap().is_none());
    }

    #[test]
    fn a_bound_that_is_not_finite_is_refused() {
        let range = Range {
            gt: Some(f64::NAN),
            gte: None,
            lt: None,
            lte: None,
        };
        assert!(matches!(
            filter(&must("k", Test::InRange(range)), Substring::Text),
            Err(Error::InvalidInput(_))
        ));
    }
}
