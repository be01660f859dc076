//! Points: their ids, and what is kept of each.

use std::{collections::BTreeMap, fmt};

use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error};
use serde_json::{Map, Value};
use uuid::Uuid;

use super::vector::SparseVector;

/// A point's id: an unsigned number or a UUID. Numbers come before UUIDs, which is the order points are listed in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum PointId {
    /// An unsigned 64-bit number.
    Number(u64),
    /// A UUID, written in lower case with hyphens however it was given.
    Uuid(Uuid),
}

impl PointId {
    /// The id in a path such as `/collections/docs/points/7`.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        text.parse()
            .map(Self::Number)
            .ok()
            .or_else(|| Uuid::try_parse(text).map(Self::Uuid).ok())
    }
}

impl fmt::Display for PointId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Number(number) => number.fmt(f),
            Self::Uuid(uuid) => uuid.fmt(f),
        }
    }
}

impl Serialize for PointId {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Number(number) => serializer.serialize_u64(*number),
            Self::Uuid(uuid) => serializer.collect_str(uuid),
        }
    }
}

impl<'de> Deserialize<'de> for PointId {
    /// A number in a string is no id, though it is one in a path.
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let value = Value::deserialize(deserializer)?;
        let id = match &value {
            Value::Number(number) => number.as_u64().map(Self::Number),
            Value::String(text) => Uuid::try_parse(text).ok().map(Self::Uuid),
            _ => None,
        };
        id.ok_or_else(|| {
            let shown = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
            D::Error::custom(format!(
                "value {shown} is not a valid point ID, valid values are either an unsigned integer or a UUID"
            ))
        })
    }
}

/// A stored point, as a test reads it back.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Point {
    /// Its id.
    pub id: PointId,
    /// The number of the operation that wrote it last; a collection counts its operations from 1.
    pub version: u64,
    /// Dense vectors by name, the unnamed one under the empty name; normalised where the distance is cosine.
    pub dense: BTreeMap<String, Vec<f32>>,
    /// Sparse vectors by name, indices in rising order.
    pub sparse: BTreeMap<String, SparseVector>,
    /// The payload, empty if none was given.
    pub payload: Map<String, Value>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_spelling_of_a_uuid_is_the_same_id() {
        let spellings = [
            r#""936DA01F9ABD4d9d80C702AF85C822A8""#,
            r#""936da01f-9abd-4d9d-80c7-02af85c822a8""#,
            r#""urn:uuid:936DA01F-9ABD-4d9d-80C7-02AF85C822A8""#,
        ];
        for spelling in spellings {
            let id: PointId = serde_json::from_str(spelling).unwrap();
            assert_eq!(id.to_string(), "936da01f-9abd-4d9d-80c7-02af85c822a8");
        }
    }

    #[test]
    fn numbers_in_strings_and_below_zero_are_no_ids() {
        for bad in ["\"7\"", "-1", "1.5", "\"abc\"", "null", "[1]"] {
            let error = serde_json::from_str::<PointId>(bad).unwrap_err().to_string();
            assert!(error.contains("is not a valid point ID"), "{bad}: {error}");
        }
    }

    #[test]
    fn numbers_come_before_uuids() {
        assert!(PointId::Number(u64::MAX) < PointId::Uuid(Uuid::nil()));
    }
}
