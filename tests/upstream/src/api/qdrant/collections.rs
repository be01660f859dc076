//! `/collections`: listing, making, describing and removing collections, and indexes of payload keys.

use std::sync::Arc;

use axum::{
    Extension,
    extract::{Path, Query, State as Shared},
    response::Response,
};
use bytes::Bytes;
use serde::Deserialize;
use serde_json::{Value, json};

use super::{Access, Update, Wait, answer, body};
use crate::{
    state::State,
    store::{StoreError, collection::data_type},
};

/// The types an index can have.
const INDEX_TYPES: [&str; 8] = ["keyword", "integer", "float", "geo", "text", "bool", "datetime", "uuid"];

pub(super) async fn list(Shared(state): Shared<Arc<State>>) -> Response {
    answer(|| {
        let names: Vec<Value> = state
            .store()
            .names()
            .into_iter()
            .map(|name| json!({"name": name}))
            .collect();
        Ok(json!({"collections": names}))
    })
}

pub(super) async fn exists(Shared(state): Shared<Arc<State>>, Path(name): Path<String>) -> Response {
    answer(|| Ok(json!({"exists": state.store().collection(&name).is_ok()})))
}

pub(super) async fn info(Shared(state): Shared<Arc<State>>, Path(name): Path<String>) -> Response {
    answer(|| Ok(state.store().collection(&name)?.info()))
}

pub(super) async fn create(
    Shared(state): Shared<Arc<State>>,
    Extension(access): Extension<Access>,
    Path(name): Path<String>,
    bytes: Bytes,
) -> Response {
    answer(|| {
        let request = body(&bytes)?;
        access.write()?;
        state.store_mut().create(&name, request)?;
        Ok(true)
    })
}

/// Removing what is not there is a success that says `false`.
pub(super) async fn remove(
    Shared(state): Shared<Arc<State>>,
    Extension(access): Extension<Access>,
    Path(name): Path<String>,
) -> Response {
    answer(|| {
        access.write()?;
        Ok(state.store_mut().remove(&name))
    })
}

#[derive(Deserialize)]
struct CreateIndex {
    field_name: String,
    #[serde(default)]
    field_schema: Value,
}

pub(super) async fn create_index(
    Shared(state): Shared<Arc<State>>,
    Extension(access): Extension<Access>,
    Path(name): Path<String>,
    wait: Query<Wait>,
    bytes: Bytes,
) -> Response {
    answer(|| {
        let request: CreateIndex = body(&bytes)?;
        if !INDEX_TYPES.contains(&data_type(&request.field_schema)) {
            let what = "data did not match any variant of untagged enum PayloadFieldSchema";
            return Err(StoreError::Format(what.to_owned()).into());
        }
        let mut store = state.store_mut();
        let collection = store.collection_mut(&name)?;
        access.write()?;
        Ok(Update::new(
            collection.create_index(&request.field_name, request.field_schema),
            &wait,
        ))
    })
}

pub(super) async fn delete_index(
    Shared(state): Shared<Arc<State>>,
    Extension(access): Extension<Access>,
    Path((name, key)): Path<(String, String)>,
    wait: Query<Wait>,
) -> Response {
    answer(|| {
        let mut store = state.store_mut();
        let collection = store.collection_mut(&name)?;
        access.write()?;
        Ok(Update::new(collection.delete_index(&key), &wait))
    })
}
