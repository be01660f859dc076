//! Whether a point satisfies a filter.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

use super::{Bounds, Condition, FieldCondition, Filter, Match, OneOrMany, Scalar, Scalars};
use crate::store::{payload::values_at, point::Point};

/// The keys with a full-text index, which changes what `match.text` means there.
pub(crate) type TextIndexes = BTreeMap<String, TextIndex>;

/// How an indexed text is cut into tokens.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct TextIndex {
    pub(crate) lowercase: bool,
    pub(crate) shortest: usize,
    pub(crate) longest: usize,
    pub(crate) phrases: bool,
}

impl TextIndex {
    fn tokens(&self, text: &str) -> Vec<String> {
        text.split(|c: char| !c.is_alphanumeric())
            .map(|word| {
                if self.lowercase {
                    word.to_lowercase()
                } else {
                    word.to_owned()
                }
            })
            .filter(|word| !word.is_empty() && (self.shortest..=self.longest).contains(&word.chars().count()))
            .collect()
    }
}

/// What is being judged: a point, or an element of a nested array in one.
struct Subject<'a> {
    point: &'a Point,
    payload: &'a Map<String, Value>,
}

impl Filter {
    /// Whether the point satisfies every clause.
    pub(crate) fn matches(&self, point: &Point, texts: &TextIndexes) -> bool {
        self.holds(
            &Subject {
                point,
                payload: &point.payload,
            },
            texts,
        )
    }

    fn holds(&self, subject: &Subject<'_>, texts: &TextIndexes) -> bool {
        fn list(clause: &Option<OneOrMany<Condition>>) -> &[Condition] {
            clause.as_ref().map_or(&[], OneOrMany::as_slice)
        }
        let holds = |condition: &Condition| condition.holds(subject, texts);
        let should = list(&self.should);
        list(&self.must).iter().all(holds)
            && !list(&self.must_not).iter().any(holds)
            && (should.is_empty() || should.iter().any(holds))
            && self
                .min_should
                .as_ref()
                .is_none_or(|min| min.conditions.iter().filter(|condition| holds(condition)).count() >= min.min_count)
    }
}

impl Condition {
    fn holds(&self, subject: &Subject<'_>, texts: &TextIndexes) -> bool {
        let at = |path: &str| values_at(subject.payload, path);
        match self {
            Self::Field(field) => field.holds(&at(&field.key), texts),
            Self::IsEmpty { is_empty } => is_empty_at(&at(&is_empty.key)),
            Self::IsNull { is_null } => is_null_at(&at(&is_null.key)),
            Self::HasId { has_id } => has_id.contains(&subject.point.id),
            Self::HasVector { has_vector } => {
                subject.point.dense.contains_key(has_vector) || subject.point.sparse.contains_key(has_vector)
            }
            Self::Nested { nested } => at(nested.key.trim_end_matches("[]"))
                .into_iter()
                .flat_map(elements)
                .filter_map(Value::as_object)
                .any(|payload| {
                    nested.filter.holds(
                        &Subject {
                            point: subject.point,
                            payload,
                        },
                        &TextIndexes::new(),
                    )
                }),
            Self::Filter(filter) => filter.holds(subject, texts),
        }
    }
}

impl FieldCondition {
    /// Every part that is given must hold; a part holds if any value at the key satisfies it.
    fn holds(&self, values: &[&Value], texts: &TextIndexes) -> bool {
        let any = |judge: &dyn Fn(&Value) -> bool| values.iter().copied().flat_map(elements).any(judge);
        let index = texts.get(&self.key);
        self.r#match
            .as_ref()
            .is_none_or(|wanted| any(&|value| wanted.holds(value, index)))
            && self
                .range
                .as_ref()
                .is_none_or(|range| any(&|value| value.as_f64().is_some_and(|x| range.numbers().hold(x))))
            && self
                .values_count
                .as_ref()
                .is_none_or(|count| values.iter().any(|value| count.hold(elements(value).len() as f64)))
            && self.is_empty.is_none_or(|wanted| wanted == is_empty_at(values))
            && self.is_null.is_none_or(|wanted| wanted == is_null_at(values))
    }
}

