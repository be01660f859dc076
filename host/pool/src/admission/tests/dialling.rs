//! What is dialled, for how many, and what becomes of it.

use super::*;

#[test]
fn a_returned_connection_and_a_finished_dial_serve_whoever_is_first() {
    let (mut desk, ids) = Desk::new(limits(2)).with_idle(1);
    desk.ask();
    let first = waiter(desk.ask());
    let dialled = desk.dials()[0];
    desk.release(ids[0]);
    assert_eq!(
        desk.decided(),
        [Decision::Lend {
            waiter: first,
            connection: ids[0],
            reused: true
        }]
    );
    // Its dial goes on and serves the next one, or nobody.
    desk.open_http1(dialled);
    assert_eq!(desk.decided(), []);
    assert_eq!(desk.ask(), lent(dialled));
}

#[test]
fn a_failed_dial_tells_one_caller_and_the_others_get_their_own() {
    let mut desk = Desk::new(limits(1));
    let (first, second) = (waiter(desk.ask()), waiter(desk.ask()));
    let dialled = desk.dials();
    assert_eq!(dialled.len(), 1);
    assert_eq!(desk.admission.dial_failed(dialled[0], desk.now), Some(first));
    desk.admission.closed(dialled[0], desk.now);
    assert!(matches!(desk.decided()[..], [Decision::Dial { waiter, .. }] if waiter == second));
}

#[test]
fn no_more_dials_than_callers() {
    let mut desk = Desk::new(limits(10));
    let waiters: Vec<_> = (0..3).map(|_| waiter(desk.ask())).collect();
    assert_eq!(desk.dials().len(), 3);
    desk.admission.cancelled(waiters[1], desk.now);
    waiter(desk.ask());
    assert_eq!(
        desk.dials().len(),
        0,
        "the dial of the caller who left serves the new one"
    );
}

#[test]
fn an_unknown_secure_origin_is_dialled_once_until_its_protocol_is_known() {
    let mut desk = Desk::secure(limits(10));
    for _ in 0..4 {
        waiter(desk.ask());
    }
    let dialled = desk.dials();
    assert_eq!(dialled.len(), 1);
    desk.open_http1(dialled[0]);
    assert_eq!(
        desk.dials().len(),
        3,
        "it speaks HTTP/1.1, so everybody needs a connection"
    );
}

#[test]
fn an_http2_connection_is_filled_before_another_is_dialled() {
    let mut desk = Desk::secure(limits(10));
    for _ in 0..5 {
        waiter(desk.ask());
    }
    let first = desk.dials()[0];
    desk.open_http2(first, 2);
    let decided = desk.decided();
    assert_eq!(decided.iter().filter(|d| matches!(d, Decision::Lend { .. })).count(), 2);
    assert_eq!(
        decided.iter().filter(|d| matches!(d, Decision::Dial { .. })).count(),
        2,
        "three wait, two fit in each"
    );
}

#[test]
fn a_lowered_stream_limit_does_not_deadlock() {
    let mut desk = Desk::secure(limits(2));
    waiter(desk.ask());
    let first = desk.dials()[0];
    desk.open_http2(first, 100);
    desk.decided();
    desk.admission.streams_changed(first, 0, desk.now);
    let second_caller = waiter(desk.ask());
    let second = desk.dials()[0];
    desk.open_http2(second, 100);
    assert_eq!(
        desk.decided(),
        [Decision::Lend {
            waiter: second_caller,
            connection: second,
            reused: false
        }]
    );
}

#[test]
fn a_replayed_request_gets_a_connection_opened_after_its_failure() {
    let (mut desk, ids) = Desk::new(limits(2)).with_idle(2);
    let (stale, since) = (desk.ask(), desk.admission.moment());
    assert_eq!(stale, lent(ids[1]));
    desk.admission.lost(ids[1], CloseReason::PeerClosed, desk.now);
    desk.decided();
    let again = desk
        .admission
        .request(&desk.here, Need::OpenedAfter(since), desk.now)
        .unwrap();
    assert_eq!(desk.decided(), [], "the socket being closed already will be its permit");
    desk.admission.closed(ids[1], desk.now);
    let fresh = desk.dials()[0];
    desk.open_http1(fresh);
    assert_eq!(
        desk.decided(),
        [Decision::Lend {
            waiter: waiter(again),
            connection: fresh,
            reused: false
        }]
    );
}

#[test]
fn a_deadline_that_passes_during_the_callers_dial_waits_for_it() {
    let mut desk = Desk::new(limits(1));
    let (dialling, in_line) = (waiter(desk.ask()), waiter(desk.ask()));
    let dialled = desk.dials()[0];
    assert!(desk.admission.overdue(in_line, desk.now), "nothing is under way for it");
    assert!(!desk.admission.overdue(dialling, desk.now));
    desk.open_http1(dialled);
    assert_eq!(
        desk.decided(),
        [Decision::Lend {
            waiter: dialling,
            connection: dialled,
            reused: false
        }]
    );
}

#[test]
fn a_deadline_that_has_passed_is_not_extended_by_a_second_dial() {
    let mut desk = Desk::secure(limits(10));
    let (first, second) = (waiter(desk.ask()), waiter(desk.ask()));
    let dialled = desk.dials()[0];
    assert!(!desk.admission.overdue(first, desk.now));
    assert!(!desk.admission.overdue(second, desk.now));
    assert_eq!(desk.admission.dial_failed(dialled, desk.now), Some(first));
    assert_eq!(desk.decided(), [Decision::GiveUp { waiter: second }]);
}

#[test]
fn a_second_socket_of_a_dial_has_a_permit_of_its_own_and_gives_way_to_nobody_who_waits() {
    let mut desk = Desk::new(limits(3));
    desk.ask();
    assert!(desk.admission.take_spare());
    assert_eq!(desk.admission.counts().sockets, 2);
    desk.ask();
    assert!(!desk.admission.take_spare(), "the cap is reached");
    desk.ask();
    assert_eq!(desk.decided().len(), 2, "the third caller waits for a permit");
    desk.admission.give_back_spare(desk.now);
    assert!(matches!(desk.decided()[..], [Decision::Dial { .. }]));
}
