//! Which points a filter of the contract lets through.
//!
//! A list passes a test if one of its elements does; `none-of` is the opposite of `any-of`, so no element may be one of
//! the values. A number with a fraction equals no integer.

use weir_guest::Error;

use crate::error::invalid;
use crate::fields::{self, Field};
use crate::payload::{self, Json};
use crate::vector_store::{Condition, Filter, Range, Test, Value};

/// Whether the filter has no condition, and so lets everything through.
pub fn is_empty(filter: &Filter) -> bool {
    filter.must.is_empty() && filter.should.is_empty() && filter.must_not.is_empty()
}

/// Refuses a filter that can't be meant: a condition on no field, or a bound that is no number.
pub fn check(filter: &Filter) -> Result<(), Error> {
    for condition in filter.must.iter().chain(&filter.should).chain(&filter.must_not) {
        if condition.key.is_empty() {
            return Err(invalid(
                "a condition of the filter has an empty `key`: name the payload's field",
            ));
        }
        if let Test::InRange(Range { gt, gte, lt, lte }) = &condition.test
            && [gt, gte, lt, lte].into_iter().flatten().any(|bound| bound.is_nan())
        {
            return Err(invalid(format!(
                "a bound of the range of `{}` is not a number",
                condition.key
            )));
        }
    }
    Ok(())
}

/// Whether a point passes: all of `must`, one of `should` if there are any, none of `must-not`.
///
/// # Errors
/// Those of `payload`, which is asked for where a condition is on what the fields leave out.
pub fn passes(
    filter: &Filter,
    fields: &[u8],
    payload: &mut dyn FnMut() -> Result<String, Error>,
) -> Result<bool, Error> {
    for condition in &filter.must {
        if !holds(condition, fields, payload)? {
            return Ok(false);
        }
    }
    for condition in &filter.must_not {
        if holds(condition, fields, payload)? {
            return Ok(false);
        }
    }
    for condition in &filter.should {
        if holds(condition, fields, payload)? {
            return Ok(true);
        }
    }
    Ok(filter.should.is_empty())
}

fn holds(
    condition: &Condition,
    fields: &[u8],
    payload: &mut dyn FnMut() -> Result<String, Error>,
) -> Result<bool, Error> {
    let Condition { key, test } = condition;
    let name = key.split('.').next().unwrap_or_default();
    Ok(match fields::find(fields, name) {
        Field::Absent => holds_of(None, test),
        Field::LeftOut => holds_of(payload::field(&payload()?, key).as_ref(), test),
        Field::Is(value) => match (key.get(name.len() + 1..), plain_text(value)) {
            (None, Some(text)) => holds_of_text(text, test),
            (None, None) => holds_of(serde_json::from_str(value).ok().as_ref(), test),
            (Some(rest), _) => holds_of(payload::field(value, rest).as_ref(), test),
        },
    })
}

/// The text that a JSON value is, if it is one and has no escapes: most that a filter asks for are, and need no reading.
fn plain_text(value: &str) -> Option<&str> {
    let text = value.strip_prefix('"')?.strip_suffix('"')?;
    (!text.contains('\\')).then_some(text)
}

fn holds_of(field: Option<&Json>, test: &Test) -> bool {
    let one = |test: &dyn Fn(&Json) -> bool| match field {
        Some(Json::List(elements)) => elements.iter().any(test),
        Some(value) => test(value),
        None => false,
    };
    let any_of = |values: &[Value]| one(&|field| values.iter().any(|value| equals(field, value)));
    match test {
        Test::Equals(value) => one(&|field| equals(field, value)),
        Test::AnyOf(values) => any_of(values),
        Test::NoneOf(values) => !any_of(values),
        Test::InRange(range) => one(&|field| matches!(field, Json::Number(number, _) if is_in(*number, range))),
        Test::Contains(text) => one(&|field| matches!(field, Json::Text(field) if field.contains(text.as_str()))),
        Test::IsEmpty => match field {
            None | Some(Json::Null) => true,
            Some(Json::List(elements)) => elements.is_empty(),
            Some(_) => false,
        },
    }
}

fn holds_of_text(field: &str, test: &Test) -> bool {
    let is = |value: &Value| matches!(value, Value::Text(text) if text == field);
    match test {
        Test::Equals(value) => is(value),
        Test::AnyOf(values) => values.iter().any(is),
        Test::NoneOf(values) => !values.iter().any(is),
        Test::Contains(text) => field.contains(text.as_str()),
        Test::InRange(_) | Test::IsEmpty => false,
    }
}

fn equals(field: &Json, value: &Value) -> bool {
    match (field, value) {
        (Json::Text(field), Value::Text(text)) => field == text,
        (Json::Number(_, Some(field)), Value::Integer(number)) => field == number,
        (Json::Boolean(field), Value::Boolean(boolean)) => field == boolean,
        _ => false,
    }
}

fn is_in(number: f64, range: &Range) -> bool {
    let Range { gt, gte, lt, lte } = range;
    gt.is_none_or(|bound| number > bound)
        && gte.is_none_or(|bound| number >= bound)
        && lt.is_none_or(|bound| number < bound)
        && lte.is_none_or(|bound| number <= bound)
}

#[cfg(test)]
mod tests {
    use super::*;

