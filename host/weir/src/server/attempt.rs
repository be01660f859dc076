//! One provider after the other until one answers.
//!
//! The next is tried where the failure is the provider's own (the answer would be 429 or 5xx), never where the input is
//! wrong: another provider would only refuse it again, or take what the caller should know is wrong.

use std::borrow::Cow;
use std::sync::Arc;
use std::time::Duration;

use axum::http::StatusCode;
use futures::future::BoxFuture;
use tokio::time::Instant;
use weir_runtime::CallError;

use super::backend::{Backend, ProviderCalls};
use super::error::ApiError;
use super::resolve::Target;

/// Who was asked for an answer, and how long that took.
#[derive(Debug, Clone)]
pub(crate) struct Answered {
    /// The one that answered, or failed last.
    pub provider: String,
    pub operation: Cow<'static, str>,
    /// Calls made, failed ones counted.
    pub attempts: u32,
    /// Time spent in those calls. What a request took beyond that is the gateway's own.
    pub in_calls: Duration,
}

impl Answered {
    /// Not called yet.
    pub fn by(provider: &str, operation: impl Into<Cow<'static, str>>) -> Self {
        Self {
            provider: provider.to_owned(),
            operation: operation.into(),
            attempts: 0,
            in_calls: Duration::ZERO,
        }
    }
}

/// The first answer.
///
/// # Errors
/// That of the last provider tried.
pub(crate) async fn first_answer<T>(
    backend: &dyn Backend,
    targets: &[Target],
    operation: &'static str,
    call: impl for<'a> Fn(&'a dyn ProviderCalls, Option<String>) -> BoxFuture<'a, Result<T, CallError>>,
) -> Result<(T, Answered), ApiError> {
    let mut answered = Answered::by("", operation);
    let mut left = targets.iter().peekable();
    while let Some(target) = left.next() {
        answered.provider.clone_from(&target.provider);
        let error = match backend.provider(&target.provider).await {
            Ok(provider) => match timed(&mut answered, &provider, target, &call).await {
                Ok(answer) => return Ok((answer, answered)),
                Err(error) => ApiError::from(&error),
            },
            Err(error) => error,
        };
        match left.peek().filter(|_| another_may_answer(error.status)) {
            Some(next) => tracing::warn!(
                provider = target.provider,
                next = next.provider,
                operation,
                error = error.body.message,
                "trying the next provider of the route"
            ),
            None => return Err(error.answered(answered)),
        }
    }
    Err(ApiError::new(
        StatusCode::INTERNAL_SERVER_ERROR,
        "invalid_route",
        "the route names no provider",
    ))
}

async fn timed<T>(
    answered: &mut Answered,
    provider: &Arc<dyn ProviderCalls>,
    target: &Target,
    call: &impl for<'a> Fn(&'a dyn ProviderCalls, Option<String>) -> BoxFuture<'a, Result<T, CallError>>,
) -> Result<T, CallError> {
    answered.attempts += 1;
    let begun = Instant::now();
    let outcome = call(provider.as_ref(), target.model.clone()).await;
    answered.in_calls += begun.elapsed();
    outcome
}

fn another_may_answer(status: StatusCode) -> bool {
    status == StatusCode::TOO_MANY_REQUESTS || status.is_server_error()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::server::fake::{FakeBackend, FakeProvider, refusal};
    use weir_runtime::types::{EmbeddingRequest, Error, HttpError};

    async fn ask(backend: &FakeBackend) -> Result<(String, Answered), ApiError> {
        let targets: Vec<Target> = backend
            .provider_names()
            .into_iter()
            .map(|provider| Target { provider, model: None })
            .collect();
        let answer = first_answer(backend, &targets, "embed", |provider, model| {
            provider.embed(EmbeddingRequest {
                inputs: vec!["a".into()],
                model,
                kind: None,
                dimensions: None,
            })
        });
        answer.await.map(|(answer, answered)| (answer.model, answered))
    }

    fn pair(first: Error) -> FakeBackend {
        FakeBackend::default()
            .provider(FakeProvider::new("first").failing(first))
            .provider(FakeProvider::new("second"))
    }

    #[tokio::test]
    async fn the_next_provider_is_tried_when_the_first_is_limited_slow_or_down() {
        for error in [
            Error::RateLimited(refusal(429)),
            Error::Upstream(refusal(500)),
            Error::Http(HttpError::ReadTimeout("late".into())),
            Error::Http(HttpError::Overloaded("full".into())),
        ] {
            let (_, answered) = ask(&pair(error)).await.unwrap();
            assert_eq!((answered.provider.as_str(), answered.attempts), ("second", 2));
        }
    }

    #[tokio::test]
    async fn wrong_input_is_never_sent_to_another_provider() {
        for error in [
            Error::InvalidInput(refusal(400)),
            Error::TooLarge(refusal(413)),
            Error::Unauthorized(refusal(401)),
            Error::NotFound(refusal(404)),
            Error::Http(HttpError::EgressDenied("no".into())),
        ] {
            let answered = ask(&pair(error)).await.unwrap_err().answered.unwrap();
            assert_eq!((answered.provider.as_str(), answered.attempts), ("first", 1));
        }
    }

    #[tokio::test]
    async fn when_all_fail_the_last_error_is_answered() {
        let backend = FakeBackend::default()
            .provider(FakeProvider::new("first").failing(Error::Upstream(refusal(500))))
            .provider(FakeProvider::new("second").failing(Error::RateLimited(refusal(429))));
        let error = ask(&backend).await.unwrap_err();
        assert_eq!(error.status, 429);
        assert_eq!(error.answered.unwrap().attempts, 2);
    }

    #[tokio::test]
    async fn a_provider_that_does_not_load_gives_way_to_the_next() {
        let backend = FakeBackend::default()
            .broken("first", "no secret")
            .provider(FakeProvider::new("second"));
        let (_, answered) = ask(&backend).await.unwrap();
        assert_eq!((answered.provider.as_str(), answered.attempts), ("second", 1));
    }
}