impl Match {
    fn holds(&self, value: &Value, index: Option<&TextIndex>) -> bool {
        match self {
            Self::Value {
                value: Scalar::Bool(wanted),
            } => value.as_bool() == Some(*wanted),
            Self::Value {
                value: Scalar::Integer(wanted),
            } => value.as_i64() == Some(*wanted),
            Self::Value {
                value: Scalar::Text(wanted),
            } => value.as_str() == Some(wanted),
            Self::Any { any } => any.contains(value),
            Self::Except { except } => !except.contains(value),
            Self::Text { text } => value.as_str().is_some_and(|stored| match index {
                None => stored.contains(text),
                Some(index) => {
                    let stored = index.tokens(stored);
                    let wanted = index.tokens(text);
                    !wanted.is_empty() && wanted.iter().all(|token| stored.contains(token))
                }
            }),
            Self::TextAny { text_any } => value.as_str().is_some_and(|stored| match index {
                None => text_any.split_whitespace().any(|word| stored.contains(word)),
                Some(index) => {
                    let stored = index.tokens(stored);
                    index.tokens(text_any).iter().any(|token| stored.contains(token))
                }
            }),
            Self::Phrase { phrase } => value.as_str().is_some_and(|stored| match index {
                None => stored.contains(phrase),
                Some(index) => {
                    let (stored, wanted) = (index.tokens(stored), index.tokens(phrase));
                    index.phrases && !wanted.is_empty() && stored.windows(wanted.len()).any(|run| run == wanted)
                }
            }),
        }
    }
}

impl Scalars {
    fn contains(&self, value: &Value) -> bool {
        match self {
            Self::Texts(texts) => value.as_str().is_some_and(|text| texts.iter().any(|one| one == text)),
            Self::Integers(numbers) => value.as_i64().is_some_and(|number| numbers.contains(&number)),
        }
    }
}

impl Bounds<Value> {
    fn numbers(&self) -> Bounds<f64> {
        let number = |bound: &Option<Value>| bound.as_ref().and_then(Value::as_f64);
        Bounds {
            lt: number(&self.lt),
            lte: number(&self.lte),
            gt: number(&self.gt),
            gte: number(&self.gte),
        }
    }
}

impl Bounds<f64> {
    fn hold(&self, x: f64) -> bool {
        self.lt.is_none_or(|bound| x < bound)
            && self.lte.is_none_or(|bound| x <= bound)
            && self.gt.is_none_or(|bound| x > bound)
            && self.gte.is_none_or(|bound| x >= bound)
    }
}

/// An array's elements; anything else is its own only element.
fn elements(value: &Value) -> &[Value] {
    match value {
        Value::Array(elements) => elements,
        single => std::slice::from_ref(single),
    }
}

/// Absent, null or without elements.
fn is_empty_at(values: &[&Value]) -> bool {
    values.iter().all(|value| elements(value).iter().all(Value::is_null))
}

