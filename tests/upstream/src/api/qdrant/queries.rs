//! `/collections/{name}/points/query`, one query or several.

use std::sync::Arc;

use axum::{
    extract::{Path, State as Shared},
    response::Response,
};
use bytes::Bytes;
use serde::{Deserialize, Serialize};

use super::{answer, body};
use crate::{
    state::State,
    store::search::{Hit, Query},
};

#[derive(Serialize)]
struct Found {
    points: Vec<Hit>,
}

#[derive(Deserialize)]
struct Searches {
    searches: Vec<Query>,
}

pub(super) async fn query(Shared(state): Shared<Arc<State>>, Path(name): Path<String>, bytes: Bytes) -> Response {
    answer(|| {
        let query: Query = body(&bytes)?;
        Ok(Found {
            points: state.store().collection(&name)?.query(&query)?,
        })
    })
}

pub(super) async fn batch(Shared(state): Shared<Arc<State>>, Path(name): Path<String>, bytes: Bytes) -> Response {
    answer(|| {
        let request: Searches = body(&bytes)?;
        let store = state.store();
        let collection = store.collection(&name)?;
        let found = request.searches.iter().map(|query| {
            Ok(Found {
                points: collection.query(query)?,
            })
        });
        found.collect::<Result<Vec<_>, _>>()
    })
}
