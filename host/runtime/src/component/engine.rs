//! The one engine of a process, and the thread that ends its guests' time slices.

use std::thread;
use std::time::Duration;

use wasmtime::{Config, Engine, EngineWeak, InstanceAllocationStrategy, PoolingAllocationConfig};

use crate::error::RuntimeError;
use crate::instance::memory::MAX_TABLE_ELEMENTS;

/// How long a guest computes before it yields to the runtime's other work.
///
/// Long enough that a usual call (tens of microseconds) never meets it, short enough that a busy guest delays
/// others on its worker thread by no more than they would notice.
pub(crate) const SLICE: Duration = Duration::from_millis(5);

/// Linear memory that one slot can grow to: the engine's bound, above every provider's own `limits.memory`.
const MAX_MEMORY: usize = 4 << 30;

/// Instances of all providers together. Address space, not memory: a slot costs nothing before it is used.
pub(crate) const MAX_INSTANCES: u32 = 1_000;

/// Makes the engine and starts its epoch thread, which ends with the engine.
pub(crate) fn engine() -> Result<Engine, RuntimeError> {
    let mut pooling = PoolingAllocationConfig::new();
    pooling
        .total_component_instances(MAX_INSTANCES)
        .total_core_instances(MAX_INSTANCES * 4)
        .total_memories(MAX_INSTANCES)
        .total_tables(MAX_INSTANCES * 4)
        .total_stacks(MAX_INSTANCES * 2)
        .max_memory_size(MAX_MEMORY)
        .table_elements(MAX_TABLE_ELEMENTS)
        .max_memories_per_component(1)
        .max_tables_per_component(8)
        .max_core_instances_per_component(32)
        // A fresh instance reuses pages instead of faulting them in: 64 µs a call instead of 155 µs.
        .linear_memory_keep_resident(2 << 20)
        .table_keep_resident(64 << 10)
        .async_stack_keep_resident(64 << 10);

    let mut config = Config::new();
    config
        .wasm_component_model_async(true)
        .epoch_interruption(true)
        .wasm_backtrace_max_frames(std::num::NonZeroUsize::new(8))
        .allocation_strategy(InstanceAllocationStrategy::Pooling(pooling));
    let engine = Engine::new(&config).map_err(|error| RuntimeError::Engine(format!("{error:#}")))?;
    start_ticker(engine.weak())?;
    Ok(engine)
}

/// One thread an engine, of its own: a timer on the async runtime would stop just when every worker is busy
/// with a guest.
fn start_ticker(engine: EngineWeak) -> Result<(), RuntimeError> {
    thread::Builder::new()
        .name("weir-epoch".to_owned())
        .spawn(move || {
            loop {
                thread::park_timeout(SLICE);
                match engine.upgrade() {
                    Some(engine) => engine.increment_epoch(),
                    None => return,
                }
            }
        })
        .map(drop)
        .map_err(RuntimeError::Ticker)
}
