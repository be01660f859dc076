//! Who waits, who is served first, and who makes room.

use super::*;

#[test]
fn callers_are_served_in_the_order_of_their_arrival() {
    let (mut desk, ids) = Desk::new(limits(1)).with_idle(1);
    desk.ask();
    let (first, second) = (waiter(desk.ask()), waiter(desk.ask()));
    desk.release(ids[0]);
    assert_eq!(
        desk.decided(),
        [Decision::Lend {
            waiter: first,
            connection: ids[0],
            reused: true
        }]
    );
    desk.release(ids[0]);
    assert_eq!(
        desk.decided(),
        [Decision::Lend {
            waiter: second,
            connection: ids[0],
            reused: true
        }]
    );
}

#[test]
fn a_caller_who_has_gone_is_passed_over() {
    let (mut desk, ids) = Desk::new(limits(1)).with_idle(1);
    desk.ask();
    let (first, second) = (waiter(desk.ask()), waiter(desk.ask()));
    desk.admission.cancelled(first, desk.now);
    desk.release(ids[0]);
    assert_eq!(
        desk.decided(),
        [Decision::Lend {
            waiter: second,
            connection: ids[0],
            reused: true
        }]
    );
}

#[test]
fn a_line_that_is_full_refuses_the_next_one_at_once() {
    let (mut desk, _) = Desk::new(Limits {
        max_waiters: 1,
        ..limits(1)
    })
    .with_idle(1);
    desk.ask();
    desk.ask();
    assert_eq!(
        desk.admission.request(&desk.here, Need::Any, desk.now),
        Err(Refusal::LineFull)
    );
    assert_eq!(desk.admission.counts().waiting, 1);
}

#[test]
fn a_caller_whose_dial_is_under_way_is_not_in_line() {
    let mut desk = Desk::new(Limits {
        max_waiters: 0,
        ..limits(2)
    });
    waiter(desk.ask());
    waiter(desk.ask());
    assert_eq!(
        desk.admission.request(&desk.here, Need::Any, desk.now),
        Err(Refusal::LineFull)
    );
}

#[test]
fn at_the_cap_the_least_recently_used_connection_of_another_origin_makes_room() {
    let (mut desk, ids) = Desk::new(limits(2)).with_idle(2);
    waiter(desk.ask_for("http://b"));
    assert_eq!(
        desk.decided(),
        [Decision::Close {
            connection: ids[0],
            reason: CloseReason::MadeRoom
        }]
    );
    // The permit is free only once the socket is gone.
    desk.admission.closed(ids[0], desk.now);
    assert_eq!(desk.dials().len(), 1);
}

#[test]
fn a_returning_connection_makes_room_for_an_older_caller_of_another_origin() {
    let (mut desk, ids) = Desk::new(limits(1)).with_idle(1);
    desk.ask();
    waiter(desk.ask_for("http://b"));
    waiter(desk.ask());
    desk.release(ids[0]);
    assert_eq!(
        desk.decided(),
        [Decision::Close {
            connection: ids[0],
            reason: CloseReason::MadeRoom
        }]
    );
}

#[test]
fn a_shared_connection_that_is_never_idle_makes_room_for_a_caller_of_another_origin() {
    let mut desk = Desk::secure(limits(1));
    desk.ask();
    let shared = desk.dials()[0];
    desk.open_http2(shared, 100);
    desk.decided();
    assert_eq!(desk.ask(), lent(shared));
    let other = waiter(desk.ask_for("http://b"));
    // From here on it is lent no more, and those who come later wait.
    let later = waiter(desk.ask());
    desk.release(shared);
    assert_eq!(desk.decided(), []);
    desk.release(shared);
    assert_eq!(
        desk.decided(),
        [Decision::Close {
            connection: shared,
            reason: CloseReason::MadeRoom
        }]
    );
    desk.admission.closed(shared, desk.now);
    let decided = desk.decided();
    assert!(matches!(decided[..], [Decision::Dial { waiter, .. }] if waiter == other && waiter < later));
}

#[test]
fn a_shared_connection_is_lent_on_while_another_will_come_back_by_itself() {
    let mut desk = Desk::secure(limits(2));
    desk.ask();
    let shared = desk.dials()[0];
    desk.open_http2(shared, 100);
    desk.decided();
    desk.ask_for("http://b");
    let alone = desk.dials()[0];
    desk.open_http1(alone);
    desk.decided();
    waiter(desk.ask_for("http://c"));
    assert_eq!(desk.ask(), lent(shared));
}

#[test]
fn a_shared_connection_that_refused_a_request_makes_room_for_its_second_attempt() {
    let mut desk = Desk::secure(limits(1));
    desk.ask();
    let shared = desk.dials()[0];
    desk.open_http2(shared, 100);
    desk.decided();
    assert_eq!(desk.ask(), lent(shared));
    let since = desk.admission.moment();
    desk.release(shared);
    let again = waiter(
        desk.admission
            .request(&desk.here, Need::OpenedAfter(since), desk.now)
            .unwrap(),
    );
    waiter(desk.ask());
    desk.release(shared);
    desk.admission.closed(shared, desk.now);
    let decided = desk.decided();
    assert!(matches!(decided[..], [Decision::Close { .. }, Decision::Dial { waiter, .. }] if waiter == again));
}
