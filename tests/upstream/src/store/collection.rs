//! One collection: its points, and changes to them.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::{
    StoreError,
    filter::{
        Filter,
        evaluate::{TextIndex, TextIndexes},
    },
    payload::values_at,
    point::{Point, PointId},
    schema::Schema,
    vector::{VectorStruct, VectorValue},
};

/// A point as an upsert brings it.
#[derive(Debug, Deserialize)]
pub(crate) struct PointInput {
    pub(crate) id: PointId,
    pub(crate) vector: VectorStruct,
    #[serde(default)]
    pub(crate) payload: Option<Map<String, Value>>,
}

/// Which points a change is about.
#[derive(Debug)]
pub(crate) enum Selector {
    Ids(Vec<PointId>),
    Filter(Filter),
}

/// A collection's schema and points.
#[derive(Debug)]
pub(crate) struct Collection {
    pub(super) schema: Schema,
    indexes: BTreeMap<String, Value>,
    pub(super) texts: TextIndexes,
    pub(super) points: BTreeMap<PointId, Point>,
    operations: u64,
}

impl Collection {
    pub(crate) fn create(schema: Schema) -> Result<Self, StoreError> {
        schema.check()?;
        Ok(Self {
            schema,
            indexes: BTreeMap::new(),
            texts: TextIndexes::new(),
            points: BTreeMap::new(),
            operations: 0,
        })
    }

    /// All points, in the order of their ids.
    pub(crate) fn points(&self) -> impl Iterator<Item = &Point> {
        self.points.values()
    }

    /// One point.
    pub(crate) fn point(&self, id: PointId) -> Option<&Point> {
        self.points.get(&id)
    }

    /// The points that satisfy the filter, in the order of their ids.
    pub(crate) fn matching<'a>(&'a self, filter: Option<&'a Filter>) -> impl Iterator<Item = &'a Point> {
        self.points
            .values()
            .filter(move |point| filter.is_none_or(|filter| filter.matches(point, &self.texts)))
    }

    /// Writes the points whole, all or none; the last of doubled ids wins. Gives the operation's number.
    pub(crate) fn upsert(&mut self, inputs: Vec<PointInput>) -> Result<u64, StoreError> {
        if inputs.is_empty() {
            return Err(StoreError::BadRequest("Empty update request".to_owned()));
        }
        let version = self.operations + 1;
        let points = inputs
            .into_iter()
            .enumerate()
            .map(|(place, input)| self.prepared(place, input, version))
            .collect::<Result<Vec<_>, _>>()?;
        self.operations = version;
        self.points.extend(points.into_iter().map(|point| (point.id, point)));
        Ok(version)
    }

    fn prepared(&self, place: usize, input: PointInput, version: u64) -> Result<Point, StoreError> {
        let mut point = Point {
            id: input.id,
            version,
            dense: BTreeMap::new(),
            sparse: BTreeMap::new(),
            payload: input.payload.unwrap_or_default(),
        };
        for (name, value) in input.vector.by_name() {
            match (value, self.schema.dense(&name), self.schema.sparse(&name)) {
                (VectorValue::Dense(vector), Some((size, distance)), _) => {
                    check_size(size, &vector)?;
                    point.dense.insert(name, distance.prepare(vector));
                }
                (VectorValue::Sparse(vector), _, Some(_)) => {
                    let vector = vector.checked(&format!("points[{place}].vector.?"))?;
                    point.sparse.insert(name, vector);
                }
                (_, None, None) => return Err(unknown_vector(&name)),
                _ => return Err(mixed_kinds()),
            }
        }
        Ok(point)
    }

    /// Removes points; ids that are not there are passed over. Gives the operation's number.
    pub(crate) fn delete(&mut self, selector: &Selector) -> Result<u64, StoreError> {
        match selector {
            Selector::Ids(ids) if ids.is_empty() => {
                return Err(StoreError::BadRequest("Empty update request".to_owned()));
            }
            Selector::Ids(ids) => {
                for id in ids {
                    self.points.remove(id);
                }
            }
            Selector::Filter(filter) => {
                let texts = &self.texts;
                self.points.retain(|_, point| !filter.matches(point, texts));
            }
        }
        self.operations += 1;
        Ok(self.operations)
    }

