use super::*;
use crate::load::script::{Script, Step, call, get, post};
use crate::options::Timeouts;

fn retrying(script: &Script, config: RetryConfig) -> Retry<Script> {
    let budget = Arc::new(Budget::new(&config.budget));
    RetryLayer::new(config, budget, Jitter::seeded(1), Arc::default()).layer(script.clone())
}

fn waits(script: &Script) -> Vec<Duration> {
    script.moments().windows(2).map(|pair| pair[1] - pair[0]).collect()
}

/// How often a server that answers like this is asked, and what the caller is told.
async fn asked(call: Call, steps: impl IntoIterator<Item = Step>) -> (usize, Result<u16, SendError>) {
    let script = Script::of(steps);
    let service = retrying(&script, RetryConfig::default());
    let told = service.oneshot(call).await;
    (script.seen(), told.map(|response| response.status().as_u16()))
}

#[tokio::test(start_paused = true)]
async fn a_server_that_is_unavailable_twice_is_asked_a_third_time() {
    let steps = [Step::Answer(503), Step::Refuse, Step::Answer(200)];
    let script = Script::of(steps);
    let service = retrying(&script, RetryConfig::default());
    assert_eq!(service.clone().oneshot(get()).await.unwrap().status(), 200);
    assert_eq!(script.seen(), 3);
    let counted = service.shared.numbers.counted().retries;
    assert_eq!(counted.into_iter().collect::<Vec<_>>(), [("503", 1), ("connect", 1)]);
}

#[tokio::test(start_paused = true)]
async fn the_last_answer_is_the_callers_after_five_tries() {
    let (seen, told) = asked(get(), [Step::Answer(500), Step::Answer(502), Step::Answer(504)]).await;
    assert_eq!((seen, told.unwrap()), (5, 504));
    let (seen, told) = asked(get(), [Step::Answer(500), Step::Refuse]).await;
    assert!(matches!(told, Err(SendError::Connect { .. })), "{told:?}");
    assert_eq!(seen, 5);
}

