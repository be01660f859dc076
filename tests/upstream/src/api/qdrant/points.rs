//! `/collections/{name}/points`: writing, reading, listing, counting and removing points.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use axum::{
    Extension,
    extract::{Path, Query, State as Shared},
    response::Response,
};
use bytes::Bytes;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use super::{Access, Refusal, Update, Wait, answer, body, part};
use crate::{
    state::State,
    store::{
        StoreError,
        collection::{PointInput, Selector},
        filter::Filter,
        payload::WithPayload,
        point::{Point, PointId},
        search::WithVector,
        vector::{VectorOutput, VectorStruct, VectorValue},
    },
};

/// The page of a listing that names no limit.
const DEFAULT_LIMIT: usize = 10;

/// A point as reading and listing show it.
#[derive(Serialize)]
struct Record {
    id: PointId,
    #[serde(skip_serializing_if = "Option::is_none")]
    payload: Option<Map<String, Value>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    vector: Option<VectorOutput>,
}

impl Record {
    fn new(point: &Point, payload: &WithPayload, vector: &WithVector) -> Self {
        Self {
            id: point.id,
            payload: payload.select(&point.payload),
            vector: vector.select(point),
        }
    }
}

pub(super) async fn upsert(
    Shared(state): Shared<Arc<State>>,
    Extension(access): Extension<Access>,
    Path(name): Path<String>,
    wait: Query<Wait>,
    bytes: Bytes,
) -> Response {
    answer(|| {
        let points = inputs(body(&bytes)?)?;
        let mut store = state.store_mut();
        let collection = store.collection_mut(&name)?;
        access.write()?;
        Ok(Update::new(collection.upsert(points)?, &wait))
    })
}

/// The points of an upsert, in a list or in columns.
fn inputs(mut request: Map<String, Value>) -> Result<Vec<PointInput>, Refusal> {
    for unserved in ["update_filter", "update_mode"] {
        if request.get(unserved).is_some_and(|value| !value.is_null()) {
            return Err(StoreError::unserved(&format!("`{unserved}`")).into());
        }
    }
    match (request.remove("points"), request.remove("batch")) {
        (Some(points), _) => part(points),
        (None, Some(batch)) => columns(part(batch)?),
        (None, None) => {
            Err(StoreError::Format("Invalid PointsList format: `points` or `batch` is needed".to_owned()).into())
        }
    }
}

