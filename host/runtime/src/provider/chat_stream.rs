//! An answer that comes in pieces: the call goes on in a task of its own while they are read.

use std::collections::VecDeque;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, ready};

use futures::{FutureExt, Stream};
use tokio::sync::{mpsc, oneshot};
use tokio_util::sync::PollSender;
use tokio_util::task::AbortOnDropHandle;
use tracing::Instrument as _;
use wasmtime::component::{Accessor, FutureConsumer, Source, StreamConsumer, StreamResult};
use wasmtime::{AsContextMut, StoreContextMut};

use crate::bindings::v0_1_0::chat::{self, Event};
use crate::bindings::v0_1_0::types;
use crate::capability::Capability;
use crate::error::{CallError, CallErrorKind};
use crate::instance::state::InstanceState;
use crate::provider::call::Answer;
use crate::provider::gen_ai::Asked;
use crate::provider::{Inner, Provider};

/// Pieces taken from the guest in one go.
const CHUNK: usize = 64;

/// Chunks that wait for the reader before the guest is held back.
const CHUNKS_BUFFERED: usize = 4;

/// The events of an answer. Dropping it cancels the call.
pub struct ChatStream {
    /// The model that answers.
    pub model: String,
    chunks: mpsc::Receiver<Vec<Event>>,
    read: VecDeque<Event>,
    /// The call; none when its end was told.
    call: Option<AbortOnDropHandle<Result<(), CallError>>>,
    provider: Arc<Inner>,
    asked: Asked,
    usage: Option<types::Usage>,
}

impl Provider {
    /// A conversation's next message as it comes. Returns when the provider has begun to answer; an error after that
    /// is the stream's last item.
    pub async fn chat_streaming(&self, request: chat::Request) -> Result<ChatStream, CallError> {
        let inner = self.inner.clone();
        if !inner.capabilities.contains(&Capability::Chat) {
            return Err(inner.error(
                "chat",
                CallErrorKind::Unsupported {
                    capability: Capability::Chat,
                },
            ));
        }
        let asked = Asked::new(&inner, "chat", request.model.as_deref());
        let (begun, begins) = oneshot::channel();
        // Shared, as the call may be run again until it has begun to answer.
        let begun = Arc::new(Mutex::new(Some(begun)));
        let (events, chunks) = mpsc::channel(CHUNKS_BUFFERED);
        let calling = async move {
            inner
                .call("chat", move |accessor, exports| {
                    async move {
                        let Some(export) = &exports.chat else {
                            return Err(wasmtime::format_err!("the export vanished"));
                        };
                        match export.call_chat_streaming(accessor, request).await? {
                            Ok(reply) => relay(accessor, reply, begun, events).await,
                            Err(error) => Ok(Err(error)),
                        }
                    }
                    .boxed()
                })
                .await
        };
        let mut call = AbortOnDropHandle::new(tokio::spawn(calling.instrument(asked.span().clone())));
        match begins.await {
            Ok(model) => Ok(ChatStream {
                model,
                chunks,
                read: VecDeque::new(),
                call: Some(call),
                provider: self.inner.clone(),
                asked,
                usage: None,
            }),
            // The call ended before the answer began.
            Err(_) => match (&mut call).await {
                Ok(Err(error)) => {
                    asked.failed(&error);
                    Err(error)
                }
                _ => Err(lost(&self.inner)),
            },
        }
    }
}

/// The task that ran the call is gone without a word: the runtime is shutting down.
fn lost(provider: &Inner) -> CallError {
    let message = "the call was lost".to_owned();
    provider.error("chat", CallErrorKind::Trap { message })
}

