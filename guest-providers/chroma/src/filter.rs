//! Conditions on metadata (<https://docs.trychroma.com/docs/querying-collections/metadata-filtering>).
//!
//! Chroma's `$nin`, `$ne` and `$not_contains` let records pass that lack the field, as `none-of` wants. It has no
//! negation, so what is left out is the opposite test, where there is one.

use serde_json::{Value as Json, json};
use weir_guest::failure;
use weir_guest::types::Error;

use crate::vector_store::{Condition, Filter, Range, Test, Value};

/// Chroma's words for `filter`; none for one without a condition, which would choose everything.
///
/// # Errors
/// `unsupported` for a test Chroma has not; `invalid-input` for a bound that is not finite.
pub(crate) fn filter(filter: &Filter) -> Result<Option<Json>, Error> {
    let Filter { must, should, must_not } = filter;
    let mut all = must.iter().map(holds).collect::<Result<Vec<_>, _>>()?;
    if !should.is_empty() {
        let any = should.iter().map(holds).collect::<Result<Vec<_>, _>>()?;
        all.push(json!({ "$or": any }));
    }
    for condition in must_not {
        all.push(holds_not(condition)?);
    }
    Ok((!all.is_empty()).then(|| json!({ "$and": all })))
}

fn holds(Condition { key, test }: &Condition) -> Result<Json, Error> {
    match test {
        Test::Equals(value) => Ok(any_of(key, std::slice::from_ref(value))),
        Test::AnyOf(values) => Ok(any_of(key, values)),
        Test::NoneOf(values) => Ok(none_of(key, values)),
        Test::InRange(range) => in_range(key, range),
        Test::Contains(_) | Test::IsEmpty => Err(lacks(test)),
    }
}

fn holds_not(Condition { key, test }: &Condition) -> Result<Json, Error> {
    match test {
        Test::Equals(value) => Ok(none_of(key, std::slice::from_ref(value))),
        Test::AnyOf(values) => Ok(none_of(key, values)),
        Test::NoneOf(values) => Ok(any_of(key, values)),
        Test::InRange(_) => Err(Error::Unsupported(
            "Chroma can't leave out what is in a range: ask for the ranges beside it".to_owned(),
        )),
        Test::Contains(_) | Test::IsEmpty => Err(lacks(test)),
    }
}

/// An empty `$or` lets nothing through, an empty `$and` everything.
fn any_of(key: &str, values: &[Value]) -> Json {
    json!({ "$or": tests(key, values, "$in", "$contains") })
}

fn none_of(key: &str, values: &[Value]) -> Json {
    json!({ "$and": tests(key, values, "$nin", "$not_contains") })
}

/// The values in a list for each of their kinds, which is all a list may have; and each as an element of the field.
fn tests(key: &str, values: &[Value], listed: &str, element: &str) -> Vec<Json> {
    let mut kinds: [Vec<Json>; 3] = Default::default();
    let [texts, integers, booleans] = &mut kinds;
    for value in values {
        match value {
            Value::Text(text) => texts.push(text.as_str().into()),
            Value::Integer(integer) => integers.push((*integer).into()),
            Value::Boolean(boolean) => booleans.push((*boolean).into()),
        }
    }
    let mut tests = Vec::new();
    for values in kinds.into_iter().filter(|values| !values.is_empty()) {
        tests.extend(values.iter().map(|value| test(key, element, value)));
        tests.push(test(key, listed, &values));
    }
    tests
}

fn in_range(key: &str, range: &Range) -> Result<Json, Error> {
    let Range { gt, gte, lt, lte } = *range;
    let bounds = [("$gt", gt), ("$gte", gte), ("$lt", lt), ("$lte", lte)];
    let mut all = Vec::new();
    for (word, bound) in bounds {
        let Some(bound) = bound else { continue };
        if !bound.is_finite() {
            return Err(failure::refused(format!(
                "the filter on `{key}`: a bound is not finite"
            )));
        }
        all.push(test(key, word, &bound));
    }
    if all.is_empty() {
        // Any number.
        all.push(test(key, "$gte", &f64::MIN));
    }
    Ok(json!({ "$and": all }))
}