/// An upsert in columns: ids, vectors and payloads of the same length.
#[derive(Deserialize)]
struct Batch {
    ids: Vec<PointId>,
    vectors: Columns,
    #[serde(default)]
    payloads: Option<Vec<Option<Map<String, Value>>>>,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Columns {
    Unnamed(Vec<VectorStruct>),
    Named(BTreeMap<String, Vec<VectorValue>>),
}

fn columns(batch: Batch) -> Result<Vec<PointInput>, Refusal> {
    let count = batch.ids.len();
    let check = |what: &str, length: usize| {
        if length == count {
            return Ok(());
        }
        let what = format!("batch.batch: number of ids and {what} must be equal ({count} != {length})");
        Err(Refusal::from(StoreError::invalid(what)))
    };
    let vectors: Vec<VectorStruct> = match batch.vectors {
        Columns::Unnamed(vectors) => vectors,
        Columns::Named(columns) => {
            let mut rows: Vec<_> = (0..count).map(|_| BTreeMap::new()).collect();
            for (name, column) in columns {
                check("named vectors", column.len())?;
                for (row, vector) in rows.iter_mut().zip(column) {
                    row.insert(name.clone(), vector);
                }
            }
            rows.into_iter().map(VectorStruct::Named).collect()
        }
    };
    check("vectors", vectors.len())?;
    let payloads = batch.payloads.unwrap_or_else(|| vec![None; count]);
    check("payloads", payloads.len())?;
    let rows = batch.ids.into_iter().zip(vectors).zip(payloads);
    Ok(rows
        .map(|((id, vector), payload)| PointInput { id, vector, payload })
        .collect())
}

pub(super) async fn get(Shared(state): Shared<Arc<State>>, Path((name, id)): Path<(String, String)>) -> Response {
    answer(|| {
        let id = PointId::parse(&id)
            .ok_or_else(|| StoreError::WrongInput(format!("Can not recognize {id:?} as point id")))?;
        let store = state.store();
        let point = store
            .collection(&name)?
            .point(id)
            .ok_or_else(|| StoreError::NotFound(format!("Point with id {id} does not exists!")))?;
        Ok(Record::new(point, &WithPayload::All(true), &WithVector::All(true)))
    })
}

#[derive(Deserialize)]
struct Retrieve {
    ids: Vec<PointId>,
    #[serde(default)]
    with_payload: Option<WithPayload>,
    #[serde(default, alias = "with_vectors")]
    with_vector: Option<WithVector>,
}

/// Points by their ids: each once, in the order of points; those that are missing are left out.
pub(super) async fn retrieve(Shared(state): Shared<Arc<State>>, Path(name): Path<String>, bytes: Bytes) -> Response {
    answer(|| {
        let request: Retrieve = body(&bytes)?;
        let payload = request.with_payload.unwrap_or(WithPayload::All(false));
        let vector = request.with_vector.unwrap_or(WithVector::All(false));
        let store = state.store();
        let collection = store.collection(&name)?;
        let ids: BTreeSet<PointId> = request.ids.into_iter().collect();
        let found = ids.into_iter().filter_map(|id| collection.point(id));
        Ok(found
            .map(|point| Record::new(point, &payload, &vector))
            .collect::<Vec<_>>())
    })
}

#[derive(Deserialize)]
struct Scroll {
    #[serde(default)]
    filter: Option<Filter>,
    #[serde(default)]
    limit: Option<usize>,
    #[serde(default)]
    offset: Option<PointId>,
    #[serde(default)]
    order_by: Option<Value>,
    #[serde(default)]
    with_payload: Option<WithPayload>,
    #[serde(default, alias = "with_vectors")]
    with_vector: Option<WithVector>,
}

#[derive(Serialize)]
struct Page {
    points: Vec<Record>,
    next_page_offset: Option<PointId>,
}

pub(super) async fn scroll(Shared(state): Shared<Arc<State>>, Path(name): Path<String>, bytes: Bytes) -> Response {
    answer(|| {
        let request: Scroll = body(&bytes)?;
        if request.order_by.is_some() {
            return Err(StoreError::unserved("`order_by`").into());
        }
        let limit = request.limit.unwrap_or(DEFAULT_LIMIT);
        if limit == 0 {
            return Err(StoreError::invalid("limit: value 0 invalid, must be 1 or larger").into());
        }
        let store = state.store();
        let collection = store.collection(&name)?;
        checked(request.filter.as_ref())?;
        let payload = request.with_payload.unwrap_or(WithPayload::All(true));
        let vector = request.with_vector.unwrap_or(WithVector::All(false));
        let mut rest = collection
            .matching(request.filter.as_ref())
            .filter(|point| request.offset.is_none_or(|offset| point.id >= offset));
        let points = rest
            .by_ref()
            .take(limit)
            .map(|point| Record::new(point, &payload, &vector))
            .collect();
        Ok(Page {
            points,
            next_page_offset: rest.next().map(|point| point.id),
        })
    })
}

#[derive(Deserialize)]
struct Count {
    #[serde(default)]
    filter: Option<Filter>,
}

pub(super) async fn count(Shared(state): Shared<Arc<State>>, Path(name): Path<String>, bytes: Bytes) -> Response {
    answer(|| {
        let request: Count = body(&bytes)?;
        let store = state.store();
        let collection = store.collection(&name)?;
        checked(request.filter.as_ref())?;
        Ok(json!({"count": collection.matching(request.filter.as_ref()).count()}))
    })
}

/// Removes by ids or by a filter; an empty filter removes everything, as on a real server.
pub(super) async fn delete(
    Shared(state): Shared<Arc<State>>,
    Extension(access): Extension<Access>,
    Path(name): Path<String>,
    wait: Query<Wait>,
    bytes: Bytes,
) -> Response {
    answer(|| {
        let mut request: Map<String, Value> = body(&bytes)?;
        let selector = match (request.remove("points"), request.remove("filter")) {
            (Some(ids), _) => Selector::Ids(part(ids)?),
            (None, Some(filter)) => Selector::Filter(part(filter)?),
            (None, None) => {
                let what = "data did not match any variant of untagged enum PointsSelector";
                return Err(StoreError::Format(what.to_owned()).into());
            }
        };
        if let Selector::Filter(filter) = &selector {
            filter.check()?;
        }
        let mut store = state.store_mut();
        let collection = store.collection_mut(&name)?;
        access.write()?;
        Ok(Update::new(collection.delete(&selector)?, &wait))
    })
}

fn checked(filter: Option<&Filter>) -> Result<(), StoreError> {
    filter.map_or(Ok(()), Filter::check)
}
