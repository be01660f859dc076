//! Points: written, deleted, counted.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use weir_guest::types::Error;
use weir_guest::{failure, json};

use crate::collections::{Known, no_sparse};
use crate::vector_store::{Point, PointId, Selection};
use crate::{filter, payload};

/// Ids in one page of what a filter finds: the most that Chroma Cloud gives
/// (https://docs.trychroma.com/cloud/quotas-limits).
pub(crate) const PAGE: u64 = 300;

/// Points as Chroma takes them: lists of one length. No id is there twice, for Chroma would mix the two.
#[derive(Serialize)]
pub(crate) struct Records<'a> {
    ids: Vec<String>,
    embeddings: Vec<&'a [f32]>,
    metadatas: Vec<Map<String, Value>>,
}

/// The question for what is there already.
#[derive(Serialize)]
pub(crate) struct Lookup<'a> {
    ids: &'a [String],
    include: [&'static str; 1],
}

#[derive(Deserialize)]
struct There {
    ids: Vec<String>,
    #[serde(default)]
    metadatas: Option<Vec<Value>>,
}

#[derive(Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Delete {
    Ids(Vec<String>),
    Where(Value),
}

#[derive(Deserialize)]
struct Deleted {
    deleted: Option<u64>,
}

#[derive(Serialize)]
pub(crate) struct Page<'a> {
    r#where: &'a Value,
    limit: u64,
    offset: u64,
    include: [&'static str; 0],
}

impl<'a> Records<'a> {
    /// # Errors
    /// `unsupported` for a point without a dense vector, or with a sparse one; `invalid-input` for what is no vector or
    /// no payload.
    pub(crate) fn of(points: &'a [Point]) -> Result<Self, Error> {
        let mut records = Records {
            ids: Vec::new(),
            embeddings: Vec::new(),
            metadatas: Vec::new(),
        };
        let mut seen = Map::new();
        // The last comes first: of several with one id it is the one that is meant.
        for point in points.iter().rev() {
            let id = id(&point.id);
            if seen.insert(id.clone(), Value::Null).is_some() {
                continue;
            }
            let subject = format!("point {id}");
            if point.sparse.is_some() {
                return Err(no_sparse());
            }
            let Some(vector) = point.vector.as_deref() else {
                return Err(Error::Unsupported(format!(
                    "{subject}: Chroma keeps no point without a vector"
                )));
            };
            records.embeddings.push(finite(vector, &subject)?);
            records.metadatas.push(payload::to_metadata(&point.payload, &subject)?);
            records.ids.push(id);
        }
        Ok(records)
    }

    /// Chroma itself would let the first points of a collection have any length.
    ///
    /// # Errors
    /// `invalid-input` naming the point whose vector is of another length.
    pub(crate) fn check(&self, known: &Known) -> Result<(), Error> {
        let Some(dimensions) = known.dimensions else {
            return Ok(());
        };
        let other = self
            .embeddings
            .iter()
            .zip(&self.ids)
            .find(|(vector, _)| vector.len() != dimensions as usize);
        match other {
            None => Ok(()),
            Some((vector, id)) => Err(failure::refused(format!(
                "point {id}: a vector of {} values in a collection of {dimensions} dimensions",
                vector.len()
            ))),
        }
    }

    pub(crate) fn lookup(&self) -> Lookup<'_> {
        Lookup {
            ids: &self.ids,
            include: ["metadatas"],
        }
    }

    /// Takes away, by a null, every field that the records which are there have and these have not.
    ///
    /// # Errors
    /// `malformed-response`.
    pub(crate) fn replace(&mut self, there: &[u8]) -> Result<(), Error> {
        let There { ids, metadatas } = json::read(there)?;
        let metadatas = metadatas.unwrap_or_default();
        if ids.len() != metadatas.len() {
            return Err(uneven("metadatas", metadatas.len(), ids.len()));
        }
        let mut there = Map::new();
        there.extend(ids.into_iter().zip(metadatas));
        for (id, metadata) in self.ids.iter().zip(&mut self.metadatas) {
            let Some(Value::Object(fields)) = there.remove(id) else {
                continue;
            };
            for (name, _) in fields {
                metadata.entry(name).or_insert(Value::Null);
            }
        }
        Ok(())
    }
}

/// # Errors
/// `invalid-input` for an empty filter.
pub(crate) fn delete(selection: &Selection) -> Result<Delete, Error> {
    match selection {
        Selection::Ids(ids) => Ok(Delete::Ids(ids.iter().map(id).collect())),
        Selection::Filter(asked) => filter::filter(asked)?
            .map(Delete::Where)
            .ok_or_else(|| failure::refused("an empty filter would delete every point; drop the collection instead")),
    }
}

/// Of ids, Chroma counts those it was told, not those it had.
pub(crate) fn read_deleted(body: &[u8], selection: &Selection) -> Result<Option<u64>, Error> {
    let Deleted { deleted } = json::read(body)?;
    Ok(deleted.filter(|_| matches!(selection, Selection::Filter(_))))
}

pub(crate) fn page(filter: &Value, offset: u64) -> Page<'_> {
    Page {
        r#where: filter,
        limit: PAGE,
        offset,
        include: [],
    }
}

pub(crate) fn read_page(body: &[u8]) -> Result<u64, Error> {
    let There { ids, .. } = json::read(body)?;
    Ok(ids.len() as u64)
}

pub(crate) fn id(id: &PointId) -> String {
    match id {
        PointId::Number(number) => number.to_string(),
        PointId::Uuid(uuid) => uuid.clone(),
    }
}