fn test(key: &str, word: &str, value: &impl serde::Serialize) -> Json {
    json!({ key: { word: value } })
}

fn lacks(test: &Test) -> Error {
    let what = match test {
        Test::IsEmpty => "a field that is missing (`is-empty`)",
        _ => "a part of a text (`contains`)",
    };
    Error::Unsupported(format!("Chroma's metadata can't be searched for {what}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn condition(test: Test) -> Condition {
        Condition {
            key: "k".to_owned(),
            test,
        }
    }

    fn text(text: &str) -> Value {
        Value::Text(text.to_owned())
    }

    fn range(gte: Option<f64>, lt: Option<f64>) -> Test {
        Test::InRange(Range {
            gt: None,
            gte,
            lt,
            lte: None,
        })
    }

    fn written(must: Vec<Test>, should: Vec<Test>, must_not: Vec<Test>) -> Result<Option<Json>, Error> {
        let all = |tests: Vec<Test>| tests.into_iter().map(condition).collect();
        filter(&Filter {
            must: all(must),
            should: all(should),
            must_not: all(must_not),
        })
    }

    fn one(test: Test) -> Json {
        written(vec![test], vec![], vec![]).unwrap().unwrap()["$and"][0].clone()
    }

    #[test]
    fn each_test_has_its_words() {
        assert_eq!(
            one(Test::Equals(text("a"))),
            json!({"$or": [{"k": {"$contains": "a"}}, {"k": {"$in": ["a"]}}]})
        );
        assert_eq!(
            one(Test::NoneOf(vec![Value::Integer(1), Value::Boolean(true)])),
            json!({"$and": [
                {"k": {"$not_contains": 1}}, {"k": {"$nin": [1]}}, {"k": {"$not_contains": true}}, {"k": {"$nin": [true]}},
            ]})
        );
        assert_eq!(
            one(range(Some(1.0), Some(2.5))),
            json!({"$and": [{"k": {"$gte": 1.0}}, {"k": {"$lt": 2.5}}]})
        );
        assert_eq!(one(Test::AnyOf(vec![])), json!({"$or": []}));
    }

    #[test]
    fn what_is_left_out_is_the_opposite_test() {
        let filter = written(
            vec![],
            vec![Test::Equals(Value::Integer(1)), range(None, Some(0.0))],
            vec![Test::Equals(text("a"))],
        );
        assert_eq!(
            filter.unwrap().unwrap(),
            json!({"$and": [
                {"$or": [
                    {"$or": [{"k": {"$contains": 1}}, {"k": {"$in": [1]}}]},
                    {"$and": [{"k": {"$lt": 0.0}}]},
                ]},
                {"$and": [{"k": {"$not_contains": "a"}}, {"k": {"$nin": ["a"]}}]},
            ]})
        );
    }

    #[test]
    fn a_filter_without_conditions_is_none() {
        assert!(written(vec![], vec![], vec![]).unwrap().is_none());
    }

    #[test]
    fn what_chroma_cannot_test_is_told() {
        let unsupported = |written: Result<Option<Json>, Error>| match written {
            Err(Error::Unsupported(text)) => text,
            other => panic!("{other:?}"),
        };
        let contains = || Test::Contains("a".to_owned());
        assert!(unsupported(written(vec![contains()], vec![], vec![])).contains("`contains`"));
        assert!(unsupported(written(vec![], vec![], vec![Test::IsEmpty])).contains("`is-empty`"));
        assert!(unsupported(written(vec![], vec![], vec![range(None, Some(1.0))])).contains("range"));
        assert!(matches!(
            written(vec![range(None, Some(f64::NAN))], vec![], vec![]),
            Err(Error::InvalidInput(_))
        ));
    }
}
