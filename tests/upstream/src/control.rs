//! The control port: what the server has seen, and what is to go wrong, over HTTP under `/_control`.
//!
//! | request | does |
//! |---|---|
//! | `GET /_control/stats` | [`Stats`] |
//! | `GET /_control/requests?api=voyage&last=10` | the requests received, oldest first |
//! | `GET /_control/faults` | the faults that stand |
//! | `POST /_control/faults` | orders one [`Fault`], or a list of them |
//! | `DELETE /_control/faults` | calls all off |
//! | `POST /_control/latency` | `{"millis": 50, "api": "voyage"}`; without `api` for all |
//! | `DELETE /_control/connections?which=idle` | closes the idle connections, or with `which=all` every one |

use std::{sync::Arc, time::Duration};

use axum::{
    Json, Router,
    extract::{Query, State as Shared},
    routing::{get, post},
};
use http::StatusCode;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::{api::Api, connection::Connections, counters::Stats, faults::Fault, records::RequestRecord, state::State};

#[derive(Clone)]
struct Controlled {
    state: Arc<State>,
    connections: Arc<Connections>,
}

/// The routes of the control port.
pub(crate) fn router(state: Arc<State>, connections: Arc<Connections>) -> Router {
    Router::new()
        .route("/_control/stats", get(stats))
        .route("/_control/requests", get(requests))
        .route("/_control/faults", get(standing).post(order).delete(call_off))
        .route("/_control/latency", post(latency))
        .route("/_control/connections", axum::routing::delete(close))
        .with_state(Controlled { state, connections })
}

async fn stats(Shared(controlled): Shared<Controlled>) -> Json<Stats> {
    Json(controlled.state.counters.snapshot())
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Which {
    #[serde(default)]
    api: Option<Api>,
    #[serde(default)]
    last: Option<usize>,
}

async fn requests(Shared(controlled): Shared<Controlled>, which: Query<Which>) -> Json<Vec<RequestRecord>> {
    let mut records = controlled.state.records.of(which.api);
    let skip = which.last.map_or(0, |last| records.len().saturating_sub(last));
    Json(records.split_off(skip))
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Orders {
    Many(Vec<Fault>),
    One(Box<Fault>),
}

async fn standing(Shared(controlled): Shared<Controlled>) -> Json<Vec<Fault>> {
    Json(controlled.state.faults.standing())
}

async fn order(Shared(controlled): Shared<Controlled>, Json(orders): Json<Orders>) -> Json<Vec<Fault>> {
    match orders {
        Orders::Many(faults) => faults
            .into_iter()
            .for_each(|fault| controlled.state.faults.order(fault)),
        Orders::One(fault) => controlled.state.faults.order(*fault),
    }
    Json(controlled.state.faults.standing())
}

async fn call_off(Shared(controlled): Shared<Controlled>) -> StatusCode {
    controlled.state.faults.call_off();
    StatusCode::NO_CONTENT
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct SetLatency {
    millis: u64,
    #[serde(default)]
    api: Option<Api>,
}

async fn latency(Shared(controlled): Shared<Controlled>, Json(set): Json<SetLatency>) -> StatusCode {
    controlled.state.latency.set(set.api, Duration::from_millis(set.millis));
    StatusCode::NO_CONTENT
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Close {
    which: Group,
}

#[derive(Deserialize)]
#[serde(rename_all = "lowercase")]
enum Group {
    Idle,
    All,
}

async fn close(Shared(controlled): Shared<Controlled>, Query(Close { which }): Query<Close>) -> Json<Value> {
    let closed = match which {
        Group::Idle => controlled.connections.close_idle(),
        Group::All => controlled.connections.close_all(),
    };
    Json(json!({"closed": closed}))
}
