//! What the server has seen: connections and requests, counted where they happen.
//!
//! A connection is counted from its accept to the moment before its socket closes, a request from its head to the last
//! byte of its answer, so that what a client has seen end has also ended here.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use serde::Serialize;

use crate::Api;

/// Connections of one listener, or of all.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct ConnectionStats {
    /// Accepted since the start.
    pub opened: u64,
    /// Open now.
    pub open: u64,
    /// Most ever open at once.
    pub peak: u64,
}

/// Requests to one API, or to all.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct RequestStats {
    /// Received since the start.
    pub total: u64,
    /// Being answered now.
    pub in_flight: u64,
    /// Most ever being answered at once.
    pub peak_in_flight: u64,
    /// Given up by the client, or cut by an ordered fault, before the answer's last byte.
    pub cut: u64,
}

/// Everything counted, at one moment.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Stats {
    /// Connections of all listeners, the control one aside.
    pub connections: ConnectionStats,
    /// Connections by listener: `all`, `tls`, and the name of each API for its own port.
    pub listeners: BTreeMap<String, ConnectionStats>,
    /// Requests to all APIs, and to unknown paths.
    pub requests: RequestStats,
    /// Requests by API.
    pub apis: BTreeMap<Api, RequestStats>,
    /// How often each route was asked, such as `voyage POST /v1/embeddings`.
    pub paths: BTreeMap<String, u64>,
}

/// The counts, shared by everything that counts.
#[derive(Debug, Clone, Default)]
pub(crate) struct Counters(Arc<Mutex<Stats>>);

impl Counters {
    /// The counts as they stand.
    pub(crate) fn snapshot(&self) -> Stats {
        self.lock().clone()
    }

    /// Counts a connection until the guard is dropped.
    pub(crate) fn connection(&self, listener: &'static str) -> OpenConnection {
        let mut stats = self.lock();
        stats.connections.open();
        stats.listeners.entry(listener.to_owned()).or_default().open();
        OpenConnection {
            counters: self.clone(),
            listener,
        }
    }

    /// Counts a request until the guard is finished or dropped.
    pub(crate) fn request(&self, api: Option<Api>, method: &http::Method, path: &str) -> OpenRequest {
        let mut stats = self.lock();
        stats.requests.start();
        let owner = match api {
            Some(api) => {
                stats.apis.entry(api).or_default().start();
                api.name()
            }
            None => "unknown",
        };
        *stats.paths.entry(format!("{owner} {method} {path}")).or_default() += 1;
        OpenRequest {
            counters: self.clone(),
            api,
            finished: false,
        }
    }

    fn lock(&self) -> MutexGuard<'_, Stats> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl ConnectionStats {
    fn open(&mut self) {
        self.opened += 1;
        self.open += 1;
        self.peak = self.peak.max(self.open);
    }
}

impl RequestStats {
    fn start(&mut self) {
        self.total += 1;
        self.in_flight += 1;
        self.peak_in_flight = self.peak_in_flight.max(self.in_flight);
    }

    fn end(&mut self, finished: bool) {
        self.in_flight -= 1;
        self.cut += u64::from(!finished);
    }
}

/// An accepted connection; dropping it counts the close.
#[derive(Debug)]
pub(crate) struct OpenConnection {
    counters: Counters,
    listener: &'static str,
}

impl Drop for OpenConnection {
    fn drop(&mut self) {
        let mut stats = self.counters.lock();
        stats.connections.open -= 1;
        if let Some(listener) = stats.listeners.get_mut(self.listener) {
            listener.open -= 1;
        }
    }
}

/// A request being answered; dropping it unfinished counts it as cut.
#[derive(Debug)]
pub(crate) struct OpenRequest {
    counters: Counters,
    api: Option<Api>,
    finished: bool,
}

impl OpenRequest {
    /// The answer's last byte is on its way.
    pub(crate) fn finish(mut self) {
        self.finished = true;
    }
}

impl Drop for OpenRequest {
    fn drop(&mut self) {
        let mut stats = self.counters.lock();
        stats.requests.end(self.finished);
        if let Some(api) = self.api.and_then(|api| stats.apis.get_mut(&api)) {
            api.end(self.finished);
        }
    }
}

#[cfg(test)]
mod tests {
    use http::Method;

    use super::*;

    #[test]
    fn a_peak_outlasts_the_connections_that_made_it() {
        let counters = Counters::default();
        let (one, two) = (counters.connection("all"), counters.connection("tls"));
        drop(one);
        let stats = counters.snapshot();
        assert_eq!(
            stats.connections,
            ConnectionStats {
                opened: 2,
                open: 1,
                peak: 2
            }
        );
        assert_eq!(
            stats.listeners["all"],
            ConnectionStats {
                opened: 1,
                open: 0,
                peak: 1
            }
        );
        drop(two);
        assert_eq!(counters.snapshot().connections.open, 0);
    }

    #[test]
    fn an_unfinished_request_is_counted_as_cut() {
        let counters = Counters::default();
        counters
            .request(Some(Api::Voyage), &Method::POST, "/v1/embeddings")
            .finish();
        drop(counters.request(Some(Api::Voyage), &Method::POST, "/v1/embeddings"));
        drop(counters.request(None, &Method::GET, "/nowhere"));
        let stats = counters.snapshot();
        assert_eq!(
            stats.requests,
            RequestStats {
                total: 3,
                in_flight: 0,
                peak_in_flight: 1,
                cut: 2
            }
        );
        assert_eq!(
            stats.apis[&Api::Voyage],
            RequestStats {
                total: 2,
                in_flight: 0,
                peak_in_flight: 1,
                cut: 1
            }
        );
        assert_eq!(stats.paths["voyage POST /v1/embeddings"], 2);
        assert_eq!(stats.paths["unknown GET /nowhere"], 1);
    }
}
