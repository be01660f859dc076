//! A named pool: [`Pool::send`].

use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwapOption;
use bytes::Bytes;
use http::{Request, Response, Uri};
use http_body_util::BodyExt;
use tokio::runtime::Handle;
use tokio::time::{Instant, timeout_at};
use tracing::Instrument;

use crate::attempt::{Attempts, attempt};
use crate::body::ResponseBody;
use crate::ceiling::Ceiling;
use crate::config::PoolConfig;
use crate::connect::Connector;
use crate::core::Core;
use crate::error::SendError;
use crate::load::health::{Health, HealthReason};
use crate::load::{Load, probe};
use crate::options::{Deadlines, SendOptions};
use crate::outgoing::Outgoing;
use crate::record::Entry;
use crate::settings::PoolSettings;
use crate::stats::PoolStats;

/// The operation under which probes stand in the books.
const PROBE: &str = "health-probe";

/// How long closing a pool waits for its sockets to go after their requests were cut off.
const LAST_SOCKETS: Duration = Duration::from_secs(1);

/// A handle of a named pool. Clones share its connections; dropping the last one closes those that are idle.
#[derive(Clone, Debug)]
pub struct Pool {
    core: Arc<Core>,
    load: Arc<ArcSwapOption<Load>>,
}

impl Pool {
    pub(crate) fn new(name: &str, settings: PoolSettings, connector: Connector, ceiling: Arc<Ceiling>) -> Self {
        let core = Core::new(name, settings, connector, ceiling);
        let load = Load::over(
            Attempts { core: core.clone() },
            core.name.clone(),
            &core.settings().config,
            None,
        );
        let pool = Self {
            core,
            load: Arc::new(ArcSwapOption::new(load)),
        };
        pool.start_probe();
        pool
    }

    /// The pool's name.
    pub fn name(&self) -> &str {
        &self.core.name
    }

    /// The limits and deadlines in force.
    pub fn config(&self) -> PoolConfig {
        self.core.settings().config.clone()
    }

    pub(crate) fn settings(&self) -> Arc<PoolSettings> {
        Arc::clone(&self.core.settings())
    }

    pub(crate) fn resize(&self, settings: PoolSettings) {
        let before = self.settings();
        self.core.resize(settings);
        let config = &self.core.settings().config;
        if before.config.differs_in_load(config) {
            let (attempts, name) = (
                Attempts {
                    core: self.core.clone(),
                },
                self.core.name.clone(),
            );
            // Requests under way go on in the layers they have begun in.
            let load = Load::over(attempts, name, config, self.load.load().as_deref());
            self.load.store(load);
            self.start_probe();
        }
    }

