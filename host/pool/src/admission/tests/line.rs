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
