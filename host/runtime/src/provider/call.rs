//! One call: an instance leased for it, its limits, and what its end means.

use std::pin::pin;
use std::sync::Arc;

use futures::future::BoxFuture;
use tokio::sync::OwnedSemaphorePermit;
use tokio::time::{Instant, timeout_at};
use tracing::Instrument;
use wasmtime::component::{Accessor, ResourceTableError};

use crate::bindings::v0_1_0::types;
use crate::component::engine::MAX_INSTANCES;
use crate::error::{CallError, CallErrorKind};
use crate::instance::cpu::metered;
use crate::instance::guest::{Exports, Instance};
use crate::instance::lease::Lease;
use crate::instance::memory::MAX_TABLE_ELEMENTS;
use crate::instance::state::{CallContext, InstanceState};
use crate::provider::Inner;
use crate::provider::stats::{Counters, TRAPS};
use crate::spec::host_call_bytes;

/// What a call of an export gives: wasmtime's own failure, or the adapter's answer.
pub(crate) type Answer<R> = wasmtime::Result<Result<R, types::Error>>;

/// The part of a call that differs between operations.
pub(crate) trait Work<R>:
    for<'a> FnOnce(&'a Accessor<InstanceState>, &'a Exports) -> BoxFuture<'a, Answer<R>> + Clone + Send
{
}

impl<R, F> Work<R> for F where
    F: for<'a> FnOnce(&'a Accessor<InstanceState>, &'a Exports) -> BoxFuture<'a, Answer<R>> + Clone + Send
{
}

/// A call in one instance failed.
struct Failed {
    kind: CallErrorKind,
    /// Where the instance was lost before it did anything: the place for another.
    place: Option<OwnedSemaphorePermit>,
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
        CallError::new(&*self.name, operation, kind)
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
        let context = || {
            Arc::new(CallContext::new(
                operation,
                deadline,
                self.limits.max_concurrent_requests,
            ))
        };
        let running = pin!(async {
            let lease = self.instances.lease(permit).await.map_err(instantiation_failed)?;
            // What a fresh instance does is the component's own doing, and would come out the same again.
            let spare = lease.is_reused().then(|| work.clone());
            let failed = match self.attempt(lease, context(), work).await {
                Ok(result) => return Ok(result),
                Err(failed) => failed,
            };
            let (Some(work), Some(place)) = (spare, failed.place) else {
                return Err(failed.kind);
            };
            self.counters.record_retry();
            let error = failed.kind.to_string();
            tracing::warn!(
                ?error,
                "a reused instance was lost before it did anything; the call is run again"
            );
            // Boxed: it is rare, and every call would make room for it.
            let again = async {
                let lease = self.instances.fresh(place).await.map_err(instantiation_failed)?;
                self.attempt(lease, context(), work).await.map_err(|failed| failed.kind)
            };
            Box::pin(again).await
        });
        let ended = timeout_at(deadline, metered(self.limits.cpu_time, running)).await;
        match ended {
            Ok(Ok(result)) => result,
            Ok(Err(_)) => Err(CallErrorKind::CpuTime {
                limit: self.limits.cpu_time,
            }),
            Err(_) => Err(CallErrorKind::Deadline { limit }),
        }
    }

    /// Runs the call in one instance, which is given back after an answer and dropped after a trap.
    async fn attempt<R: Send>(
        &self,
        mut lease: Lease,
        context: Arc<CallContext>,
        work: impl Work<R>,
    ) -> Result<R, Failed> {
        lease.instance.store.data_mut().begin_call(context.clone());
        let Instance { store, exports } = &mut *lease.instance;
        let answer = store
            .run_concurrent(async |accessor| work(accessor, exports).await)
            .await;
        let acted = context.has_acted();
        // The instance is at rest when nobody else holds the call.
        drop(context);
        match answer.and_then(|answer| answer) {
            Ok(answer) => {
                lease.give_back();
                answer.map_err(|error| Failed {
                    kind: CallErrorKind::Provider(error),
                    place: None,
                })
            }
            Err(error) => {
                let kind = self.trapped(lease.instance.store.data(), &error);
                let again = !acted && !matches!(kind, CallErrorKind::OutOfMemory { .. });
                let permit = lease.lose();
                Err(Failed {
                    kind,
                    place: again.then_some(permit),
                })
            }
        }
    }

    /// Which kind of trap it was.
    fn trapped(&self, state: &InstanceState, error: &wasmtime::Error) -> CallErrorKind {
        if state.memory.refused() {
            return CallErrorKind::OutOfMemory {
                limit: self.limits.memory,
            };
        }
        let cause = error.root_cause().to_string();
        if let Some(limit) = self.limit_exceeded(state, error, &cause) {
            return limit;
        }
        let last = state.log.take_last();
        CallErrorKind::Trap {
            message: if last.is_empty() {
                cause
            } else {
                format!("{cause}; it wrote: {last}")
            },
        }
    }

    /// The limit a trap came from. wasmtime's own errors for two of them are private: they are known by their text,
    /// which holds nothing of the guest's.
    fn limit_exceeded(&self, state: &InstanceState, error: &wasmtime::Error, cause: &str) -> Option<CallErrorKind> {
        let full = matches!(error.downcast_ref(), Some(ResourceTableError::Full));
        if full || cause.contains("store handle limit exceeded") {
            Some(CallErrorKind::LimitExceeded {
                what: "live handles",
                limit: self.limits.max_handles,
                setting: "limits.max_handles",
            })
        } else if cause.contains("fuel allocated for hostcalls has been exhausted") {
            Some(CallErrorKind::LimitExceeded {
                what: "bytes handed to the host at once",
                limit: host_call_bytes(&self.limits),
                setting: "limits.max_request_bytes",
            })
        } else if state.memory.refused_table() {
            Some(CallErrorKind::LimitExceeded {
                what: "elements of a table",
                limit: MAX_TABLE_ELEMENTS,
                setting: "fixed",
            })
        } else {
            None
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