/// # Errors
/// `invalid-input` saying whose value is not finite.
pub(crate) fn finite<'a>(vector: &'a [f32], subject: &str) -> Result<&'a [f32], Error> {
    match vector.iter().position(|value| !value.is_finite()) {
        Some(at) => Err(failure::refused(format!(
            "{subject}: value {at} of the vector is not finite"
        ))),
        None => Ok(vector),
    }
}

pub(crate) fn uneven(path: &str, found: usize, ids: usize) -> Error {
    failure::malformed(format!("`{path}`: {found} for {ids} ids"))
}

#[cfg(test)]
mod tests {
    use serde_json::json;
    use weir_guest::types::SparseVector;

    use super::*;
    use crate::collections::Space;

    fn point(id: u64, vector: &[f32], payload: &Value) -> Point {
        Point {
            id: PointId::Number(id),
            vector: Some(vector.to_vec()),
            sparse: None,
            payload: payload.to_string(),
        }
    }

    fn said<T>(result: Result<T, Error>) -> String {
        match result {
            Err(Error::InvalidInput(failure)) => failure.message,
            Err(Error::Unsupported(text)) => text,
            _ => panic!("taken"),
        }
    }

    #[test]
    fn points_are_written_as_lists_of_one_length() {
        let mut uuid = point(0, &[1.0, 0.0], &json!({"a": 1}));
        uuid.id = PointId::Uuid("5f0c5bb2-6b3c-4f1e-9d55-1f6d2c7c0a01".to_owned());
        let points = [uuid, point(7, &[0.5, 1.0], &json!({}))];
        assert_eq!(
            serde_json::to_value(Records::of(&points).unwrap()).unwrap(),
            json!({
                "ids": ["7", "5f0c5bb2-6b3c-4f1e-9d55-1f6d2c7c0a01"],
                "embeddings": [[0.5, 1.0], [1.0, 0.0]],
                "metadatas": [{}, {"a": 1}],
            })
        );
    }

    #[test]
    fn the_last_of_several_with_one_id_is_written_alone() {
        let points = [
            point(7, &[1.0], &json!({"a": 1})),
            point(8, &[2.0], &json!({})),
            point(7, &[3.0], &json!({"b": 2})),
        ];
        let records = serde_json::to_value(Records::of(&points).unwrap()).unwrap();
        assert_eq!(
            records,
            json!({"ids": ["7", "8"], "embeddings": [[3.0], [2.0]], "metadatas": [{"b": 2}, {}]})
        );
    }

    #[test]
    fn fields_that_are_no_longer_there_are_taken_away() {
        let points = [
            point(7, &[1.0], &json!({"kept": 2})),
            point(8, &[1.0], &json!({"new": 1})),
        ];
        let mut records = Records::of(&points).unwrap();
        assert_eq!(
            serde_json::to_value(records.lookup()).unwrap(),
            json!({"ids": ["8", "7"], "include": ["metadatas"]})
        );
        records
            .replace(br#"{"ids": ["7"], "metadatas": [{"kept": 1, "gone": "x"}], "documents": null}"#)
            .unwrap();
        assert_eq!(
            serde_json::to_value(records).unwrap()["metadatas"],
            json!([{"new": 1}, {"kept": 2, "gone": null}])
        );
        let mut records = Records::of(&points).unwrap();
        assert!(matches!(
            records.replace(br#"{"ids": ["7"], "metadatas": []}"#),
            Err(Error::MalformedResponse(_))
        ));
    }

    #[test]
    fn what_chroma_does_not_keep_is_refused_with_the_points_id() {
        let mut bare = point(7, &[], &json!({}));
        bare.vector = None;
        assert!(said(Records::of(&[bare])).contains("point 7"));
        let mut sparse = point(7, &[1.0], &json!({}));
        sparse.sparse = Some(SparseVector {
            indices: vec![1],
            values: vec![1.0],
        });
        assert!(said(Records::of(&[sparse])).contains("sparse"));
        let infinite = point(7, &[1.0, f32::INFINITY], &json!({}));
        assert!(said(Records::of(&[infinite])).contains("point 7: value 1"));
        let known = Known {
            id: "i".to_owned(),
            space: Space::L2,
            dimensions: Some(2),
        };
        let points = [point(7, &[1.0], &json!({}))];
        assert!(said(Records::of(&points).unwrap().check(&known)).contains("1 values in a collection of 2"));
    }

    #[test]
    fn points_are_deleted_by_id_or_by_filter_and_never_all() {
        let ids = Selection::Ids(vec![PointId::Number(1)]);
        assert_eq!(
            serde_json::to_value(delete(&ids).unwrap()).unwrap(),
            json!({"ids": ["1"]})
        );
        assert_eq!(read_deleted(br#"{"deleted": 1}"#, &ids).unwrap(), None);
        let empty = Selection::Filter(crate::vector_store::Filter {
            must: vec![],
            should: vec![],
            must_not: vec![],
        });
        assert!(said(delete(&empty)).contains("every point"));
        assert_eq!(read_deleted(br#"{"deleted": 3}"#, &empty).unwrap(), Some(3));
    }

    #[test]
    fn a_filters_points_are_counted_by_pages() {
        let filter = json!({"$and": []});
        assert_eq!(
            serde_json::to_value(page(&filter, 300)).unwrap(),
            json!({"where": {"$and": []}, "limit": 300, "offset": 300, "include": []})
        );
        assert_eq!(read_page(br#"{"ids": ["1", "2"], "metadatas": null}"#).unwrap(), 2);
    }
}
