use std::num::{NonZeroU8, NonZeroU32};

use proptest::prelude::*;

use super::*;

const SECOND: Duration = Duration::from_secs(1);

fn machine() -> (Machine, Instant) {
    let now = Instant::now();
    (Machine::new(BreakerConfig::default(), now), now)
}

fn see(machine: &mut Machine, outcome: Outcome, now: Instant) {
    let pass = machine.admit(now).unwrap();
    machine.settle(&pass, outcome, now);
}

fn opened() -> (Machine, Instant) {
    let (mut machine, now) = machine();
    for _ in 0..5 {
        see(&mut machine, Outcome::Failed, now);
    }
    (machine, now)
}

#[test]
fn it_opens_after_failures_in_a_row_and_says_when_to_come_back() {
    let (mut machine, now) = opened();
    assert_eq!(machine.state(now), BreakerState::Open);
    assert_eq!(machine.admit(now), Err(30 * SECOND));
    assert_eq!(machine.admit(now + 29 * SECOND), Err(SECOND));
}

#[test]
fn a_success_in_between_starts_the_row_again() {
    let (mut machine, now) = machine();
    for _ in 0..4 {
        for _ in 0..4 {
            see(&mut machine, Outcome::Failed, now);
        }
        see(&mut machine, Outcome::Healthy, now);
        // Long enough for the rate not to matter.
        machine.window = Window::new(SECOND, now);
    }
    assert_eq!(machine.state(now), BreakerState::Closed);
}

#[test]
fn what_says_nothing_neither_opens_it_nor_ends_a_row() {
    let (mut machine, now) = machine();
    for _ in 0..100 {
        see(&mut machine, Outcome::Neutral, now);
    }
    for _ in 0..4 {
        see(&mut machine, Outcome::Failed, now);
        see(&mut machine, Outcome::Neutral, now);
    }
    assert_eq!(machine.state(now), BreakerState::Closed);
    see(&mut machine, Outcome::Failed, now);
    assert_eq!(machine.state(now), BreakerState::Open);
}

#[test]
fn half_of_enough_requests_failing_opens_it_and_of_few_does_not() {
    for (requests, expected) in [(18, BreakerState::Closed), (20, BreakerState::Open)] {
        let (mut machine, now) = machine();
        for number in 0..requests {
            let outcome = if number % 2 == 0 {
                Outcome::Healthy
            } else {
                Outcome::Failed
            };
            see(&mut machine, outcome, now);
        }
        assert_eq!(machine.state(now), expected, "{requests}");
    }
}

#[test]
fn failures_older_than_the_window_are_forgotten() {
    let (mut machine, now) = machine();
    for number in 0..18 {
        let outcome = if number % 2 == 0 {
            Outcome::Failed
        } else {
            Outcome::Healthy
        };
        see(&mut machine, outcome, now);
    }
    let now = now + 11 * SECOND;
    assert!(machine.is_at_rest(now));
    see(&mut machine, Outcome::Healthy, now);
    see(&mut machine, Outcome::Failed, now);
    assert_eq!(
        (machine.state(now), machine.window.sums()),
        (BreakerState::Closed, (2, 1))
    );
}

#[test]
fn one_request_probes_and_its_success_closes_it() {
    let (mut machine, now) = opened();
    let now = now + 30 * SECOND;
    let probe = machine.admit(now).unwrap();
    assert_eq!(machine.state(now), BreakerState::HalfOpen);
    assert_eq!(machine.admit(now), Err(WHILE_PROBING));
    machine.settle(&probe, Outcome::Healthy, now);
    assert_eq!(machine.state(now), BreakerState::Closed);
    see(&mut machine, Outcome::Failed, now);
    assert_eq!(machine.state(now), BreakerState::Closed);
}

#[test]
fn each_failed_probe_keeps_it_open_for_longer_up_to_a_cap() {
    let (mut machine, mut now) = opened();
    now += 30 * SECOND;
    for expected in [60, 120, 240, 300, 300] {
        see(&mut machine, Outcome::Failed, now);
        assert_eq!(machine.admit(now), Err(expected * SECOND));
        now += expected * SECOND;
    }
}

#[test]
fn a_probe_that_told_nothing_makes_the_next_request_one() {
    let (mut machine, now) = opened();
    let now = now + 30 * SECOND;
    see(&mut machine, Outcome::Neutral, now);
    see(&mut machine, Outcome::Healthy, now);
    assert_eq!(machine.state(now), BreakerState::Closed);
}

#[test]
fn what_was_sent_before_it_opened_decides_nothing_afterwards() {
    let (mut machine, now) = machine();
    let old: Vec<_> = (0..3).map(|_| machine.admit(now).unwrap()).collect();
    for _ in 0..5 {
        see(&mut machine, Outcome::Failed, now);
    }
    let now = now + 30 * SECOND;
    let probe = machine.admit(now).unwrap();
    machine.settle(&old[0], Outcome::Healthy, now);
    machine.settle(&old[1], Outcome::Failed, now);
    machine.settle(&old[2], Outcome::Neutral, now);
    assert_eq!(machine.state(now), BreakerState::HalfOpen);
    machine.settle(&probe, Outcome::Healthy, now);
    assert_eq!(machine.state(now), BreakerState::Closed);
}

proptest! {
    /// Whatever happens, somebody may pass within the longest time, and only one at a time probes.
    #[test]
    fn it_never_stays_shut(steps in prop::collection::vec((0..4u8, 0..40u64), 1..200)) {
        let config = BreakerConfig {
            consecutive_failures: NonZeroU32::new(2),
            failure_percent: NonZeroU8::new(50),
            min_requests: 4,
            ..BreakerConfig::default()
        };
        let (longest, mut now) = (config.longest_open, Instant::now());
        let mut machine = Machine::new(config, now);
        let mut out = Vec::new();
        for (step, seconds) in steps {
            now += Duration::from_secs(seconds);
            match (step, out.pop()) {
                (0, popped) => {
                    out.extend(popped);
                    out.extend(machine.admit(now).ok());
                }
                (1, Some(pass)) => machine.settle(&pass, Outcome::Healthy, now),
                (2, Some(pass)) => machine.settle(&pass, Outcome::Failed, now),
                (_, Some(pass)) => machine.settle(&pass, Outcome::Neutral, now),
                (_, None) => {}
            }
            let probing = out.iter().filter(|pass| pass.probe && pass.epoch == machine.epoch).count();
            prop_assert_eq!(probing, usize::from(matches!(machine.state, State::Probing { .. })));
        }
        for pass in out {
            machine.settle(&pass, Outcome::Neutral, now);
        }
        prop_assert!(machine.admit(now + longest).is_ok());
    }
}
