//! One call: an instance leased for it, its limits, and what its end means.

use std::sync::Arc;

use futures::future::BoxFuture;
use tokio::time::{Instant, timeout_at};
use tracing::Instrument;
use wasmtime::component::Accessor;

use crate::bindings::v0_1_0::types;
use crate::component::engine::MAX_INSTANCES;
use crate::error::{CallError, CallErrorKind};
use crate::instance::cpu::metered;
use crate::instance::guest::{Exports, Instance};
use crate::instance::lease::Lease;
use crate::instance::state::{CallContext, InstanceState};
use crate::provider::Inner;
use crate::provider::stats::{Counters, TRAPS};

/// What a call of an export gives: wasmtime's own failure, or the adapter's answer.
pub(crate) type Answer<R> = wasmtime::Result<Result<R, types::Error>>;

/// The part of a call that differs between operations.
pub(crate) trait Work<R>:
    for<'a> FnOnce(&'a Accessor<InstanceState>, &'a Exports) -> BoxFuture<'a, Answer<R>> + Send
{
}

impl<R, F> Work<R> for F where
    F: for<'a> FnOnce(&'a Accessor<InstanceState>, &'a Exports) -> BoxFuture<'a, Answer<R>> + Send
{
}

impl Inner {
    /// Runs one call to its end. Dropping the future drops the instance, and with it every exchange it had open.
    pub(crate) async fn call<R: Send>(&self, operation: &'static str, work: impl Work<R>) -> Result<R, CallError> {
        let span = tracing::info_span!("call", provider = %self.name, operation);
        let begun = Instant::now();
        let mut counted = Counted {
            counters: &self.counters,
            operation,
            begun,
            outcome: "cancelled",
        };
        let result = self.run(operation, begun, work).instrument(span.clone()).await;
        let result = result.map_err(|kind| self.error(operation, kind));
        counted.outcome = result.as_ref().map_or_else(CallError::kind, |_| "ok");
        let took = begun.elapsed();
        // A trap's text is the guest's: escaped, it can make no line that looks like the host's.
        span.in_scope(|| match &result {
            Ok(_) => tracing::debug!(?took, "call done"),
            Err(error) if TRAPS.contains(&error.kind()) => {
                tracing::warn!(?took, kind = error.kind(), error = ?error.to_string(), "an instance was lost");
            }
            Err(error) => tracing::debug!(?took, kind = error.kind(), error = ?error.to_string(), "call failed"),
        });
        result
    }

    pub(crate) fn error(&self, operation: &'static str, kind: CallErrorKind) -> CallError {
        CallError {
            provider: self.name.to_string(),
            operation,
            kind,
        }
    }

    async fn run<R: Send>(
        &self,
        operation: &'static str,
        begun: Instant,
        work: impl Work<R>,
    ) -> Result<R, CallErrorKind> {
        let limit = self.limits.call_timeout;
        let deadline = begun + limit;
        let Ok(Some(permit)) = timeout_at(deadline, self.instances.permit()).await else {
            return Err(CallErrorKind::Overloaded {
                waited: begun.elapsed(),
                limit: self.instances.max_instances(),
            });
        };
        let ended = timeout_at(
            deadline,
            metered(self.limits.cpu_time, async {
                let mut lease = self.instances.lease(permit).await.map_err(instantiation_failed)?;
                let context = CallContext::new(operation, deadline, self.limits.max_concurrent_requests);
                lease.instance.store.data_mut().begin_call(Arc::new(context));
                let Instance { store, exports } = &mut lease.instance;
                let answer = store
                    .run_concurrent(async |accessor| work(accessor, exports).await)
                    .await;
                self.conclude(lease, answer.and_then(|answer| answer))
            }),
        )
        .await;
        match ended {
            Ok(Ok(result)) => result,
            Ok(Err(_)) => Err(CallErrorKind::CpuTime {
                limit: self.limits.cpu_time,
            }),
            Err(_) => Err(CallErrorKind::Deadline { limit }),
        }
    }

    /// Gives the instance back after an answer; drops it after a trap, and says which kind it was.
    fn conclude<R>(&self, lease: Lease, answer: Answer<R>) -> Result<R, CallErrorKind> {
        match answer {
            Ok(answer) => {
                lease.give_back();
                answer.map_err(CallErrorKind::Provider)
            }
            Err(error) => {
                let state = lease.instance.store.data();
                let last = state.log.take_last();
                Err(if state.memory.refused() {
                    CallErrorKind::OutOfMemory {
                        limit: self.limits.memory,
                    }
                } else {
                    let cause = error.root_cause().to_string();
                    CallErrorKind::Trap {
                        message: if last.is_empty() {
                            cause
                        } else {
                            format!("{cause}; it wrote: {last}")
                        },
                    }
                })
            }
        }
    }
}

/// A call that is counted when it ends, however it does.
struct Counted<'a> {
    counters: &'a Counters,
    operation: &'static str,
    begun: Instant,
    outcome: &'static str,
}

impl Drop for Counted<'_> {
    fn drop(&mut self) {
        self.counters.record(self.operation, self.outcome, self.begun.elapsed());
    }
}

fn instantiation_failed(error: wasmtime::Error) -> CallErrorKind {
    if error.is::<wasmtime::PoolConcurrencyLimitError>() {
        return CallErrorKind::HostFull { limit: MAX_INSTANCES };
    }
    CallErrorKind::Instantiate(format!("{error:#}"))
}
