use std::time::Duration;

use futures::future::join_all;
use tokio::task::yield_now;

use super::*;
use crate::load::script::{Script, Step, Text, call, get};
use crate::options::Timeouts;

fn limited(script: &Script, most: usize, adaptive: bool) -> Limited<Script> {
    let adaptive = adaptive.then(AdaptiveConcurrency::default);
    let limiter = Limiter::new(NonZeroUsize::new(most).unwrap(), adaptive.as_ref(), 10);
    ConcurrencyLayer { limiter }.layer(script.clone())
}

async fn sent(service: &Limited<Script>) -> Result<Response<Text>, SendError> {
    service.clone().oneshot(get()).await
}

const SECOND: Duration = Duration::from_secs(1);

#[tokio::test(start_paused = true)]
async fn no_more_requests_than_the_limit_are_under_way_and_they_go_in_the_order_of_arrival() {
    let script = Script::of([Step::Slow(SECOND, 200)]);
    let service = limited(&script, 2, false);
    let began = Instant::now();
    let callers = (0..6).map(|_| async {
        drop(sent(&service).await.unwrap());
        began.elapsed().as_secs()
    });
    assert_eq!(join_all(callers).await, [1, 1, 2, 2, 3, 3]);
    let arrivals: Vec<_> = script.moments().into_iter().map(|at| (at - began).as_secs()).collect();
    assert_eq!(arrivals, [0, 0, 1, 1, 2, 2]);
}

#[tokio::test(start_paused = true)]
async fn a_place_is_held_until_the_body_is_gone() {
    let script = Script::of([Step::Answer(200)]);
    let service = limited(&script, 1, false);
    let first = sent(&service).await.unwrap();
    let mut second = Box::pin(sent(&service));
    assert!(futures::poll!(&mut second).is_pending());
    assert_eq!((script.seen(), service.limiter.waiting()), (1, 1));
    drop(first);
    second.await.unwrap();
    assert_eq!((script.seen(), service.limiter.waiting()), (2, 0));
}

#[tokio::test(start_paused = true)]
async fn a_wait_for_a_place_ends_with_the_pool_timeout_or_before_it_in_total() {
    let service = limited(&Script::of([Step::Answer(200)]), 1, false);
    let _held = sent(&service).await.unwrap();
    let began = Instant::now();
    let error = sent(&service).await.unwrap_err();
    assert!(
        matches!(error, SendError::PoolTimeout { waited, limit: 1, .. } if waited.as_secs() == 5),
        "{error:?}"
    );
    let timeouts = Timeouts {
        total: Some(SECOND),
        ..Timeouts::default()
    };
    let error = service.clone().oneshot(call("GET", timeouts)).await.unwrap_err();
    assert!(matches!(error, SendError::TotalTimeout { .. }), "{error:?}");
    assert_eq!((began.elapsed().as_secs(), service.limiter.waiting()), (6, 0));
}

#[tokio::test(start_paused = true)]
async fn a_line_that_is_full_refuses_the_next_caller_at_once() {
    let service = limited(&Script::of([Step::Answer(200)]), 1, false);
    let _held = sent(&service).await.unwrap();
    let mut line: Vec<_> = (0..10).map(|_| Box::pin(sent(&service))).collect();
    for caller in &mut line {
        assert!(futures::poll!(caller).is_pending());
    }
    let error = sent(&service).await.unwrap_err();
    assert!(
        matches!(error, SendError::TooManyWaiters { limit: 10, .. }),
        "{error:?}"
    );
    // Who goes away makes room.
    line.clear();
    assert_eq!(service.limiter.waiting(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_place_given_to_a_caller_who_went_away_is_not_lost() {
    let service = limited(&Script::of([Step::Answer(200)]), 1, false);
    for _ in 0..50 {
        let held = sent(&service).await.unwrap();
        let mut gone = Box::pin(sent(&service));
        assert!(futures::poll!(&mut gone).is_pending());
        drop(held);
        drop(gone);
    }
    sent(&service).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn overload_halves_the_limit_and_success_raises_it_by_one() {
    for overload in [Step::Answer(429), Step::Answer(503), Step::TimeOut] {
        let script = Script::of([overload.clone(), Step::Slow(SECOND, 200)]);
        let service = limited(&script, 8, true);
        let _ = sent(&service).await;
        assert_eq!(service.limiter.limit(), 4, "{overload:?}");
        join_all((0..4).map(|_| sent(&service))).await;
        assert_eq!(service.limiter.limit(), 5, "{overload:?}");
        assert_eq!(service.limiter.places.available_permits(), 5, "{overload:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_failure_that_is_no_overload_moves_nothing() {
    for step in [Step::Answer(500), Step::Answer(404), Step::Refuse] {
        let service = limited(&Script::of([step.clone()]), 8, true);
        let _ = sent(&service).await;
        assert_eq!(service.limiter.limit(), 8, "{step:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn places_beyond_a_lowered_limit_are_taken_away_as_they_come_back() {
    let mut steps = vec![Step::Answer(200); 7];
    steps.push(Step::Answer(429));
    steps.push(Step::Slow(SECOND, 200));
    let script = Script::of(steps);
    let service = limited(&script, 8, true);
    let mut held = Vec::new();
    for _ in 0..8 {
        held.push(sent(&service).await.unwrap());
    }
    assert_eq!((service.limiter.limit(), service.limiter.lock().owed), (4, 4));
    let mut next = Box::pin(sent(&service));
    for _ in 0..4 {
        held.pop();
        yield_now().await;
        assert!(futures::poll!(&mut next).is_pending());
        assert_eq!(script.seen(), 8);
    }
    held.pop();
    next.await.unwrap();
    drop(held);
    assert_eq!(service.limiter.places.available_permits(), service.limiter.limit());
}

#[tokio::test(start_paused = true)]
async fn a_raised_limit_lets_those_in_line_through_and_a_lowered_one_takes_places_as_they_come_back() {
    let script = Script::of([Step::Slow(SECOND, 200)]);
    let service = limited(&script, 1, true);
    let adaptive = AdaptiveConcurrency::default();
    let resize = |most| {
        service
            .limiter
            .resize(NonZeroUsize::new(most).unwrap(), Some(&adaptive), 10)
    };
    let began = Instant::now();
    let callers = join_all((0..6).map(|_| async {
        drop(sent(&service).await.unwrap());
        began.elapsed().as_secs()
    }));
    let operator = async {
        yield_now().await;
        assert_eq!((script.seen(), service.limiter.waiting()), (1, 5));
        resize(4);
        tokio::time::sleep(SECOND / 2).await;
        assert_eq!((script.seen(), service.limiter.waiting()), (4, 2));
        resize(1);
    };
    assert_eq!(tokio::join!(callers, operator).0, [1, 1, 1, 1, 2, 3]);
}