    pub(crate) fn is(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.core, &other.core)
    }

    /// How the pool is doing. Takes its lock for as long as it takes to copy a few numbers.
    pub fn stats(&self) -> PoolStats {
        let mut stats = self.core.snapshot();
        if let Some(load) = &*self.load.load() {
            load.add_to(&mut stats);
        }
        stats
    }

    /// What can be expected of the pool, and why: open breakers, exhaustion, a failing probe, a server that asked to be
    /// left alone. Costs about as much as [`Self::stats`] and sends nothing.
    pub fn health(&self) -> Health {
        let mut reasons = Vec::new();
        if !self.core.is_open() {
            reasons.push(HealthReason::Closed);
        }
        let stats = self.core.snapshot();
        let sockets = stats.active + stats.idle + stats.connecting + stats.closing;
        if stats.waiting > 0 && sockets >= stats.max_connections {
            reasons.push(HealthReason::Exhausted { waiting: stats.waiting });
        }
        if let Some(load) = &*self.load.load() {
            load.complain(&mut reasons);
        }
        Health::of(reasons)
    }

    /// Sends a request and returns the head of its answer; the body holds the connection until it is read or dropped.
    ///
    /// The URI must be absolute. The pool sets `Host`, the length and whatever else concerns the connection, and
    /// replaces what the caller set of it. A redirect is an answer like any other.
    ///
    /// The request is sent once more, on a fresh connection, if a reused connection turns out to be dead before the
    /// answer begins and the server cannot have acted on the request, or may do so twice (an idempotent method, an
    /// `Idempotency-Key` or [`SendOptions::replay_safe`]). No other failure is retried, unless [`crate::LoadConfig`]
    /// says so; what else it asks for applies to every request as well.
    ///
    /// Dropping the future at any point is safe: the caller leaves the line, and a request under way is cut off.
    ///
    /// # Errors
    ///
    /// [`SendError`] says what happened and whether the server may have acted on the request.
    pub async fn send(
        &self,
        request: Request<Bytes>,
        options: SendOptions,
    ) -> Result<Response<ResponseBody>, SendError> {
        let started = Instant::now();
        let entry = Entry::begin(self.core.clone(), options.operation.as_ref(), started);
        let (deadlines, decompress) = {
            let config = &self.core.settings().config;
            (Deadlines::new(config, &options, started), config.decompress)
        };
        let outgoing = match Outgoing::new(request, options.replay_safe, decompress, &self.core.destinations) {
            Ok(outgoing) => outgoing,
            Err(error) => {
                entry.fail(&error);
                return Err(error);
            }
        };
        let span = tracing::info_span!(
            "http_request",
            pool = self.name(),
            origin = %outgoing.origin,
            operation = options.operation.as_deref(),
        );
        let answered = match self.load.load_full() {
            None => attempt(&self.core, &outgoing, &deadlines, || {}).instrument(span).await,
            Some(load) => {
                self.start_probe();
                load.send(outgoing, deadlines, options.tokens).instrument(span).await
            }
        };
        match answered {
            Ok(mut response) => {
                match response.body_mut().record() {
                    Some(record) => record.enter(entry),
                    None => entry.succeed(response.status(), Instant::now()),
                }
                Ok(response)
            }
            Err(error) => {
                entry.fail(&error);
                Err(error)
            }
        }
    }

    /// Stops admission, waits for the requests under way until `deadline`, then cuts off the rest. Returns how many
    /// ended by themselves and how many were cut off.
    pub(crate) async fn close(&self, deadline: Instant) -> (usize, usize) {
        let core = &self.core;
        let in_line = self.load.load().as_ref().map_or(0, |load| load.close());
        let turned_away = in_line + core.shut();
        let at_first = core.stats.in_flight().saturating_sub(turned_away);
        let _ = timeout_at(deadline, self.until(|| core.stats.in_flight() == 0)).await;
        let cut_off = core.stats.in_flight();
        core.sever_all();
        let _ = timeout_at(Instant::now() + LAST_SOCKETS, self.until(|| core.sockets() == 0)).await;
        (at_first.saturating_sub(cut_off), cut_off)
    }

    /// Starts the probe, if one is configured, it has not been started, and there is a runtime to run it.
    fn start_probe(&self) {
        let (Some(load), Ok(runtime)) = (self.load.load_full(), Handle::try_current()) else {
            return;
        };
        load.start_probe(|config, findings, ending| {
            let core = Arc::downgrade(&self.core);
            let ask = move |uri| Some(is_well(core.upgrade()?, uri));
            runtime.spawn(probe::run(config, findings, ending, ask));
        });
    }

    async fn until(&self, reached: impl Fn() -> bool) {
        let _watching = self.core.watch();
        loop {
            let mut ebbed = std::pin::pin!(self.core.ebbed.notified());
            ebbed.as_mut().enable();
            if reached() {
                return;
            }
            ebbed.await;
        }
    }
}

/// Whether a GET is answered as it should be, past all load control.
async fn is_well(core: Arc<Core>, uri: Uri) -> bool {
    let started = Instant::now();
    let entry = Entry::begin(core.clone(), Some(&PROBE.into()), started);
    let deadlines = Deadlines::new(&core.settings().config, &SendOptions::default(), started);
    let asked = async {
        let mut request = Request::new(Bytes::new());
        *request.uri_mut() = uri;
        let outgoing = Outgoing::new(request, true, true, &core.destinations)?;
        let response = attempt(&core, &outgoing, &deadlines, || {}).await?;
        let status = response.status();
        response.into_body().collect().await?;
        Ok::<_, SendError>(status)
    };
    match asked.await {
        Ok(status) => {
            entry.succeed(status, Instant::now());
            status.as_u16() < 400
        }
        Err(error) => {
            entry.fail(&error);
            false
        }
    }
}
