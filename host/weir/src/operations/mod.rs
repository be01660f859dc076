//! Operations as JSON: what `weir call` and `POST /v1/providers/{provider}/{operation}` take and give.
//!
//! One file a capability turns JSON into the contract's records and back. Input is checked whole before the component
//! sees it: unknown fields, numbers that are not finite, lists that must not be empty.

mod chat;
mod embedding;
mod error;
mod filter;
mod input;
mod models;
mod operation;
mod output;
mod reranking;
mod vector_store;
mod web_search;

use futures::{Stream, StreamExt as _};
use serde_json::{Value, json};
use weir_runtime::{CallError, Provider};

pub(crate) use chat::schema;
pub use error::{OperationError, Refusal};
use operation::Operation;

/// Whether the input asks for an answer in pieces, which is [`stream`]'s to give.
pub fn wants_stream(operation: &str, input: &Value) -> bool {
    operation == Operation::Chat.name() && input.get("stream") == Some(&Value::Bool(true))
}

/// Runs one operation of a provider.
pub async fn run(provider: &Provider, operation: &str, input: Value) -> Result<Value, OperationError> {
    let operation = known(provider, operation)?;
    dispatch(provider, operation, input)
        .await
        .map_err(|failure| failure.of(provider.name(), operation))
}

/// Runs `chat` and gives its answer in pieces, each a JSON object with a field `event`: `start`, then `text`,
/// `tool-call`, `finish` and `usage` as they come. Dropping the stream cancels the call.
pub async fn stream(
    provider: &Provider,
    operation: &str,
    input: Value,
) -> Result<impl Stream<Item = Result<Value, OperationError>> + Send + Unpin + use<>, OperationError> {
    let operation = known(provider, operation)?;
    let refused = |refusal: Refusal| Failure::Refused(refusal).of(provider.name(), operation);
    if operation != Operation::Chat {
        return Err(refused(Refusal::input("only `chat` answers in pieces")));
    }
    let request = chat::request(input).map_err(refused)?;
    let events = provider.chat_streaming(request).await.map_err(OperationError::from)?;
    let start = json!({ "event": "start", "model": events.model });
    let events = events.map(|event| event.map(|event| chat::event(&event)).map_err(OperationError::from));
    Ok(futures::stream::iter([Ok(start)]).chain(events))
}

fn known(provider: &Provider, operation: &str) -> Result<Operation, OperationError> {
    Operation::of(operation).ok_or_else(|| {
        let offered: Vec<&str> = provider
            .capabilities()
            .iter()
            .flat_map(|capability| capability.operations())
            .copied()
            .collect();
        OperationError::Unknown {
            provider: provider.name().to_owned(),
            operation: operation.to_owned(),
            suggestion: crate::suggest::ending(operation, &offered),
        }
    })
}

async fn dispatch(provider: &Provider, operation: Operation, input: Value) -> Result<Value, Failure> {
    Ok(match operation {
        Operation::Embed => embedding::dense(&provider.embed(embedding::request(input)?).await?)?,
        Operation::EmbedSparse => embedding::sparse(&provider.embed_sparse(embedding::request(input)?).await?)?,
        Operation::Rerank => reranking::response(&provider.rerank(reranking::request(input)?).await?)?,
        Operation::WebSearch => web_search::response(&provider.search_web(web_search::request(input)?).await?)?,
        Operation::Models => {
            models::request(input)?;
            models::response(&provider.list_models().await?)
        }
        Operation::Chat => chat::response(&provider.chat(chat::request(input)?).await?),
        Operation::EnsureCollection => {
            let created = provider.ensure_collection(vector_store::collection(input)?).await?;
            json!({ "created": created })
        }
        Operation::Upsert => {
            let (collection, points) = vector_store::points(input)?;
            json!({ "upserted": provider.upsert(collection, points).await? })
        }
        Operation::Query => vector_store::found(&provider.query(vector_store::query(input)?).await?)?,
        Operation::Delete => {
            let (collection, selection) = vector_store::selection(input)?;
            match provider.delete(collection, selection).await? {
                Some(deleted) => json!({ "deleted": deleted }),
                None => json!({}),
            }
        }
        Operation::Count => {
            let (collection, filter) = vector_store::counted(input)?;
            json!({ "count": provider.count(collection, filter).await? })
        }
        Operation::ListCollections => {
            vector_store::nothing(input)?;
            json!({ "collections": provider.list_collections().await? })
        }
        Operation::DropCollection => {
            json!({ "dropped": provider.drop_collection(vector_store::collection_name(input)?).await? })
        }
    })
}

/// A failure before it is told whose it was.
enum Failure {
    Refused(Refusal),
    Call(CallError),
}

impl Failure {
    fn of(self, provider: &str, operation: Operation) -> OperationError {
        match self {
            Failure::Refused(refusal) => OperationError::Refused {
                provider: provider.to_owned(),
                operation: operation.name(),
                refusal,
            },
            Failure::Call(error) => error.into(),
        }
    }
}

impl From<Refusal> for Failure {
    fn from(refusal: Refusal) -> Self {
        Failure::Refused(refusal)
    }
}

impl From<CallError> for Failure {
    fn from(error: CallError) -> Self {
        Failure::Call(error)
    }
}