/// Hands the guest's events on until both its streams have ended.
async fn relay(
    accessor: &Accessor<InstanceState>,
    reply: chat::StreamingResponse,
    begun: Arc<Mutex<Option<oneshot::Sender<String>>>>,
    events: mpsc::Sender<Vec<Event>>,
) -> Answer<()> {
    let (ended, ends) = oneshot::channel();
    let (done, told) = oneshot::channel();
    accessor.with(|mut access| {
        if let Some(call) = &access.get().call {
            call.act();
        }
        reply.events.pipe(
            &mut access,
            EventConsumer {
                events: PollSender::new(events),
                _ended: ended,
            },
        )?;
        reply.done.pipe(&mut access, DoneConsumer { done: Some(done) })
    })?;
    let begun = begun.lock().unwrap_or_else(PoisonError::into_inner).take();
    if let Some(begun) = begun {
        // A listener that has gone already drops this call as well.
        let _ = begun.send(reply.model);
    }
    // The consumer goes when the guest closes its end: nothing is ever sent here.
    let _ = ends.await;
    Ok(told.await.unwrap_or_else(|_| {
        Err(types::Error::MalformedResponse(
            "the adapter ended its answer without saying how".to_owned(),
        ))
    }))
}

impl Stream for ChatStream {
    type Item = Result<Event, CallError>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        loop {
            if let Some(event) = self.read.pop_front() {
                if let Event::Usage(usage) = &event {
                    self.usage = Some(*usage);
                }
                return Poll::Ready(Some(Ok(event)));
            }
            if let Some(chunk) = ready!(self.chunks.poll_recv(context)) {
                self.read.extend(chunk);
                continue;
            }
            let Some(call) = &mut self.call else {
                return Poll::Ready(None);
            };
            let ended = ready!(Pin::new(call).poll(context));
            self.call = None;
            return Poll::Ready(match ended {
                Ok(Ok(())) => {
                    self.asked.answered(&self.model, self.usage.as_ref());
                    None
                }
                Ok(Err(error)) => {
                    self.asked.failed(&error);
                    Some(Err(error))
                }
                Err(_) => Some(Err(lost(&self.provider))),
            });
        }
    }
}

/// Takes events from the guest when there is room for them.
struct EventConsumer {
    events: PollSender<Vec<Event>>,
    /// Dropped with the consumer, which tells that the stream has ended.
    _ended: oneshot::Sender<()>,
}

impl StreamConsumer<InstanceState> for EventConsumer {
    type Item = Event;

    fn poll_consume(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        mut store: StoreContextMut<InstanceState>,
        mut source: Source<'_, Event>,
        finish: bool,
    ) -> Poll<wasmtime::Result<StreamResult>> {
        match self.events.poll_reserve(context) {
            Poll::Ready(Ok(())) => {}
            // The listener has gone: the guest's next write tells it so.
            Poll::Ready(Err(_)) => return Poll::Ready(Ok(StreamResult::Dropped)),
            Poll::Pending if finish => return Poll::Ready(Ok(StreamResult::Cancelled)),
            Poll::Pending => return Poll::Pending,
        }
        let mut chunk = Vec::with_capacity(CHUNK);
        source.read(store.as_context_mut(), &mut chunk)?;
        let sent = self.events.send_item(chunk);
        Poll::Ready(Ok(if sent.is_ok() {
            StreamResult::Completed
        } else {
            StreamResult::Dropped
        }))
    }
}

/// Takes the guest's word on how its answer ended.
struct DoneConsumer {
    done: Option<oneshot::Sender<Result<(), types::Error>>>,
}

impl FutureConsumer<InstanceState> for DoneConsumer {
    type Item = Result<(), types::Error>;

    fn poll_consume(
        mut self: Pin<&mut Self>,
        _context: &mut Context<'_>,
        mut store: StoreContextMut<InstanceState>,
        mut source: Source<'_, Self::Item>,
        _finish: bool,
    ) -> Poll<wasmtime::Result<()>> {
        let mut result = None;
        source.read(store.as_context_mut(), &mut result)?;
        if let (Some(done), Some(result)) = (self.done.take(), result) {
            let _ = done.send(result);
        }
        Poll::Ready(Ok(()))
    }
}