    const PAYLOAD: &str = r#"{
        "path": "src/pool.rs", "lines": 40, "ratio": 0.5, "public": true, "symbol": null, "tags": ["net", "http"],
        "none": [], "at": {"commit": "abc", "days": [1, 8]}
    }"#;

    fn condition(key: &str, test: Test) -> Condition {
        Condition {
            key: key.to_owned(),
            test,
        }
    }

    /// Whether the condition holds of [`PAYLOAD`], be a field kept or left out.
    fn holds(key: &str, test: Test) -> bool {
        let condition = condition(key, test);
        let holds = |fields: &[u8]| super::holds(&condition, fields, &mut || Ok(PAYLOAD.to_owned())).unwrap();
        let kept = holds(&fields::encode(PAYLOAD).unwrap());
        assert_eq!(holds(&[255]), kept);
        kept
    }

    fn passes(filter: &Filter) -> bool {
        let fields = fields::encode(PAYLOAD).unwrap();
        super::passes(filter, &fields, &mut || panic!("the fields are enough")).unwrap()
    }

    fn text(text: &str) -> Value {
        Value::Text(text.to_owned())
    }

    fn range(gt: Option<f64>, gte: Option<f64>, lt: Option<f64>, lte: Option<f64>) -> Test {
        Test::InRange(Range { gt, gte, lt, lte })
    }

    #[test]
    fn a_field_equals_a_value_of_its_own_type() {
        assert!(holds("path", Test::Equals(text("src/pool.rs"))));
        assert!(holds("lines", Test::Equals(Value::Integer(40))));
        assert!(holds("public", Test::Equals(Value::Boolean(true))));
        assert!(!holds("lines", Test::Equals(text("40"))));
        assert!(!holds("ratio", Test::Equals(Value::Integer(0))));
        assert!(!holds("symbol", Test::Equals(text("null"))));
        assert!(!holds("missing", Test::Equals(Value::Boolean(false))));
    }

    #[test]
    fn a_dotted_key_leads_into_objects() {
        assert!(holds("at.commit", Test::Equals(text("abc"))));
        assert!(!holds("at.commit.x", Test::Equals(text("abc"))));
    }

    #[test]
    fn a_list_passes_if_one_element_does() {
        assert!(holds("tags", Test::Equals(text("http"))));
        assert!(holds("tags", Test::AnyOf(vec![text("x"), text("net")])));
        assert!(holds("tags", Test::Contains("tt".to_owned())));
        assert!(holds("at.days", range(Some(7.0), None, None, None)));
        assert!(!holds("tags", Test::Equals(text("tcp"))));
    }

    #[test]
    fn none_of_is_the_opposite_of_any_of() {
        assert!(holds("path", Test::NoneOf(vec![text("a"), text("b")])));
        assert!(holds("missing", Test::NoneOf(vec![text("a")])));
        assert!(holds("none", Test::NoneOf(vec![text("a")])));
        assert!(!holds("tags", Test::NoneOf(vec![text("net")])));
        assert!(!holds("missing", Test::AnyOf(vec![text("a")])));
        assert!(!holds("path", Test::AnyOf(vec![])));
    }

    #[test]
    fn a_range_holds_at_its_closed_ends_alone() {
        assert!(holds("lines", range(None, Some(40.0), None, Some(40.0))));
        assert!(!holds("lines", range(Some(40.0), None, None, None)));
        assert!(!holds("lines", range(None, None, Some(40.0), None)));
        assert!(holds("ratio", range(Some(0.0), None, Some(1.0), None)));
        assert!(!holds("path", range(Some(0.0), None, None, None)));
    }

    #[test]
    fn contains_regards_the_case() {
        assert!(holds("path", Test::Contains("pool".to_owned())));
        assert!(!holds("path", Test::Contains("Pool".to_owned())));
    }

    #[test]
    fn missing_null_and_the_empty_list_are_empty() {
        for key in ["missing", "symbol", "none", "path.x"] {
            assert!(holds(key, Test::IsEmpty), "{key}");
        }
        for key in ["path", "tags", "at", "public"] {
            assert!(!holds(key, Test::IsEmpty), "{key}");
        }
    }

    #[test]
    fn all_of_must_one_of_should_and_none_of_must_not() {
        let yes = || condition("public", Test::Equals(Value::Boolean(true)));
        let no = || condition("public", Test::Equals(Value::Boolean(false)));
        let filter = |must, should, must_not| Filter { must, should, must_not };

        assert!(passes(&filter(vec![], vec![], vec![])));
        assert!(passes(&filter(vec![yes(), yes()], vec![no(), yes()], vec![no()])));
        assert!(!passes(&filter(vec![yes(), no()], vec![], vec![])));
        assert!(!passes(&filter(vec![], vec![no(), no()], vec![])));
        assert!(!passes(&filter(vec![yes()], vec![yes()], vec![yes()])));
    }

    #[test]
    fn a_condition_that_can_not_be_meant_is_refused() {
        let refused = |condition| {
            check(&Filter {
                must: vec![],
                should: vec![],
                must_not: vec![condition],
            })
            .is_err()
        };
        assert!(refused(condition("", Test::IsEmpty)));
        assert!(refused(condition("lines", range(None, Some(f64::NAN), None, None))));
        assert!(!refused(condition("lines", range(None, Some(0.0), None, None))));
    }
}