    /// Makes or replaces the index of a payload key. Gives the operation's number.
    pub(crate) fn create_index(&mut self, key: &str, schema: Value) -> u64 {
        let number = |name: &str| {
            schema
                .get(name)
                .and_then(Value::as_u64)
                .and_then(|n| usize::try_from(n).ok())
        };
        let flag = |name: &str, default| schema.get(name).and_then(Value::as_bool).unwrap_or(default);
        if data_type(&schema) == "text" {
            let index = TextIndex {
                lowercase: flag("lowercase", true),
                shortest: number("min_token_len").unwrap_or(0),
                longest: number("max_token_len").unwrap_or(usize::MAX),
                phrases: flag("phrase_matching", false),
            };
            self.texts.insert(key.to_owned(), index);
        } else {
            self.texts.remove(key);
        }
        self.indexes.insert(key.to_owned(), schema);
        self.operations += 1;
        self.operations
    }

    /// Removes the index of a payload key, if there is one. Gives the operation's number.
    pub(crate) fn delete_index(&mut self, key: &str) -> u64 {
        self.indexes.remove(key);
        self.texts.remove(key);
        self.operations += 1;
        self.operations
    }

    /// The collection's description, with a real server's defaults where this one has no such setting.
    pub(crate) fn info(&self) -> Value {
        let mut params = json!(self.schema);
        if let Some(params) = params.as_object_mut() {
            let fixed = ["shard_number", "replication_factor", "write_consistency_factor"];
            params.extend(fixed.map(|name| (name.to_owned(), json!(1))));
            params.insert("on_disk_payload".to_owned(), json!(true));
        }
        let indexed = self
            .points()
            .flat_map(|point| point.sparse.values())
            .filter(|v| !v.indices.is_empty())
            .count();
        json!({
            "status": "green", "optimizer_status": "ok", "indexed_vectors_count": indexed,
            "points_count": self.points.len(), "segments_count": 2,
            "config": {
                "params": params,
                "hnsw_config": {"m": 16, "ef_construct": 100, "full_scan_threshold": 10000,
                    "max_indexing_threads": 0, "on_disk": false},
                "optimizer_config": {"deleted_threshold": 0.2, "vacuum_min_vector_number": 1000,
                    "default_segment_number": 0, "max_segment_size": null, "memmap_threshold": null,
                    "indexing_threshold": 10000, "flush_interval_sec": 5, "max_optimization_threads": null, "prevent_unoptimized": null},
                "wal_config": {"wal_capacity_mb": 32, "wal_segments_ahead": 0, "wal_retain_closed": 1},
                "quantization_config": null,
            },
            "payload_schema": self.payload_schema(),
            "update_queue": {"length": 0},
        })
    }

    fn payload_schema(&self) -> Value {
        let entry = |(key, schema): (&String, &Value)| {
            let points = self
                .points()
                .filter(|point| !values_at(&point.payload, key).is_empty())
                .count();
            let mut entry = json!({"data_type": data_type(schema), "points": points});
            if let (true, Some(entry)) = (schema.is_object(), entry.as_object_mut()) {
                entry.insert("params".to_owned(), schema.clone());
            }
            (key.clone(), entry)
        };
        Value::Object(self.indexes.iter().map(entry).collect())
    }
}

/// `"keyword"` and `{"type": "keyword", …}` both name a type.
pub(crate) fn data_type(schema: &Value) -> &str {
    schema
        .as_str()
        .or_else(|| schema.get("type")?.as_str())
        .unwrap_or_default()
}

/// The dense vector's width must be the schema's.
pub(super) fn check_size(size: usize, vector: &[f32]) -> Result<(), StoreError> {
    if vector.len() == size {
        return Ok(());
    }
    Err(StoreError::WrongInput(format!(
        "Vector dimension error: expected dim: {size}, got {}",
        vector.len()
    )))
}

pub(super) fn unknown_vector(name: &str) -> StoreError {
    StoreError::WrongInput(format!("Not existing vector name error: {name}"))
}