/// Present and null, or an array with a null in it.
fn is_null_at(values: &[&Value]) -> bool {
    values.iter().any(|value| elements(value).iter().any(Value::is_null))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::store::point::PointId;

    fn point() -> Point {
        let payload = json!({
            "lang": "en", "year": 2022, "price": 3.5, "tags": ["b", "c"], "published": true, "none": null, "empty": [],
            "body": "A quick test of Text", "sections": [{"name": "intro", "len": 1}, {"name": "end", "len": 9}],
        });
        Point {
            id: PointId::Number(3),
            version: 1,
            dense: [(String::new(), vec![1.0])].into(),
            sparse: BTreeMap::new(),
            payload: payload.as_object().unwrap().clone(),
        }
    }

    fn holds(filter: Value) -> bool {
        let filter: Filter = serde_json::from_value(filter).unwrap();
        filter.check().unwrap();
        filter.matches(&point(), &TextIndexes::new())
    }

    fn field(key: &str, kind: &str, condition: Value) -> bool {
        holds(json!({"must": [{"key": key, kind: condition}]}))
    }

    #[test]
    fn clauses_combine_as_and_or_and_not() {
        let (yes, no) = (json!({"has_id": [3]}), json!({"has_id": [4]}));
        assert!(holds(json!({})));
        assert!(holds(json!({"must": yes, "must_not": [no]})));
        assert!(!holds(json!({"must": [yes, no]})));
        assert!(holds(json!({"should": [no, yes]})));
        assert!(!holds(json!({"should": [no], "must": [yes]})));
        assert!(!holds(json!({"must_not": [yes]})));
        assert!(holds(json!({"must": [{"should": [no, {"must_not": [no]}]}]})));
        assert!(holds(
            json!({"min_should": {"min_count": 2, "conditions": [yes, no, yes]}})
        ));
        assert!(!holds(
            json!({"min_should": {"min_count": 3, "conditions": [yes, no, yes]}})
        ));
    }

    #[test]
    fn a_match_is_of_the_same_type_and_looks_into_arrays() {
        assert!(field("lang", "match", json!({"value": "en"})));
        assert!(field("year", "match", json!({"value": 2022})));
        assert!(!field("year", "match", json!({"value": "2022"})));
        assert!(field("published", "match", json!({"value": true})));
        assert!(field("tags", "match", json!({"value": "c"})));
        assert!(!field("missing", "match", json!({"value": "c"})));
    }

    #[test]
    fn any_of_nothing_matches_nothing_and_except_needs_the_field() {
        assert!(field("lang", "match", json!({"any": ["de", "en"]})));
        assert!(field("year", "match", json!({"any": [2022]})));
        assert!(!field("lang", "match", json!({"any": []})));
        assert!(field("lang", "match", json!({"except": ["de"]})));
        assert!(!field("lang", "match", json!({"except": ["en"]})));
        assert!(!field("missing", "match", json!({"except": ["en"]})));
    }

    #[test]
    fn text_without_an_index_is_a_case_sensitive_part() {
        assert!(field("body", "match", json!({"text": "uick te"})));
        assert!(!field("body", "match", json!({"text": "QUICK"})));
    }

    #[test]
    fn text_with_an_index_is_every_token_in_lower_case() {
        let index = TextIndex {
            lowercase: true,
            shortest: 2,
            longest: 20,
            phrases: false,
        };
        let texts = TextIndexes::from([("body".to_owned(), index)]);
        let holds = |condition: Value| {
            let filter: Filter = serde_json::from_value(json!({"must": {"key": "body", "match": condition}})).unwrap();
            filter.matches(&point(), &texts)
        };
        assert!(holds(json!({"text": "TEXT quick"})));
        assert!(!holds(json!({"text": "uick"})));
        assert!(holds(json!({"text_any": "bread text"})));
        assert!(!holds(json!({"phrase": "quick test"})));
    }

    #[test]
    fn ranges_and_counts_compare_numbers() {
        assert!(field("price", "range", json!({"gt": 3, "lte": 3.5})));
        assert!(!field("price", "range", json!({"lt": 3.5})));
        assert!(!field("lang", "range", json!({"gt": 0})));
        assert!(field("tags", "values_count", json!({"gte": 2})));
        assert!(!field("tags", "values_count", json!({"gt": 2})));
    }

    #[test]
    fn empty_is_absent_null_or_without_elements() {
        for key in ["missing", "none", "empty"] {
            assert!(holds(json!({"must": [{"is_empty": {"key": key}}]})), "{key}");
        }
        assert!(!holds(json!({"must": [{"is_empty": {"key": "tags"}}]})));
        assert!(holds(json!({"must": [{"is_null": {"key": "none"}}]})));
        assert!(!holds(json!({"must": [{"is_null": {"key": "missing"}}]})));
    }

    #[test]
    fn nested_conditions_hold_for_one_and_the_same_element() {
        let nested = |name: &str, len: i64| {
            json!({"must": [{"nested": {"key": "sections", "filter": {"must": [
                {"key": "name", "match": {"value": name}}, {"key": "len", "match": {"value": len}}]}}}]})
        };
        assert!(holds(nested("end", 9)));
        assert!(!holds(nested("end", 1)));
        assert!(field("sections[].name", "match", json!({"value": "end"})));
    }

    #[test]
    fn unknown_clauses_and_mixed_lists_are_no_filter() {
        for bad in [
            json!({"musst": []}),
            json!({"must": [{"key": "a", "match": {"any": ["x", 1]}}]}),
            json!({"must": [{"has_id": ["7"]}]}),
        ] {
            assert!(serde_json::from_value::<Filter>(bad).is_err());
        }
    }

    #[test]
    fn conditions_that_are_not_served_or_say_nothing_are_refused() {
        for bad in [
            json!({"must": [{"key": "loc", "geo_radius": {}}]}),
            json!({"must": [{"key": "a", "unknown": 1}]}),
            json!({"should": {"key": "a", "range": {"gt": "2024-01-01T00:00:00Z"}}}),
        ] {
            assert!(serde_json::from_value::<Filter>(bad).unwrap().check().is_err());
        }
    }
}
