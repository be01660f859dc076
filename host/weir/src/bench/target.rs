//! What a load asks, over and over.

use bytes::Bytes;
use futures::StreamExt as _;
use http::Request;
use http_body_util::BodyExt as _;
use serde_json::Value;
use weir_pool::{Pool, SendError, SendOptions};
use weir_runtime::Provider;

use super::tally::Outcome;
use crate::operations::{self, OperationError};

/// What a load asks, over and over.
pub enum Target {
    /// A URL, through a pool.
    Url {
        /// The pool.
        pool: Pool,
        /// The request, with an absolute URI.
        request: Box<Request<Bytes>>,
    },
    /// An operation, through the component that offers it.
    Operation {
        /// The provider.
        provider: Provider,
        /// The operation's name.
        operation: String,
        /// Its input.
        input: Value,
    },
}

impl Target {
    /// Asks once, and reads the answer to its end.
    ///
    /// # Errors
    /// Where the request itself is wrong, so that it would fail however often it is made.
    pub async fn request(&self) -> anyhow::Result<Outcome> {
        match self {
            Target::Url { pool, request } => match fetch(pool, Request::clone(request)).await {
                Ok(status) if status.is_client_error() || status.is_server_error() => Ok(Outcome::Failed {
                    kind: format!("status-{}", status.as_u16()),
                    message: format!("the server answered {status}"),
                }),
                Ok(_) => Ok(Outcome::Answered),
                Err(error @ SendError::InvalidRequest { .. }) => Err(error.into()),
                Err(error) => Ok(Outcome::Failed {
                    kind: error.kind().to_owned(),
                    message: with_causes(&error),
                }),
            },
            Target::Operation {
                provider,
                operation,
                input,
            } => match call(provider, operation, input.clone()).await {
                Ok(()) => Ok(Outcome::Answered),
                Err(error) if error.is_usage() => Err(error.into()),
                Err(error) => Ok(Outcome::Failed {
                    kind: error.kind().to_owned(),
                    message: error.to_string(),
                }),
            },
        }
    }
}

async fn fetch(pool: &Pool, request: Request<Bytes>) -> Result<http::StatusCode, SendError> {
    let response = pool.send(request, SendOptions::default()).await?;
    let status = response.status();
    let mut body = response.into_body();
    while let Some(frame) = body.frame().await {
        frame?;
    }
    Ok(status)
}

async fn call(provider: &Provider, operation: &str, input: Value) -> Result<(), OperationError> {
    if operations::wants_stream(operation, &input) {
        let mut events = operations::stream(provider, operation, input).await?;
        while let Some(event) = events.next().await {
            event?;
        }
    } else {
        operations::run(provider, operation, input).await?;
    }
    Ok(())
}

fn with_causes(error: &dyn std::error::Error) -> String {
    let mut message = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        message = format!("{message}: {error}");
        cause = error.source();
    }
    message
}
