//! A point as it is kept: what the contract lets a caller give, checked and brought into one form.

use std::fmt;

use uuid::Uuid;
use weir_guest::Error;
use weir_guest::types::SparseVector;

use crate::error::invalid;
use crate::fields;
use crate::vector_store::{self, Distance, PointId};

/// A point's name within its collection. Numbers come before UUIDs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Id {
    /// A number.
    Number(u64),
    /// A UUID.
    Uuid(Uuid),
}

impl Id {
    /// Reads an id in its text form: decimal, or the hyphenated form of a UUID.
    pub fn parse(text: &str) -> Option<Self> {
        const HYPHENATED: usize = 36;
        if text.len() == HYPHENATED {
            return Uuid::try_parse(text).ok().map(Self::Uuid);
        }
        let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
        text.parse().ok().filter(|_| digits).map(Self::Number)
    }
}

impl fmt::Display for Id {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Number(number) => number.fmt(f),
            Self::Uuid(uuid) => uuid.hyphenated().fmt(f),
        }
    }
}

impl TryFrom<PointId> for Id {
    type Error = Error;

    fn try_from(id: PointId) -> Result<Self, Error> {
        match id {
            PointId::Number(number) => Ok(Self::Number(number)),
            PointId::Uuid(text) => match Self::parse(&text) {
                Some(id @ Self::Uuid(_)) => Ok(id),
                _ => Err(invalid(format!(
                    "the point id `{text}` is no UUID in the hyphenated form"
                ))),
            },
        }
    }
}

impl From<Id> for PointId {
    fn from(id: Id) -> Self {
        match id {
            Id::Number(number) => Self::Number(number),
            Id::Uuid(uuid) => Self::Uuid(uuid.hyphenated().to_string()),
        }
    }
}

/// What all points of a collection share.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Schema {
    /// The length of the dense vectors.
    pub dimensions: u32,
    /// How two dense vectors are compared.
    pub distance: Distance,
    /// Whether a point may have a sparse vector.
    pub sparse: bool,
}

/// One entry of a sparse vector.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Term {
    /// Which term.
    pub index: u32,
    /// Its weight in the point's text.
    pub weight: f32,
}

/// A point as it is kept.
#[derive(Debug, Clone, PartialEq)]
pub struct Point {
    /// Its name.
    pub id: Id,
    /// The dense vector; of length 1 where the distance is cosine.
    pub vector: Option<Vec<f32>>,
    /// The sparse vector by ascending index; empty where there is none.
    pub terms: Box<[Term]>,
    /// A JSON object.
    pub payload: String,
    /// The payload's short members, as they are kept.
    pub fields: Vec<u8>,
}

impl Point {
    /// Checks a point against its collection's schema.
    pub fn check(point: vector_store::Point, schema: &Schema) -> Result<Self, Error> {
        let id = Id::try_from(point.id)?;
        let in_point = |reason: String| invalid(format!("point {id}: {reason}"));
        let vector = point
            .vector
            .map(|vector| dense(vector, schema))
            .transpose()
            .map_err(in_point)?;
        let terms = point
            .sparse
            .map(|sparse| self::terms(sparse, schema))
            .transpose()
            .map_err(in_point)?;
        let fields = fields::encode(&point.payload)
            .map_err(|reason| in_point(format!("the payload is no JSON object: {reason}")))?;
        Ok(Self {
            id,
            vector,
            terms: terms.unwrap_or_default(),
            payload: point.payload,
            fields,
        })
    }
}

/// Checks a dense vector, and scales it to length 1 where only its direction counts.
///
/// The zero vector has no direction: it stays as it is and is at a right angle to everything.
///
/// # Errors
/// What is wrong with it.
pub fn dense(mut vector: Vec<f32>, schema: &Schema) -> Result<Vec<f32>, String> {
    let (expected, got) = (schema.dimensions as usize, vector.len());
    if got != expected {
        return Err(format!("the vector has {got} values; the collection's have {expected}"));
    }
    if let Some(place) = vector.iter().position(|value| !value.is_finite()) {
        return Err(format!("value {place} of the vector is not a finite number"));
    }
    if schema.distance == Distance::Cosine {
        let length = vector
            .iter()
            .map(|value| f64::from(*value) * f64::from(*value))
            .sum::<f64>()
            .sqrt();
        if length > 0.0 {
            vector
                .iter_mut()
                .for_each(|value| *value = (f64::from(*value) / length) as f32);
        }
    }
    Ok(vector)
}

/// Checks a sparse vector and sorts it by index.
///
/// # Errors
/// What is wrong with it.
pub fn terms(sparse: SparseVector, schema: &Schema) -> Result<Box<[Term]>, String> {
    if !schema.sparse {
        return Err("there is a sparse vector, but the collection was made without them".to_owned());
    }
    let SparseVector { indices, values } = sparse;
    if indices.len() != values.len() {
        return Err(format!(
            "the sparse vector has {} indices and {} values",
            indices.len(),
            values.len()
        ));
    }
    if let Some((index, _)) = indices.iter().zip(&values).find(|(_, value)| !value.is_finite()) {
        return Err(format!(
            "the value of index {index} in the sparse vector is not a finite number"
        ));
    }
    let key = |(index, value): (u32, f32)| u64::from(index) << 32 | u64::from(value.to_bits());
    let mut keys: Vec<u64> = indices.into_iter().zip(values).map(key).collect();
    keys.sort_unstable();
    let term = |key: u64| Term {
        index: (key >> 32) as u32,
        weight: f32::from_bits(key as u32),
    };
    let terms: Box<[Term]> = keys.into_iter().map(term).collect();
    let twice = terms
        .iter()
        .zip(terms.iter().skip(1))
        .find(|(term, next)| term.index == next.index);
    if let Some((term, _)) = twice {
        return Err(format!("index {} occurs twice in the sparse vector", term.index));
    }
    Ok(terms)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_is_a_number_or_a_hyphenated_uuid() {
        assert_eq!(Id::parse("18446744073709551615"), Some(Id::Number(u64::MAX)));
        assert!(matches!(
            Id::parse("67E55044-10B1-426F-9247-BB680E5FE0C8"),
            Some(Id::Uuid(_))
        ));
        for text in [
            "",
            "-1",
            "+1",
            "18446744073709551616",
            "67e5504410b1426f9247bb680e5fe0c8",
            "name",
        ] {
            assert_eq!(Id::parse(text), None, "{text}");
        }
    }

    #[test]
    fn a_uuid_is_given_back_in_lower_case() {
        let id = Id::try_from(PointId::Uuid("67E55044-10B1-426F-9247-BB680E5FE0C8".to_owned())).unwrap();
        assert_eq!(id.to_string(), "67e55044-10b1-426f-9247-bb680e5fe0c8");
    }

    #[test]
    fn a_number_is_no_uuid() {
        assert!(matches!(
            Id::try_from(PointId::Uuid("7".to_owned())),
            Err(Error::InvalidInput(_))
        ));
    }
}
