use std::time::Duration;

use tokio::time::advance;

use super::*;
use crate::load::script::{Script, Step, get};

fn guarded(script: &Script) -> (Guarded<Script>, Arc<Breakers>) {
    let layer = BreakerLayer {
        breakers: Breakers::new(BreakerConfig::default()),
        numbers: Arc::default(),
    };
    (layer.layer(script.clone()), layer.breakers)
}

async fn sent(service: &Guarded<Script>) -> Result<u16, SendError> {
    let response = service.clone().oneshot(get()).await?;
    Ok(response.status().as_u16())
}

fn state(breakers: &Breakers) -> BreakerState {
    breakers.states()[0].1
}

#[tokio::test(start_paused = true)]
async fn an_open_breaker_refuses_at_once_and_says_when_to_come_back() {
    let script = Script::of([Step::Refuse]);
    let (service, _) = guarded(&script);
    for _ in 0..5 {
        assert!(matches!(sent(&service).await, Err(SendError::Connect { .. })));
    }
    advance(Duration::from_secs(10)).await;
    let error = sent(&service).await.unwrap_err();
    assert!(
        matches!(error, SendError::BreakerOpen { retry_after, .. } if retry_after.as_secs() == 20),
        "{error:?}"
    );
    assert!(error.is_unprocessed());
    assert_eq!(
        (script.seen(), service.layer.numbers.counted().breaker_refusals),
        (5, 1)
    );
}

#[tokio::test(start_paused = true)]
async fn the_first_request_after_its_time_closes_it_again() {
    let mut steps = vec![Step::Answer(502); 5];
    steps.push(Step::Answer(200));
    let (service, breakers) = guarded(&Script::of(steps));
    for _ in 0..5 {
        sent(&service).await.unwrap();
    }
    assert_eq!(state(&breakers), BreakerState::Open);
    advance(Duration::from_secs(30)).await;
    assert_eq!(state(&breakers), BreakerState::HalfOpen);
    assert_eq!(sent(&service).await.unwrap(), 200);
    assert_eq!(state(&breakers), BreakerState::Closed);
}

#[tokio::test(start_paused = true)]
async fn a_probe_whose_caller_goes_away_leaves_its_place_to_another() {
    let mut steps = vec![Step::Answer(500); 5];
    steps.extend([Step::Silent, Step::Answer(200)]);
    let script = Script::of(steps);
    let (service, breakers) = guarded(&script);
    for _ in 0..5 {
        sent(&service).await.unwrap();
    }
    advance(Duration::from_secs(30)).await;
    let probe = tokio::spawn({
        let service = service.clone();
        async move { sent(&service).await }
    });
    tokio::task::yield_now().await;
    assert_eq!(script.under_way(), 1);
    assert!(matches!(sent(&service).await, Err(SendError::BreakerOpen { .. })));
    probe.abort();
    assert!(probe.await.unwrap_err().is_cancelled());
    assert_eq!(sent(&service).await.unwrap(), 200);
    assert_eq!(state(&breakers), BreakerState::Closed);
}

#[tokio::test(start_paused = true)]
async fn neither_a_busy_server_nor_a_callers_mistake_opens_it() {
    for status in [400, 404, 408, 413, 429, 501] {
        let (service, breakers) = guarded(&Script::of([Step::Answer(status)]));
        for _ in 0..100 {
            sent(&service).await.unwrap();
        }
        assert_eq!(state(&breakers), BreakerState::Closed, "{status}");
    }
}

#[test]
fn what_the_pool_or_the_caller_did_says_nothing_of_the_server() {
    let origin = get().origin().clone();
    let errors = [
        SendError::PoolTimeout {
            origin: origin.clone(),
            waited: Duration::ZERO,
            limit: 1,
        },
        SendError::TooManyWaiters {
            origin: origin.clone(),
            limit: 1,
        },
        SendError::Closed { pool: "test".into() },
        // The request never got a connection.
        SendError::TotalTimeout {
            origin,
            limit: Duration::ZERO,
        },
    ];
    for error in errors {
        assert_eq!(outcome_of_error(&error, &get()), Outcome::Neutral, "{error}");
    }
}
