//! The pool's lock, and what is behind it: [`Core`] tells [`crate::admission`] what happens and carries out what it
//! decides.
//!
//! Decisions are made under the lock and carried out after it, so whatever a decision sets off may take the lock again.

mod acquire;
mod control;
mod lease;
mod reaper;
mod spare;
mod task;

use std::hash::{BuildHasher, RandomState};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;

use arc_swap::{ArcSwap, Guard};
use foldhash::{HashMap, HashMapExt};
use tokio::runtime::Handle;
use tokio::sync::{Notify, oneshot};
use tokio::time::Instant;

use crate::admission::{Admission, ConnectionId, Decision, Limits, Need, WaiterId};
use crate::ceiling::Ceiling;
use crate::config::PoolConfig;
use crate::connect::{Connector, Forward, Sender};
use crate::destination::Destinations;
use crate::error::SendError;
use crate::meter::Meter;
use crate::options::{Deadlines, later};
use crate::origin::Origin;
use crate::reason::CloseReason;
use crate::settings::PoolSettings;
use crate::stats::{PoolStats, Stats};

pub(crate) use control::Control;
use control::{Permit, Stage};
pub(crate) use lease::Lease;

/// One pool.
#[derive(Debug)]
pub(crate) struct Core {
    pub name: Arc<str>,
    settings: ArcSwap<PoolSettings>,
    pub stats: Arc<Stats>,
    pub ceiling: Arc<Ceiling>,
    pub destinations: Destinations,
    /// Told whenever a request ends or a socket closes, while somebody watches.
    pub ebbed: Notify,
    watchers: AtomicUsize,
    connector: Connector,
    state: Mutex<State>,
    runtime: OnceLock<Handle>,
    stirred: Arc<Notify>,
}

#[derive(Debug)]
struct State {
    admission: Admission,
    connections: HashMap<ConnectionId, Connection>,
    waiters: HashMap<WaiterId, Waiter>,
}

#[derive(Debug)]
struct Connection {
    control: Arc<Control>,
    /// `None` while it is being dialled, and over HTTP/1.1 while it is lent.
    sender: Option<Sender>,
}

#[derive(Debug)]
struct Waiter {
    reply: oneshot::Sender<Result<Lease, SendError>>,
    origin: Origin,
    deadlines: Deadlines,
}

/// A decision with all it takes to carry it out.
enum Effect {
    Tell(oneshot::Sender<Result<Lease, SendError>>, Result<Lease, SendError>),
    Dial(Arc<Control>, Arc<Permit>, Duration),
    Close(Arc<Control>, CloseReason, Option<Sender>),
}

impl Core {
    pub fn new(name: &str, settings: PoolSettings, connector: Connector, ceiling: Arc<Ceiling>) -> Arc<Self> {
        let limits = Limits::of(&settings.config);
        let state = State {
            admission: Admission::new(limits, ceiling.allowance.clone()),
            connections: HashMap::new(),
            waiters: HashMap::new(),
        };
        let core = Arc::new(Self {
            name: name.into(),
            stats: Arc::new(Stats::new()),
            ceiling,
            destinations: Destinations::default(),
            ebbed: Notify::new(),
            watchers: AtomicUsize::new(0),
            connector,
            state: Mutex::new(state),
            runtime: OnceLock::new(),
            stirred: Arc::new(Notify::new()),
            settings: ArcSwap::from_pointee(settings),
        });
        core.ceiling.enter(Arc::downgrade(&core));
        core
    }

    /// The settings in force.
    pub fn settings(&self) -> Guard<Arc<PoolSettings>> {
        self.settings.load()
    }

    /// Goes by other limits and deadlines from here on.
    pub fn resize(self: &Arc<Self>, settings: PoolSettings) {
        let limits = Limits::of(&settings.config);
        self.settings.store(Arc::new(settings));
        self.transact(|state, _| state.admission.resize(limits, Instant::now()));
        // What lies idle may have less time from now on.
        self.stirred.notify_one();
    }

    /// Closes an idle connection for another pool's sake. Returns whether there was one.
    pub fn close_one_idle(self: &Arc<Self>) -> bool {
        // Its own want, if it has one, is known already: to tell it again from here would be a circle.
        self.change(|state, _| state.admission.close_one_idle()).0
    }

