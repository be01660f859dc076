use futures::future::join_all;
use tokio::time::advance;

use super::*;
use crate::load::script::{Script, Step, Text, call, get};
use crate::options::Timeouts;

fn paced(script: &Script, config: RateConfig) -> Paced<Script> {
    let layer = RateLayer {
        throttles: Throttles::new(config),
        numbers: Arc::default(),
    };
    layer.layer(script.clone())
}

fn requests(number: u32) -> RateConfig {
    RateConfig {
        requests_per_minute: NonZeroU32::new(number),
        ..RateConfig::default()
    }
}

async fn sent(service: &Paced<Script>) -> Result<Response<Text>, SendError> {
    service.clone().oneshot(get()).await
}

fn costing(tokens: u32) -> Call {
    let mut call = get();
    call.tokens = tokens;
    call
}

fn told_to_wait(outcome: Result<Response<Text>, SendError>) -> u64 {
    match outcome {
        Err(SendError::RateLimited { retry_after, .. }) => retry_after.as_secs(),
        other => panic!("{other:?}"),
    }
}

fn seconds(script: &Script, began: Instant) -> Vec<u64> {
    // A timer may go off up to a millisecond late.
    let moments = script.moments().into_iter();
    moments.map(|at| (at - began).as_secs_f64().round() as u64).collect()
}

#[tokio::test(start_paused = true)]
async fn requests_are_spread_over_the_minute_in_the_order_of_arrival() {
    let script = Script::of([Step::Answer(200)]);
    let service = paced(&script, requests(60));
    let began = Instant::now();
    let callers = (0..4).map(|_| async {
        sent(&service).await.unwrap();
        began.elapsed().as_secs_f64().round() as u64
    });
    assert_eq!(join_all(callers).await, [0, 1, 2, 3]);
    assert_eq!(seconds(&script, began), [0, 1, 2, 3]);
    assert_eq!(service.layer.numbers.counted().rate_limit_waits, 3);
}

#[tokio::test(start_paused = true)]
async fn a_large_quota_lets_a_seconds_worth_go_at_once() {
    let script = Script::of([Step::Answer(200)]);
    let service = paced(&script, requests(600));
    let began = Instant::now();
    join_all((0..30).map(|_| sent(&service))).await;
    let at_once = script.moments().into_iter().filter(|at| *at == began).count();
    assert_eq!(at_once, 10);
    assert_eq!(began.elapsed().as_secs(), 2);
}

#[tokio::test(start_paused = true)]
async fn tokens_are_counted_as_their_callers_estimate_them() {
    let script = Script::of([Step::Answer(200)]);
    let config = RateConfig {
        tokens_per_minute: NonZeroU32::new(60_000),
        ..RateConfig::default()
    };
    let service = paced(&script, config);
    let began = Instant::now();
    // The second is larger than what may be taken at once.
    for tokens in [1_000, 10_000, 0, 1_000] {
        service.clone().oneshot(costing(tokens)).await.unwrap();
    }
    assert_eq!(seconds(&script, began), [0, 10, 10, 11]);
}

#[tokio::test(start_paused = true)]
async fn a_wait_known_to_be_too_long_fails_at_once_and_takes_nothing() {
    let script = Script::of([Step::Answer(200)]);
    let config = RateConfig {
        tokens_per_minute: NonZeroU32::new(60_000),
        ..RateConfig::default()
    };
    let service = paced(&script, config);
    let began = Instant::now();
    assert_eq!(told_to_wait(service.clone().oneshot(costing(101_000)).await), 100);
    service.clone().oneshot(costing(1_000)).await.unwrap();
    assert_eq!((began.elapsed(), script.seen()), (Duration::ZERO, 1));
    assert_eq!(service.layer.numbers.counted().rate_limit_refusals, 1);
}

#[tokio::test(start_paused = true)]
async fn a_caller_waits_no_longer_than_it_may() {
    let script = Script::of([Step::Answer(200)]);
    let service = paced(
        &script,
        RateConfig {
            max_wait: Duration::from_secs(5),
            ..requests(6)
        },
    );
    sent(&service).await.unwrap();
    let began = Instant::now();
    assert_eq!(told_to_wait(sent(&service).await), 10);
    assert_eq!(began.elapsed(), Duration::ZERO);
    advance(Duration::from_secs(6)).await;
    sent(&service).await.unwrap();
    assert_eq!(seconds(&script, began), [0, 10]);
}

#[tokio::test(start_paused = true)]
async fn a_quota_that_the_server_calls_used_up_holds_everybody_until_it_is_renewed() {
    for (name, value) in [
        ("ratelimit", "limit=3, remaining=0, reset=9"),
        ("ratelimit", r#""default";r=0;t=9"#),
    ] {
        let script = Script::of([Step::Tell(200, name, value), Step::Answer(200)]);
        let service = paced(&script, RateConfig::default());
        let began = Instant::now();
        sent(&service).await.unwrap();
        join_all((0..3).map(|_| sent(&service))).await;
        assert_eq!(seconds(&script, began), [0, 9, 9, 9]);
    }
}

#[tokio::test(start_paused = true)]
async fn a_refusal_for_a_time_holds_everybody_for_that_time_up_to_a_bound() {
    for (asked, held) in [("20", 20), ("3600", 60)] {
        let script = Script::of([Step::Tell(429, "retry-after", asked), Step::Answer(200)]);
        let service = paced(&script, RateConfig::default());
        let began = Instant::now();
        sent(&service).await.unwrap();
        assert_eq!(service.layer.throttles.held()[0].1.as_secs(), held);
        sent(&service).await.unwrap();
        assert_eq!(seconds(&script, began), [0, held]);
        assert!(service.layer.throttles.held().is_empty());
    }
}

#[tokio::test(start_paused = true)]
async fn a_request_that_ends_before_the_quota_is_renewed_is_refused_at_once() {
    let script = Script::of([Step::Tell(429, "retry-after", "20"), Step::Answer(200)]);
    let service = paced(&script, RateConfig::default());
    sent(&service).await.unwrap();
    let timeouts = Timeouts {
        total: Some(Duration::from_secs(10)),
        ..Timeouts::default()
    };
    assert_eq!(told_to_wait(service.clone().oneshot(call("GET", timeouts)).await), 20);
}

#[tokio::test(start_paused = true)]
async fn a_caller_who_leaves_the_line_does_not_stop_it() {
    let script = Script::of([Step::Answer(200)]);
    let service = paced(&script, requests(60));
    let began = Instant::now();
    sent(&service).await.unwrap();
    let mut gone = Box::pin(sent(&service));
    assert!(futures::poll!(&mut gone).is_pending());
    let mut next = Box::pin(sent(&service));
    assert!(futures::poll!(&mut next).is_pending());
    drop(gone);
    next.await.unwrap();
    assert_eq!(seconds(&script, began), [0, 1]);
}

#[tokio::test(start_paused = true)]
async fn the_wait_for_a_turn_is_no_part_of_the_wait_for_a_connection() {
    let service = tower::service_fn(|call: Call| async move {
        assert_eq!(call.deadlines.pool_at() - Instant::now(), Duration::from_secs(5));
        Ok::<_, SendError>(Response::new(()))
    });
    let layer = paced(&Script::of([]), requests(6)).layer;
    for _ in 0..2 {
        layer.layer(service).oneshot(get()).await.unwrap();
    }
    assert_eq!(layer.numbers.counted().rate_limit_waits, 1);
}
