//! A store's data: what the instance in it holds, and the call it serves.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::Instant;
use wasmtime::component::ResourceTable;
use wasmtime_wasi::{WasiCtx, WasiCtxBuilder, WasiCtxView, WasiView};
use wasmtime_wasi_config::WasiConfigVariables;
use wasmtime_wasi_io::IoView;

use crate::bindings::v0_1_0::types::HttpError;
use crate::instance::log::{GuestLog, LogBudget};
use crate::instance::memory::MemoryLimiter;
use crate::lend::http::LentHttp;
use crate::lend::wasi_http::SecondDoor;
use crate::storage::Storage;

/// What a provider's instances are given. The same for all of them.
#[derive(Debug, Clone)]
pub(crate) struct Grants {
    pub(crate) config: BTreeMap<String, String>,
    pub(crate) memory: usize,
    /// Live handles: streams, futures, resources, tasks.
    pub(crate) handles: usize,
    /// For the log lines of all instances together.
    pub(crate) log: Arc<LogBudget>,
    /// Bytes it may hand over in one call of a lent function.
    pub(crate) host_call_bytes: usize,
    /// None while the component describes itself, and for one that does not import it.
    pub(crate) http: Option<Arc<LentHttp>>,
    pub(crate) storage: Option<Storage>,
}

/// The call an instance serves. Whatever is under way for it holds it.
#[derive(Debug)]
pub(crate) struct CallContext {
    pub(crate) operation: &'static str,
    /// When the call is ended.
    pub(crate) deadline: Instant,
    /// One permit an HTTP request of the call.
    pub(crate) requests: Arc<Semaphore>,
    /// Whether a denial was logged already: a guest that asks again and again fills no log.
    pub(crate) told_denial: AtomicBool,
    /// Whether it did anything that must not be done twice: sent a request, used its storage, began to answer.
    acted: AtomicBool,
}

impl CallContext {
    pub(crate) fn new(operation: &'static str, deadline: Instant, max_concurrent_requests: usize) -> Self {
        CallContext {
            operation,
            deadline,
            requests: Arc::new(Semaphore::new(max_concurrent_requests)),
            told_denial: AtomicBool::new(false),
            acted: AtomicBool::new(false),
        }
    }

    /// From now on the call is not run again, whatever becomes of its instance.
    pub(crate) fn act(&self) {
        self.acted.store(true, Ordering::Relaxed);
    }

    /// Whether running the call again could do something twice.
    pub(crate) fn has_acted(&self) -> bool {
        self.acted.load(Ordering::Relaxed)
    }

    /// For one HTTP request, until its answer has ended.
    pub(crate) fn permit(&self) -> Result<OwnedSemaphorePermit, HttpError> {
        self.requests.clone().try_acquire_owned().map_err(|_| {
            HttpError::Overloaded("too many requests of one call in flight (limits.max_concurrent_requests)".to_owned())
        })
    }
}

/// The data of one instance's store.
pub(crate) struct InstanceState {
    pub(crate) table: ResourceTable,
    wasi: WasiCtx,
    pub(crate) config: WasiConfigVariables,
    pub(crate) memory: MemoryLimiter,
    pub(crate) log: GuestLog,
    pub(crate) http: Option<Arc<LentHttp>>,
    pub(crate) second_door: SecondDoor,
    pub(crate) storage: Option<Storage>,
    pub(crate) call: Option<Arc<CallContext>>,
}

impl InstanceState {
    pub(crate) fn new(grants: &Grants) -> Self {
        let log = GuestLog::new(grants.log.clone());
        let mut table = ResourceTable::new();
        table.set_max_capacity(grants.handles);
        InstanceState {
            table,
            wasi: WasiCtxBuilder::new().stdout(log.clone()).stderr(log.clone()).build(),
            config: grants
                .config
                .iter()
                .map(|(key, value)| (key.clone(), value.clone()))
                .collect(),
            memory: MemoryLimiter::new(grants.memory),
            log,
            http: grants.http.clone(),
            second_door: SecondDoor::new(grants.http.clone()),
            storage: grants.storage.clone(),
            call: None,
        }
    }
}

impl InstanceState {
    /// Turns to a new call: nothing that was kept of the last one shows in it.
    pub(crate) fn begin_call(&mut self, call: Arc<CallContext>) {
        self.log.begin_call(call.operation);
        self.second_door.begin_call(&call);
        self.call = Some(call);
        self.memory.forget_refusal();
    }

    /// Ends the call. Whether nothing is under way for it any more: an exchange or a stream the guest left behind.
    pub(crate) fn end_call(&mut self) -> bool {
        self.log.flush_line();
        self.call.take().is_none_or(|call| Arc::into_inner(call).is_some())
    }
}

impl Drop for InstanceState {
    fn drop(&mut self) {
        self.log.flush_line();
    }
}

impl IoView for InstanceState {
    fn table(&mut self) -> &mut ResourceTable {
        &mut self.table
    }
}

impl WasiView for InstanceState {
    fn ctx(&mut self) -> WasiCtxView<'_> {
        WasiCtxView {
            ctx: &mut self.wasi,
            table: &mut self.table,
        }
    }
}