pub(super) fn mixed_kinds() -> StoreError {
    StoreError::WrongInput("Conversion between sparse and regular vectors failed".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn collection(body: Value) -> Collection {
        Collection::create(serde_json::from_value(body).unwrap()).unwrap()
    }

    fn inputs(points: Value) -> Vec<PointInput> {
        serde_json::from_value(points).unwrap()
    }

    fn hybrid() -> Collection {
        collection(json!({
            "vectors": {"text": {"size": 2, "distance": "Cosine"}}, "sparse_vectors": {"terms": {"modifier": "idf"}},
        }))
    }

    #[test]
    fn an_upsert_replaces_the_whole_point_and_the_last_of_doubled_ids_wins() {
        let mut docs = collection(json!({"vectors": {"size": 1, "distance": "Dot"}}));
        docs.upsert(inputs(json!([{"id": 1, "vector": [1], "payload": {"a": 1}}])))
            .unwrap();
        let points =
            json!([{"id": 1, "vector": [2], "payload": {"b": 1}}, {"id": 1, "vector": [3], "payload": {"c": 1}}]);
        assert_eq!(docs.upsert(inputs(points)).unwrap(), 2);
        let point = docs.point(PointId::Number(1)).unwrap();
        assert_eq!((point.version, &point.dense[""]), (2, &vec![3.0]));
        assert_eq!(point.payload.keys().collect::<Vec<_>>(), ["c"]);
    }

    #[test]
    fn one_bad_vector_refuses_the_whole_upsert() {
        let mut docs = collection(json!({"vectors": {"size": 2, "distance": "Dot"}}));
        let refused = docs
            .upsert(inputs(json!([{"id": 1, "vector": [1, 2]}, {"id": 2, "vector": [1]}])))
            .unwrap_err();
        assert_eq!(
            refused.to_string(),
            "Wrong input: Vector dimension error: expected dim: 2, got 1"
        );
        assert_eq!(docs.points().count(), 0);
    }

    #[test]
    fn a_cosine_vector_is_stored_normalised_and_a_sparse_one_sorted() {
        let mut docs = hybrid();
        let points =
            json!([{"id": 1, "vector": {"text": [3, 4], "terms": {"indices": [9, 4], "values": [0.5, 0.25]}}}]);
        docs.upsert(inputs(points)).unwrap();
        let point = docs.point(PointId::Number(1)).unwrap();
        assert_eq!(point.dense["text"], [0.6, 0.8]);
        assert_eq!(point.sparse["terms"].indices, [4, 9]);
    }

    #[test]
    fn names_and_kinds_must_be_the_schemas() {
        let mut docs = hybrid();
        for (points, message) in [
            (
                json!([{"id": 1, "vector": [1, 0]}]),
                "Wrong input: Not existing vector name error: ",
            ),
            (
                json!([{"id": 1, "vector": {"nope": [1, 0]}}]),
                "Wrong input: Not existing vector name error: nope",
            ),
            (
                json!([{"id": 1, "vector": {"terms": [1, 0]}}]),
                "Wrong input: Conversion between sparse and regular vectors failed",
            ),
        ] {
            assert_eq!(docs.upsert(inputs(points)).unwrap_err().to_string(), message);
        }
    }

    #[test]
    fn an_empty_filter_deletes_everything_and_an_empty_list_is_refused() {
        let mut docs = collection(json!({"vectors": {"size": 1, "distance": "Dot"}}));
        docs.upsert(inputs(json!([{"id": 1, "vector": [1]}, {"id": 2, "vector": [2]}])))
            .unwrap();
        assert!(docs.delete(&Selector::Ids(vec![])).is_err());
        docs.delete(&Selector::Ids(vec![PointId::Number(1), PointId::Number(9)]))
            .unwrap();
        assert_eq!(docs.points().count(), 1);
        docs.delete(&Selector::Filter(Filter::default())).unwrap();
        assert_eq!(docs.points().count(), 0);
    }

    #[test]
    fn the_description_counts_points_and_shows_the_schema() {
        let mut docs = hybrid();
        docs.create_index("lang", json!("keyword"));
        docs.upsert(inputs(
            json!([{"id": 1, "vector": {"text": [3, 4]}, "payload": {"lang": "en"}}]),
        ))
        .unwrap();
        let info = docs.info();
        assert_eq!(info["points_count"], 1);
        assert_eq!(
            info["config"]["params"]["vectors"]["text"],
            json!({"size": 2, "distance": "Cosine"})
        );
        assert_eq!(
            info["config"]["params"]["sparse_vectors"],
            json!({"terms": {"modifier": "idf"}})
        );
        assert_eq!(
            info["payload_schema"]["lang"],
            json!({"data_type": "keyword", "points": 1})
        );
    }
}