    /// There may be more sockets to be had.
    pub fn go_on(self: &Arc<Self>) {
        self.transact(|state, _| state.admission.go_on(Instant::now()));
    }

    pub fn snapshot(&self) -> PoolStats {
        let counts = self.lock().admission.counts();
        self.stats
            .snapshot(counts, self.settings().config.max_connections.get())
    }

    pub fn is_open(&self) -> bool {
        self.lock().admission.is_open()
    }

    /// The number of sockets there are, in whatever state.
    pub fn sockets(&self) -> usize {
        self.lock().admission.counts().sockets
    }

    /// How requests to `origin` are to be written if a proxy passes them on.
    pub fn forwarding(&self, origin: &Origin) -> Option<Forward<'_>> {
        self.connector.forwarding(origin)
    }

    /// Has [`Self::ebbed`] told for as long as the guard lives.
    pub fn watch(self: &Arc<Self>) -> impl Drop + use<> {
        self.watchers.fetch_add(1, Ordering::SeqCst);
        Watching(self.clone())
    }

    /// A request has ended, or a socket has closed.
    pub fn ebb(&self) {
        // Asked after what has ended was counted, and the other way round by those who watch: one sees the other.
        if self.watchers.load(Ordering::SeqCst) > 0 {
            self.ebbed.notify_waiters();
        }
    }

    /// What a request needs whose connection has just died.
    pub fn need_fresh(&self) -> Need {
        Need::OpenedAfter(self.lock().admission.moment())
    }

    pub fn closed_error(&self) -> SendError {
        SendError::Closed {
            pool: self.name.to_string(),
        }
    }

    /// Admits nobody any more, and tells those in line.
    ///
    /// Returns how many callers in line were turned away.
    pub fn shut(self: &Arc<Self>) -> usize {
        let turned_away = self.transact(|state, effects| {
            let waiters = state.admission.shut();
            for waiter in &waiters {
                effects.extend(state.tell(*waiter, Err(self.closed_error())));
            }
            waiters.len()
        });
        self.stirred.notify_one();
        turned_away
    }

    /// Ends every connection at once.
    pub fn sever_all(&self) {
        let controls: Vec<_> = self
            .lock()
            .connections
            .values()
            .map(|connection| connection.control.clone())
            .collect();
        for control in controls {
            control.sever(CloseReason::PoolClosed);
        }
    }

    /// A dial has ended in a connection.
    fn opened(self: &Arc<Self>, control: &Arc<Control>, sender: Sender, streams: usize, took: Duration) {
        self.stats.connection_opened();
        self.stats.connect.record(took);
        tracing::debug!(pool = %self.name, origin = %control.origin, connection = control.id.0, protocol = ?control.protocol(), ?took, "connection opened");
        let now = Instant::now();
        let retire_at = self
            .settings()
            .config
            .max_connection_age
            .map(|age| later(now, jittered(age, control.id)));
        let unwanted = self.transact(|state, _| match state.connections.get_mut(&control.id) {
            Some(connection)
                if state
                    .admission
                    .opened(control.id, control.protocol(), streams, retire_at, now) =>
            {
                connection.sender = Some(sender);
                None
            }
            _ => Some(sender),
        });
        drop(unwanted);
    }

    fn dial_failed(self: &Arc<Self>, control: &Control, error: SendError) {
        self.stats.dial_failed();
        tracing::debug!(pool = %self.name, origin = %control.origin, connection = control.id.0, %error, "dial failed");
        self.transact(|state, effects| {
            let told = state.admission.dial_failed(control.id, Instant::now());
            // Callers past their deadline had waited for this dial: its failure is theirs as well.
            for decision in state.admission.take_decisions() {
                effects.extend(match (decision, error.of_same_dial()) {
                    (Decision::GiveUp { waiter }, Some(error)) if state.waits_for(waiter, &control.origin) => {
                        state.tell(waiter, Err(error))
                    }
                    _ => self.prepare(state, decision),
                });
            }
            if let Some(waiter) = told {
                effects.extend(state.tell(waiter, Err(error)));
            }
        });
    }

    /// A connection comes back after an exchange that ended well.
    fn released(self: &Arc<Self>, control: &Control, sender: Sender, keep_alive: Option<Duration>, now: Instant) {
        let spare = self.transact(|state, _| {
            let Some(connection) = state.connections.get_mut(&control.id) else {
                return Some(sender);
            };
            let spare = match connection.sender {
                Some(_) => Some(sender),
                None => {
                    connection.sender = Some(sender);
                    None
                }
            };
            state.admission.released(control.id, keep_alive, now);
            spare
        });
        drop(spare);
        if self.ceiling.is_wanted() {
            self.close_one_idle();
        }
    }

    /// A connection comes back to be closed, or has ended by itself.
    fn lost(self: &Arc<Self>, control: &Control, reason: CloseReason, sender: Option<Sender>) {
        self.transact(|state, _| state.admission.lost(control.id, reason, Instant::now()));
        drop(sender);
    }

    /// A connection takes no more requests.
    fn retire(self: &Arc<Self>, control: &Control, reason: CloseReason) {
        self.transact(|state, _| state.admission.retire(control.id, reason, Instant::now()));
    }

    fn streams_changed(self: &Arc<Self>, control: &Control, streams: usize) {
        self.transact(|state, _| state.admission.streams_changed(control.id, streams, Instant::now()));
    }

    /// A request over the connection has failed while nothing came from the peer. It is not lent until a ping is answered.
    fn doubt(self: &Arc<Self>, control: &Control) {
        self.transact(|state, _| state.admission.doubt(control.id));
        control.doubt();
    }

    /// The peer has shown that it is there.
    fn trust(self: &Arc<Self>, control: &Control) {
        self.transact(|state, _| state.admission.trust(control.id, Instant::now()));
    }

    /// The socket is closed.
    fn socket_gone(self: &Arc<Self>, control: &Control) {
        if let Some((opened, protocol)) = control.opened() {
            let (reason, age) = (control.reason(), opened.elapsed());
            self.stats.connection_closed(reason);
            tracing::debug!(pool = %self.name, origin = %control.origin, connection = control.id.0, ?protocol, ?age, reason = reason.as_str(), "connection closed");
        }
        let forgotten = self.transact(|state, effects| {
            if let Some(waiter) = state.admission.closed(control.id, Instant::now()) {
                effects.extend(state.tell(waiter, Err(self.closed_error())));
            }
            state.connections.remove(&control.id)
        });
        drop(forgotten);
        self.ebb();
    }

    /// Closes what has lain idle too long; returns when to look again.
    fn expire(self: &Arc<Self>) -> Option<Instant> {
        self.transact(|state, _| {
            state.admission.expire(Instant::now());
            state.admission.next_expiry()
        })
    }

    /// Remembers the runtime for the dials that are set off outside of it, and starts the reaper.
    fn enter_runtime(self: &Arc<Self>) {
        self.runtime.get_or_init(|| {
            let runtime = Handle::current();
            runtime.spawn(reaper::run(Arc::downgrade(self), self.stirred.clone()));
            runtime
        });
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // No code that may panic runs under the lock between two changes that belong together.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Changes the state, then carries out what follows from it.
    fn transact<R>(self: &Arc<Self>, change: impl FnOnce(&mut State, &mut Vec<Effect>) -> R) -> R {
        let (result, starving) = self.change(change);
        if starving {
            self.ceiling.starves(self);
        }
        result
    }

    /// As [`Self::transact`]; tells as well whether the pool waits for a socket that others have.
    fn change<R>(self: &Arc<Self>, change: impl FnOnce(&mut State, &mut Vec<Effect>) -> R) -> (R, bool) {
        let mut effects = Vec::new();
        let (result, first_idle, starving) = {
            let mut state = self.lock();
            let idle_before = state.admission.counts().idle;
            let result = change(&mut state, &mut effects);
            for decision in state.admission.take_decisions() {
                effects.extend(self.prepare(&mut state, decision));
            }
            let first_idle = idle_before == 0 && state.admission.counts().idle > 0;
            (result, first_idle, state.admission.is_starving())
        };
        if first_idle {
            self.stirred.notify_one();
        }
        for effect in effects {
            self.carry_out(effect);
        }
        (result, starving)
    }

    fn prepare(self: &Arc<Self>, state: &mut State, decision: Decision) -> Option<Effect> {
        match decision {
            Decision::Lend {
                waiter,
                connection,
                reused,
            } => {
                let lease = state.lease(self, connection, reused);
                state.tell(waiter, lease.ok_or_else(|| self.closed_error()))
            }
            Decision::Dial { connection, waiter } => {
                let origin = state.admission.origin(connection)?.clone();
                let limit = state.waiters.get(&waiter).map(|waiter| waiter.deadlines.connect);
                let limit = limit.unwrap_or_else(|| self.settings().config.connect_timeout);
                let meter = Meter::new(self.stats.clone(), Instant::now());
                let control = Control::new(connection, origin, meter);
                state.connections.insert(
                    connection,
                    Connection {
                        control: control.clone(),
                        sender: None,
                    },
                );
                let permit = Permit::new(self, control.clone());
                Some(Effect::Dial(control, permit, limit))
            }
            Decision::Close { connection, reason } => {
                let connection = state.connections.get_mut(&connection)?;
                Some(Effect::Close(
                    connection.control.clone(),
                    reason,
                    connection.sender.take(),
                ))
            }
            Decision::GiveUp { waiter } => {
                let error = self.pool_timeout(state.waiters.get(&waiter)?);
                state.tell(waiter, Err(error))
            }
        }
    }

    fn carry_out(self: &Arc<Self>, effect: Effect) {
        match effect {
            // A caller who has just gone away drops the lease, which gives the connection back.
            Effect::Tell(reply, outcome) => drop(reply.send(outcome)),
            Effect::Dial(control, permit, limit) => {
                let task = task::run(Arc::downgrade(self), self.connector.clone(), limit, permit, control);
                match Handle::try_current().ok().as_ref().or(self.runtime.get()) {
                    Some(runtime) => drop(runtime.spawn(task)),
                    None => drop(task),
                }
            }
            Effect::Close(control, reason, sender) => {
                control.note(reason);
                drop(sender);
                control.advance(Stage::Leaving);
            }
        }
    }
}

