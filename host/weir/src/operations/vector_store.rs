//! The store's operations: `ensure-collection`, `upsert`, `query`, `delete`, `count`, `list-collections`,
//! `drop-collection`.

use serde::{Deserialize, Deserializer};
use serde_json::{Map, Value, json};
use weir_runtime::vector_store::{
    Collection, Distance, Filter, Fusion, Point, PointId, QueryRequest, ScoredPoint, Selection,
};

use super::error::Refusal;
use super::filter::{FilterJson, filter};
use super::input::{SparseJson, custom, expected, filled, read, read_nothing, sparse, vector};
use super::output::number;

/// Hits of a query that names no number.
const DEFAULT_LIMIT: u32 = 10;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct CollectionInput {
    collection: String,
    dimensions: u32,
    #[serde(default)]
    distance: DistanceJson,
    #[serde(default)]
    sparse: bool,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "lowercase")]
enum DistanceJson {
    #[default]
    Cosine,
    Dot,
    Euclid,
}

/// Reads `{collection, dimensions, distance?, sparse?}`.
pub(super) fn collection(input: Value) -> Result<Collection, Refusal> {
    let input: CollectionInput = read(input)?;
    if input.dimensions == 0 {
        return Err(Refusal::input("`dimensions` must be above 0"));
    }
    Ok(Collection {
        name: named(input.collection)?,
        dimensions: input.dimensions,
        distance: match input.distance {
            DistanceJson::Cosine => Distance::Cosine,
            DistanceJson::Dot => Distance::Dot,
            DistanceJson::Euclid => Distance::Euclid,
        },
        sparse: input.sparse,
    })
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct UpsertInput {
    collection: String,
    points: Vec<PointJson>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct PointJson {
    id: IdJson,
    vector: Option<Vec<f32>>,
    sparse: Option<SparseJson>,
    #[serde(default)]
    payload: Map<String, Value>,
}

/// Reads `{collection, points: [{id, vector?, sparse?, payload?}]}`.
pub(super) fn points(input: Value) -> Result<(String, Vec<Point>), Refusal> {
    let input: UpsertInput = read(input)?;
    let points = filled("points", input.points)?
        .into_iter()
        .enumerate()
        .map(|(index, point)| {
            Ok(Point {
                id: point.id.0,
                vector: point
                    .vector
                    .map(|values| vector(&format!("points[{index}].vector"), values))
                    .transpose()?,
                sparse: point
                    .sparse
                    .map(|values| sparse(&format!("points[{index}].sparse"), values))
                    .transpose()?,
                payload: Value::Object(point.payload).to_string(),
            })
        })
        .collect::<Result<_, Refusal>>()?;
    Ok((named(input.collection)?, points))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct QueryInput {
    collection: String,
    vector: Option<Vec<f32>>,
    sparse: Option<SparseJson>,
    filter: Option<FilterJson>,
    limit: Option<u32>,
    fusion: Option<FusionJson>,
}

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
enum FusionJson {
    ReciprocalRank,
    RelativeScore,
}

/// Reads `{collection, vector?, sparse?, filter?, limit?, fusion?}`.
pub(super) fn query(input: Value) -> Result<QueryRequest, Refusal> {
    let input: QueryInput = read(input)?;
    if input.vector.is_none() && input.sparse.is_none() {
        return Err(Refusal::input("a query needs `vector`, `sparse` or both"));
    }
    let limit = input.limit.unwrap_or(DEFAULT_LIMIT);
    if limit == 0 {
        return Err(Refusal::input("`limit` must be above 0"));
    }
    Ok(QueryRequest {
        collection: named(input.collection)?,
        vector: input.vector.map(|values| vector("vector", values)).transpose()?,
        sparse: input.sparse.map(|values| sparse("sparse", values)).transpose()?,
        filter: input.filter.map(filter).transpose()?.flatten(),
        limit,
        fusion: input.fusion.map(|fusion| match fusion {
            FusionJson::ReciprocalRank => Fusion::ReciprocalRank,
            FusionJson::RelativeScore => Fusion::RelativeScore,
        }),
    })
}

/// Writes `{points: [{id, score, payload}]}`.
pub(super) fn found(points: &[ScoredPoint]) -> Result<Value, Refusal> {
    let points: Value = points
        .iter()
        .map(|point| {
            let payload: Value = serde_json::from_str(&point.payload)
                .map_err(|error| Refusal::Answer(format!("a point's payload is not JSON: {error}")))?;
            let id = match &point.id {
                PointId::Number(number) => json!(number),
                PointId::Uuid(uuid) => json!(uuid),
            };
            Ok(json!({ "id": id, "score": number(&"score", point.score)?, "payload": payload }))
        })
        .collect::<Result<_, Refusal>>()?;
    Ok(json!({ "points": points }))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct DeleteInput {
    collection: String,
    ids: Option<Vec<IdJson>>,
    filter: Option<FilterJson>,
}

/// Reads `{collection, ids?, filter?}`, one of the two.
pub(super) fn selection(input: Value) -> Result<(String, Selection), Refusal> {
    let input: DeleteInput = read(input)?;
    let selection = match (input.ids, input.filter) {
        (Some(ids), None) => Selection::Ids(filled("ids", ids)?.into_iter().map(|id| id.0).collect()),
        (None, Some(json)) => Selection::Filter(filter(json)?.ok_or_else(|| {
            Refusal::input("`filter` has no condition, and would delete all; use drop-collection for that")
        })?),
        _ => return Err(Refusal::input("delete needs either `ids` or `filter`")),
    };
    Ok((named(input.collection)?, selection))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct CountInput {
    collection: String,
    filter: Option<FilterJson>,
}

/// Reads `{collection, filter?}`.
pub(super) fn counted(input: Value) -> Result<(String, Option<Filter>), Refusal> {
    let input: CountInput = read(input)?;
    Ok((
        named(input.collection)?,
        input.filter.map(filter).transpose()?.flatten(),
    ))
}

/// Reads `{}`.
pub(super) fn nothing(input: Value) -> Result<(), Refusal> {
    read_nothing(input)
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct NameInput {
    collection: String,
}

/// Reads `{collection}`.
pub(super) fn collection_name(input: Value) -> Result<String, Refusal> {
    named(read::<NameInput>(input)?.collection)
}

fn named(collection: String) -> Result<String, Refusal> {
    if collection.is_empty() {
        Err(Refusal::input("`collection` is empty"))
    } else {
        Ok(collection)
    }
}

/// A point's id: a whole number, or a UUID in the hyphenated form.
struct IdJson(PointId);

impl<'de> Deserialize<'de> for IdJson {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        match Value::deserialize(deserializer)? {
            Value::Number(number) => match number.as_u64() {
                Some(number) => Ok(IdJson(PointId::Number(number))),
                None => Err(custom("a number as an id must be whole and not negative")),
            },
            Value::String(text) if is_uuid(&text) => Ok(IdJson(PointId::Uuid(text.to_ascii_lowercase()))),
            Value::String(_) => Err(custom(
                "a text as an id must be a UUID like 5f1e6a8e-8a54-4a5e-9b57-0c2c0b3f7a11",
            )),
            other => expected("a whole number or a UUID", &other),
        }
    }
}

/// Whether the text is a UUID in the hyphenated form (RFC 9562, 4).
fn is_uuid(text: &str) -> bool {
    text.len() == 36
        && text.bytes().enumerate().all(|(index, byte)| match index {
            8 | 13 | 18 | 23 => byte == b'-',
            _ => byte.is_ascii_hexdigit(),
        })
}

#[cfg(test)]
#[path = "vector_store_tests.rs"]
mod tests;
