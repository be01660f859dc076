//! Limits that change, and sockets that other pools have.

use super::*;

/// A desk whose callers have all been served over a connection each.
fn serving(connections: usize) -> (Desk, Vec<ConnectionId>) {
    let mut desk = Desk::new(limits(connections));
    let ids = (0..connections).map(|_| {
        desk.ask();
        let [Decision::Dial { connection, .. }] = desk.decided()[..] else {
            panic!("a dial was expected")
        };
        assert!(desk.admission.opened(connection, Protocol::Http1, 1, None, desk.now));
        assert!(matches!(desk.decided()[..], [Decision::Lend { .. }]));
        connection
    });
    let ids = ids.collect();
    (desk, ids)
}

#[test]
fn a_lowered_cap_closes_what_lies_idle_at_once_and_the_rest_when_it_comes_back() {
    let (mut desk, ids) = serving(4);
    desk.admission.released(ids[0], None, desk.now);
    assert_eq!(desk.decided(), []);
    desk.admission.resize(limits(1), desk.now);
    let resized = |connection| Decision::Close {
        connection,
        reason: CloseReason::Resized,
    };
    assert_eq!(desk.decided(), [resized(ids[0])]);
    let mut closed = 0;
    for id in &ids[1..] {
        desk.admission.released(*id, None, desk.now);
        closed += desk.decided().len();
    }
    assert_eq!(closed, 2, "one of three stays");
    assert_eq!(desk.admission.counts().idle, 1);
}

#[test]
fn a_raised_cap_serves_those_in_line() {
    let (mut desk, _) = serving(1);
    desk.ask();
    desk.ask();
    assert_eq!(desk.decided(), []);
    desk.admission.resize(limits(3), desk.now);
    assert!(matches!(
        desk.decided()[..],
        [Decision::Dial { .. }, Decision::Dial { .. }]
    ));
}

#[test]
fn a_caller_stopped_by_the_allowance_alone_is_served_when_another_pool_gives_back() {
    let allowance = Allowance::new(1);
    let mut desk = Desk {
        admission: Admission::new(limits(5), allowance.clone()),
        ..Desk::new(limits(5))
    };
    assert!(allowance.take());
    desk.ask();
    assert_eq!(desk.decided(), []);
    assert!(desk.admission.is_starving());
    allowance.give_back();
    desk.admission.go_on(desk.now);
    assert!(matches!(desk.decided()[..], [Decision::Dial { .. }]));
    assert!(!desk.admission.is_starving());
}
