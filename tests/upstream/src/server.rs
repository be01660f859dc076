//! The running server: what a test asks of it. [`builder`] starts it, [`endpoints`] tells where it listens.

pub(crate) mod builder;
pub(crate) mod endpoints;

use std::{fmt, sync::Arc, time::Duration};

use tokio::{sync::watch, time::timeout};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use crate::{
    api::Api, connection::Connections, counters::Stats, faults::Fault, records::RequestRecord, state::State,
    store::point::Point,
};
use builder::Builder;
use endpoints::Endpoints;

/// How long [`Upstream::shutdown`] lets answers under way finish.
const GRACE: Duration = Duration::from_secs(1);

/// A running server; dropping it closes every port and connection.
pub struct Upstream {
    state: Arc<State>,
    connections: Arc<Connections>,
    endpoints: Endpoints,
    ca_pem: Option<String>,
    kill: CancellationToken,
    drain: CancellationToken,
    up: watch::Sender<bool>,
    tasks: TaskTracker,
}

impl Upstream {
    /// Settings to start from.
    pub fn builder() -> Builder {
        Builder::new()
    }

    /// A server with every setting as it comes.
    ///
    /// # Errors
    /// As [`Builder::start`].
    pub async fn start() -> anyhow::Result<Self> {
        Self::builder().start().await
    }

    /// Every URL.
    pub fn endpoints(&self) -> &Endpoints {
        &self.endpoints
    }

    /// The port that serves all APIs.
    pub fn url(&self) -> &str {
        &self.endpoints.url
    }

    /// The base URL of an API on the port that serves all, as its clients take it.
    pub fn url_of(&self, api: Api) -> String {
        format!("{}/{api}{}", self.endpoints.url, api.base_path())
    }

    /// The base URL of an API on a port of its own, where its connections are counted apart.
    pub fn own_url_of(&self, api: Api) -> String {
        self.endpoints.own_ports.get(&api).cloned().unwrap_or_default()
    }

    /// The base URL of an API on the TLS port, if there is one.
    pub fn tls_url_of(&self, api: Api) -> Option<String> {
        self.endpoints
            .tls
            .as_ref()
            .map(|tls| format!("{}/{api}{}", tls.url, api.base_path()))
    }

    /// `…/voyage/v1`
    pub fn voyage_url(&self) -> String {
        self.url_of(Api::Voyage)
    }

    /// `…/cohere`, without the version: its clients add `/v2`.
    pub fn cohere_url(&self) -> String {
        self.url_of(Api::Cohere)
    }

    /// `…/openai/v1`
    pub fn openai_url(&self) -> String {
        self.url_of(Api::OpenAi)
    }

    /// `…/qdrant`
    pub fn qdrant_url(&self) -> String {
        self.url_of(Api::Qdrant)
    }

    /// The control port, `/_control` included.
    pub fn control_url(&self) -> &str {
        &self.endpoints.control
    }

    /// The authority that signed the TLS port's certificate, in PEM.
    pub fn ca_pem(&self) -> Option<&str> {
        self.ca_pem.as_deref()
    }

    /// What has been counted so far.
    pub fn stats(&self) -> Stats {
        self.state.counters.snapshot()
    }

    /// Orders a fault; it happens after those ordered before.
    pub fn order(&self, fault: Fault) {
        self.state.faults.order(fault);
    }

    /// Calls all faults off that have not happened yet.
    pub fn call_off_faults(&self) {
        self.state.faults.call_off();
    }

    /// The faults that have not happened yet, or happen always.
    pub fn faults(&self) -> Vec<Fault> {
        self.state.faults.standing()
    }

    /// How long every answer takes from now on, besides the work.
    pub fn set_latency(&self, latency: Duration) {
        self.state.latency.set(None, latency);
    }

    /// How long every answer of one API takes from now on, besides the work.
    pub fn set_latency_of(&self, api: Api, latency: Duration) {
        self.state.latency.set(Some(api), latency);
    }

    /// The requests an API received, oldest first, the last 1,000 of all.
    pub fn requests(&self, api: Api) -> Vec<RequestRecord> {
        self.state.records.of(Some(api))
    }

    /// The last request an API received.
    pub fn last_request(&self, api: Api) -> Option<RequestRecord> {
        self.requests(api).pop()
    }

    /// The points of a Qdrant collection in the order of their ids; none if there is no such collection.
    pub fn points(&self, collection: &str) -> Vec<Point> {
        self.state
            .store()
            .collection(collection)
            .map_or_else(|_| Vec::new(), |found| found.points().cloned().collect())
    }

    /// Closes the connections without a request under way, as a server does that has waited long enough. Gives their
    /// number.
    pub fn close_idle_connections(&self) -> usize {
        self.connections.close_idle()
    }

    /// Closes every connection at once. Gives their number.
    pub fn close_connections(&self) -> usize {
        self.connections.close_all()
    }

    /// Goes down, as a server does that is stopped: nothing listens, every connection is closed. What it holds is kept. The
    /// control port stays.
    pub fn go_down(&self) {
        self.up.send_replace(false);
        self.connections.close_all();
    }

    /// Comes up again on the same ports.
    pub fn come_up(&self) {
        self.up.send_replace(true);
    }

    /// Stops listening, lets answers under way finish for a second, then closes everything.
    pub async fn shutdown(self) {
        self.drain.cancel();
        self.tasks.close();
        if timeout(GRACE, self.tasks.wait()).await.is_err() {
            self.kill.cancel();
        }
    }
}

impl fmt::Debug for Upstream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Upstream")
            .field("endpoints", &self.endpoints)
            .finish_non_exhaustive()
    }
}

impl Drop for Upstream {
    fn drop(&mut self) {
        self.drain.cancel();
        self.kill.cancel();
    }
}