#[tokio::test(start_paused = true)]
async fn a_request_that_may_have_been_acted_on_is_not_sent_again_unless_it_is_safe() {
    for step in [Step::Answer(500), Step::Answer(503), Step::Answer(408), Step::TimeOut] {
        assert_eq!(asked(post(), [step.clone()]).await.0, 1, "{step:?}");
    }
    for step in [Step::Answer(429), Step::Refuse] {
        assert_eq!(asked(post(), [step.clone(), Step::Answer(200)]).await.0, 2, "{step:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn what_would_fare_no_better_is_not_sent_again() {
    for step in [Step::Answer(200), Step::Answer(400), Step::Answer(501), Step::TimeOut] {
        assert_eq!(asked(get(), [step.clone()]).await.0, 1, "{step:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_429_that_tells_no_time_to_wait_is_sent_again_unless_that_is_switched_off() {
    for (switched_on, step, times) in [
        (true, Step::Answer(429), 2),
        (false, Step::Answer(429), 1),
        (false, Step::Tell(429, "retry-after", "1"), 2),
        (false, Step::Answer(503), 2),
    ] {
        let script = Script::of([step.clone(), Step::Answer(200)]);
        let config = RetryConfig {
            retry_429_without_retry_after: switched_on,
            ..RetryConfig::default()
        };
        retrying(&script, config).oneshot(get()).await.unwrap();
        assert_eq!(script.seen(), times, "{switched_on} {step:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn the_server_is_left_alone_for_as_long_as_it_asks_up_to_a_cap() {
    for (text, least) in [("7", 7), ("3600", 60)] {
        for status in [429, 503] {
            let script = Script::of([Step::Tell(status, "retry-after", text), Step::Answer(200)]);
            retrying(&script, RetryConfig::default())
                .oneshot(post_or_get(status))
                .await
                .unwrap();
            let wait = waits(&script)[0];
            let most = Duration::from_millis(least * 1_000 + 501);
            assert!(
                wait >= Duration::from_secs(least) && wait < most,
                "{text} {status}: {wait:?}"
            );
        }
    }
    // Of another status it may mean something else.
    let script = Script::of([Step::Tell(500, "retry-after", "7"), Step::Answer(200)]);
    retrying(&script, RetryConfig::default()).oneshot(get()).await.unwrap();
    assert!(waits(&script)[0] < Duration::from_secs(1));
}

fn post_or_get(status: u16) -> Call {
    if status == 429 { post() } else { get() }
}

#[tokio::test(start_paused = true)]
async fn nothing_is_waited_for_that_lies_past_the_total_deadline() {
    let timeouts = Timeouts {
        total: Some(Duration::from_secs(5)),
        ..Timeouts::default()
    };
    let steps = [Step::Tell(503, "retry-after", "6"), Step::Answer(200)];
    let began = Instant::now();
    let (seen, told) = asked(call("GET", timeouts), steps).await;
    assert_eq!((seen, told.unwrap(), began.elapsed()), (1, 503, Duration::ZERO));
}

#[test]
fn waits_are_random_below_a_limit_that_doubles_up_to_a_cap() {
    let (config, jitter) = (RetryConfig::default(), Jitter::seeded(7));
    for (tries, limit) in [
        (1, 500),
        (2, 1_000),
        (3, 2_000),
        (5, 8_000),
        (6, 8_000),
        (u32::MAX, 8_000),
    ] {
        let waits: Vec<_> = (0..1_000)
            .map(|_| config.delay(tries, None, &jitter).as_millis())
            .collect();
        let (least, most) = (waits.iter().min().unwrap(), waits.iter().max().unwrap());
        assert!(
            *most <= limit && *most > limit * 9 / 10 && *least < limit / 10,
            "{tries}"
        );
    }
}

#[test]
fn the_same_seed_gives_the_same_waits() {
    let config = RetryConfig::default();
    let waits = |seed| {
        let jitter = Jitter::seeded(seed);
        (1..5)
            .map(|tries| config.delay(tries, None, &jitter))
            .collect::<Vec<_>>()
    };
    assert_eq!(waits(3), waits(3));
    assert_ne!(waits(3), waits(4));
}

#[tokio::test(start_paused = true)]
async fn the_budget_keeps_an_outage_from_being_multiplied() {
    let script = Script::of([Step::Answer(503)]);
    let config = RetryConfig {
        budget: BudgetConfig {
            per_second: 0,
            ..BudgetConfig::default()
        },
        ..RetryConfig::default()
    };
    let service = retrying(&script, config);
    let callers = (0..100).map(|_| {
        service.shared.budget.deposit();
        service.clone().oneshot(get())
    });
    for told in futures::future::join_all(callers).await {
        assert_eq!(told.unwrap().status(), 503);
    }
    assert_eq!(script.seen(), 100 + 20);
    assert!(service.shared.numbers.counted().retries_denied >= 100 - 20);
}

#[tokio::test(start_paused = true)]
async fn each_try_has_the_whole_pool_timeout_to_wait_and_the_same_end() {
    let waits = Arc::new(std::sync::Mutex::new(Vec::new()));
    let noted = waits.clone();
    let unavailable = tower::service_fn(move |call: Call| {
        let left = (call.deadlines.pool_at() - Instant::now(), call.deadlines.total_at());
        noted.lock().unwrap().push(left);
        let answer = Response::builder()
            .status(503)
            .body(http_body_util::Empty::<Bytes>::new());
        async move { Ok::<_, SendError>(answer.unwrap()) }
    });
    let budget = Arc::new(Budget::new(&BudgetConfig::default()));
    let layer = RetryLayer::new(RetryConfig::default(), budget, Jitter::seeded(1), Arc::default());
    let timeouts = Timeouts {
        total: Some(Duration::from_secs(60)),
        ..Timeouts::default()
    };
    layer.layer(unavailable).oneshot(call("GET", timeouts)).await.unwrap();
    let waits = waits.lock().unwrap();
    assert_eq!(waits.len(), 5);
    assert!(waits.iter().all(|left| *left == (Duration::from_secs(5), waits[0].1)));
}

#[test]
fn a_last_try_that_sent_nothing_does_not_hide_that_the_request_may_have_been_processed() {
    let origin = get().origin().clone();
    let refused = || SendError::BreakerOpen {
        origin: origin.clone(),
        retry_after: Duration::ZERO,
    };
    let silent = SendError::FirstByteTimeout {
        origin: origin.clone(),
        limit: Duration::ZERO,
    };
    let outcome = |last, earlier| told::<()>(Err(last), earlier).unwrap_err().kind();
    assert_eq!(outcome(refused(), Some(silent)), "first-byte-timeout");
    assert_eq!(outcome(refused(), None), "breaker-open");
}
