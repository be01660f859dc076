//! A store's data: what the instance in it holds, and the call it serves.

use std::collections::BTreeMap;
use std::sync::Arc;

use tokio::sync::Semaphore;
use wasmtime::component::ResourceTable;
use wasmtime_wasi::{WasiCtx, WasiCtxBuilder, WasiCtxView, WasiView};
use wasmtime_wasi_config::WasiConfigVariables;
use wasmtime_wasi_io::IoView;

use crate::instance::log::GuestLog;
use crate::instance::memory::MemoryLimiter;
use crate::lend::http::LentHttp;
use crate::storage::Storage;

/// What a provider's instances are given. The same for all of them.
#[derive(Debug, Clone)]
pub(crate) struct Grants {
    pub(crate) provider: Arc<str>,
    pub(crate) config: BTreeMap<String, String>,
    pub(crate) memory: usize,
    /// None while the component describes itself, and for one that does not import it.
    pub(crate) http: Option<Arc<LentHttp>>,
    pub(crate) storage: Option<Storage>,
}

/// The call an instance serves.
#[derive(Debug)]
pub(crate) struct CallContext {
    pub(crate) operation: &'static str,
    /// One permit an HTTP request of the call.
    pub(crate) requests: Arc<Semaphore>,
}

/// The data of one instance's store.
pub(crate) struct InstanceState {
    pub(crate) table: ResourceTable,
    wasi: WasiCtx,
    pub(crate) config: WasiConfigVariables,
    pub(crate) memory: MemoryLimiter,
    pub(crate) log: GuestLog,
    pub(crate) http: Option<Arc<LentHttp>>,
    pub(crate) storage: Option<Storage>,
    pub(crate) call: Option<Arc<CallContext>>,
}

impl InstanceState {
    pub(crate) fn new(grants: &Grants) -> Self {
        let log = GuestLog::new(grants.provider.clone());
        InstanceState {
            table: ResourceTable::new(),
            wasi: WasiCtxBuilder::new().stdout(log.clone()).stderr(log.clone()).build(),
            config: grants
                .config
                .iter()
                .map(|(key, value)| (key.clone(), value.clone()))
                .collect(),
            memory: MemoryLimiter::new(grants.memory),
            log,
            http: grants.http.clone(),
            storage: grants.storage.clone(),
            call: None,
        }
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