/// Somebody waits for requests to end or sockets to close.
struct Watching(Arc<Core>);

impl Drop for Watching {
    fn drop(&mut self) {
        self.0.watchers.fetch_sub(1, Ordering::SeqCst);
    }
}

impl Drop for Core {
    fn drop(&mut self) {
        self.stirred.notify_one();
    }
}

impl State {
    fn waits_for(&self, waiter: WaiterId, origin: &Origin) -> bool {
        self.waiters.get(&waiter).is_some_and(|waiter| waiter.origin == *origin)
    }

    fn tell(&mut self, waiter: WaiterId, outcome: Result<Lease, SendError>) -> Option<Effect> {
        Some(Effect::Tell(self.waiters.remove(&waiter)?.reply, outcome))
    }

    /// The lease of a connection that admission has lent.
    fn lease(&mut self, core: &Arc<Core>, id: ConnectionId, reused: bool) -> Option<Lease> {
        let connection = self.connections.get_mut(&id)?;
        let sender = match &connection.sender {
            Some(sender) => sender.another().or_else(|| connection.sender.take())?,
            None => return None,
        };
        Some(Lease::new(core.clone(), connection.control.clone(), sender, reused))
    }
}

impl Limits {
    fn of(config: &PoolConfig) -> Self {
        Self {
            max_connections: config.max_connections.get(),
            max_idle: config.max_keepalive_connections,
            max_waiters: config.max_waiters,
            keepalive_expiry: config.keepalive_expiry,
            keeps: config.enabled,
            http2: config.enable_http2,
            http2_prior_knowledge: config.http2_prior_knowledge,
        }
    }
}

/// Up to a fifth less than `age`, different for each connection.
fn jittered(age: Duration, id: ConnectionId) -> Duration {
    let random = RandomState::new().hash_one(id) % 1_000;
    age.mul_f64(1.0 - 0.2 * (random as f64) / 1_000.0)
}
