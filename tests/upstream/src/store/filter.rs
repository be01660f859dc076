//! Conditions on points, as the API writes them; [`evaluate`] decides them.

pub(crate) mod evaluate;

use serde::Deserialize;
use serde_json::Value;

use super::{StoreError, point::PointId};

/// A clause: `must` and `must_not` and `should`, each one condition or a list. An empty filter matches every point.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Filter {
    #[serde(default)]
    must: Option<OneOrMany<Condition>>,
    #[serde(default)]
    should: Option<OneOrMany<Condition>>,
    #[serde(default)]
    must_not: Option<OneOrMany<Condition>>,
    #[serde(default)]
    min_should: Option<MinShould>,
}

/// A value alone or in a list.
#[derive(Debug, Clone, Deserialize)]
#[serde(untagged)]
pub(crate) enum OneOrMany<T> {
    Many(Vec<T>),
    One(Box<T>),
}

impl<T> OneOrMany<T> {
    /// As a list either way.
    pub(crate) fn as_slice(&self) -> &[T] {
        match self {
            Self::Many(many) => many,
            Self::One(one) => std::slice::from_ref(one),
        }
    }
}

#[derive(Debug, Clone, Deserialize)]
struct MinShould {
    conditions: Vec<Condition>,
    min_count: usize,
}

/// One condition.
#[derive(Debug, Clone, Deserialize)]
#[serde(untagged)]
enum Condition {
    Field(Box<FieldCondition>),
    IsEmpty { is_empty: Key },
    IsNull { is_null: Key },
    HasId { has_id: Vec<PointId> },
    HasVector { has_vector: String },
    Nested { nested: Nested },
    Filter(Filter),
}

#[derive(Debug, Clone, Deserialize)]
struct Key {
    key: String,
}

#[derive(Debug, Clone, Deserialize)]
struct Nested {
    key: String,
    filter: Filter,
}

/// A condition on the values of one key.
#[derive(Debug, Clone, Deserialize)]
struct FieldCondition {
    key: String,
    #[serde(default)]
    r#match: Option<Match>,
    #[serde(default)]
    range: Option<Bounds<Value>>,
    #[serde(default)]
    values_count: Option<Bounds<f64>>,
    #[serde(default)]
    is_empty: Option<bool>,
    #[serde(default)]
    is_null: Option<bool>,
    #[serde(default)]
    geo_radius: Option<Value>,
    #[serde(default)]
    geo_bounding_box: Option<Value>,
    #[serde(default)]
    geo_polygon: Option<Value>,
}

/// How a value is to match.
#[derive(Debug, Clone, Deserialize)]
#[serde(untagged)]
enum Match {
    Value { value: Scalar },
    Text { text: String },
    TextAny { text_any: String },
    Phrase { phrase: String },
    Any { any: Scalars },
    Except { except: Scalars },
}

#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(untagged)]
enum Scalar {
    Bool(bool),
    Integer(i64),
    Text(String),
}

/// A list of one kind; a mixed one is no match at all.
#[derive(Debug, Clone, Deserialize)]
#[serde(untagged)]
enum Scalars {
    Texts(Vec<String>),
    Integers(Vec<i64>),
}

#[derive(Debug, Clone, Deserialize)]
struct Bounds<T> {
    #[serde(default = "none")]
    lt: Option<T>,
    #[serde(default = "none")]
    lte: Option<T>,
    #[serde(default = "none")]
    gt: Option<T>,
    #[serde(default = "none")]
    gte: Option<T>,
}

fn none<T>() -> Option<T> {
    None
}

impl Filter {
    /// Refuses what is not served here, and conditions that say nothing.
    pub(crate) fn check(&self) -> Result<(), StoreError> {
        let clauses = [&self.must, &self.should, &self.must_not];
        let conditions = clauses.into_iter().flatten().flat_map(|clause| clause.as_slice());
        let counted = self.min_should.iter().flat_map(|min| &min.conditions);
        conditions.chain(counted).try_for_each(|condition| match condition {
            Condition::Field(field) => field.check(),
            Condition::Nested { nested } => nested.filter.check(),
            Condition::Filter(filter) => filter.check(),
            _ => Ok(()),
        })
    }
}

impl FieldCondition {
    fn check(&self) -> Result<(), StoreError> {
        if self.geo_radius.is_some() || self.geo_bounding_box.is_some() || self.geo_polygon.is_some() {
            return Err(StoreError::unserved("a geographic condition"));
        }
        if let Some(Bounds { lt, lte, gt, gte }) = &self.range
            && [lt, lte, gt, gte].into_iter().flatten().any(|bound| !bound.is_number())
        {
            return Err(StoreError::unserved("a range over anything but numbers"));
        }
        let empty = self.r#match.is_none()
            && self.range.is_none()
            && self.values_count.is_none()
            && self.is_empty.is_none()
            && self.is_null.is_none();
        if empty {
            return Err(StoreError::invalid(
                "filter: Validation error: At least one field condition must be specified [{}]",
            ));
        }
        Ok(())
    }
}
