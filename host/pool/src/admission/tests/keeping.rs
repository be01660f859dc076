//! Which connections are kept, and for how long.

use super::*;

#[test]
fn the_most_recently_used_connection_is_lent_first() {
    let (mut desk, ids) = Desk::new(limits(3)).with_idle(3);
    assert_eq!(desk.ask(), lent(ids[2]));
    assert_eq!(desk.ask(), lent(ids[1]));
    desk.release(ids[2]);
    assert_eq!(desk.ask(), lent(ids[2]));
}

#[test]
fn an_expired_connection_is_never_lent() {
    let (mut desk, ids) = Desk::new(limits(3)).with_idle(1);
    desk.now += 5 * SECOND;
    waiter(desk.ask());
    let decided = desk.decided();
    assert_eq!(
        decided[0],
        Decision::Close {
            connection: ids[0],
            reason: CloseReason::Expired
        }
    );
    assert!(matches!(decided[1], Decision::Dial { .. }));
}

#[test]
fn what_the_server_says_about_keeping_is_honoured_less_a_margin() {
    let (mut desk, ids) = Desk::new(limits(1)).with_idle(1);
    desk.ask();
    desk.admission.released(ids[0], Some(3 * SECOND), desk.now);
    assert_eq!(desk.admission.next_expiry(), Some(desk.now + 2 * SECOND));
    desk.admission.expire(desk.now + 2 * SECOND);
    assert_eq!(
        desk.decided(),
        [Decision::Close {
            connection: ids[0],
            reason: CloseReason::Expired
        }]
    );
}

#[test]
fn a_connection_is_retired_at_its_age_and_closed_when_it_comes_back() {
    let mut desk = Desk::new(limits(1));
    desk.ask();
    let id = desk.dials()[0];
    desk.admission
        .opened(id, Protocol::Http1, 1, Some(desk.now + SECOND), desk.now);
    desk.decided();
    desk.now += SECOND;
    desk.release(id);
    assert_eq!(
        desk.decided(),
        [Decision::Close {
            connection: id,
            reason: CloseReason::Aged
        }]
    );
}

#[test]
fn idle_connections_over_their_cap_are_closed_whatever_is_active() {
    let (mut desk, ids) = Desk::new(Limits {
        max_idle: 2,
        ..limits(5)
    })
    .with_idle(2);
    let more: Vec<_> = (0..3).map(|_| desk.ask()).collect();
    assert!(matches!(more[2], Admitted::Queued(_)));
    let third = desk.dials()[0];
    desk.open_http1(third);
    desk.decided();
    for id in [ids[0], ids[1]] {
        desk.release(id);
    }
    assert_eq!(desk.decided(), []);
    desk.release(third);
    assert_eq!(
        desk.decided(),
        [Decision::Close {
            connection: ids[0],
            reason: CloseReason::IdleLimit
        }]
    );
}

#[test]
fn a_pool_that_keeps_nothing_closes_every_connection_after_its_request() {
    let mut desk = Desk::new(Limits {
        keeps: false,
        ..limits(2)
    });
    let first = waiter(desk.ask());
    let dialled = desk.dials()[0];
    desk.open_http1(dialled);
    assert_eq!(
        desk.decided(),
        [Decision::Lend {
            waiter: first,
            connection: dialled,
            reused: false
        }]
    );
    desk.release(dialled);
    assert_eq!(
        desk.decided(),
        [Decision::Close {
            connection: dialled,
            reason: CloseReason::NotKept
        }]
    );
}

#[test]
fn a_closed_pool_admits_nobody_and_lets_go_of_what_comes_back() {
    let (mut desk, ids) = Desk::new(limits(2)).with_idle(2);
    desk.ask();
    assert_eq!(desk.admission.shut(), []);
    assert_eq!(
        desk.decided(),
        [Decision::Close {
            connection: ids[0],
            reason: CloseReason::PoolClosed
        }]
    );
    assert_eq!(
        desk.admission.request(&desk.here, Need::Any, desk.now),
        Err(Refusal::Closed)
    );
    desk.release(ids[1]);
    assert_eq!(
        desk.decided(),
        [Decision::Close {
            connection: ids[1],
            reason: CloseReason::PoolClosed
        }]
    );
}

#[test]
fn a_forgotten_origin_leaves_nothing_behind() {
    let (mut desk, ids) = Desk::new(limits(1)).with_idle(1);
    desk.admission.retire(ids[0], CloseReason::PeerClosed, desk.now);
    desk.admission.closed(ids[0], desk.now);
    assert_eq!(desk.admission.counts(), Counts::default());
    assert!(desk.admission.queues.is_empty());
}
