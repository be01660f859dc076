//! Several addresses of one host, tried as RFC 8305 ("Happy Eyeballs") has it.
//!
//! The families take turns, and an attempt that has not ended after a quarter of a second gets company, if the pool has a
//! permit to spare for a second socket. Never more than two attempts are under way, and the one that loses is closed the
//! moment the other wins.

use std::future::Future;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use futures::StreamExt;
use futures::stream::FuturesUnordered;
use tokio::time::{Instant, sleep_until, timeout_at};

/// How long an attempt is alone: the Connection Attempt Delay that RFC 8305, section 5, recommends.
const ATTEMPT_DELAY: Duration = Duration::from_millis(250);

/// Attempts under way at once.
const ABREAST: usize = 2;

/// Why no address was reached.
#[derive(Debug)]
pub(super) enum Unreached {
    Late,
    Refused(io::Error),
}

/// The addresses with their families taking turns, that of the first address beginning (RFC 8305, section 4, with a
/// First Address Family Count of 1).
pub(super) fn interleaved(addresses: &[IpAddr]) -> Vec<IpAddr> {
    let leads = addresses.first().is_some_and(IpAddr::is_ipv6);
    let (mut first, mut second): (Vec<_>, Vec<_>) = addresses.iter().partition(|address| address.is_ipv6() == leads);
    let mut mixed = Vec::with_capacity(addresses.len());
    (first, second) = (first.into_iter().rev().collect(), second.into_iter().rev().collect());
    while let Some(address) = first.pop().or_else(|| second.pop()) {
        mixed.push(address);
        mixed.extend(second.pop());
    }
    mixed
}

/// A socket to the address that accepts one first.
///
/// The next attempt begins when the last one fails or has been alone for [`ATTEMPT_DELAY`]. Where more addresses wait
/// than may be tried at once, each attempt ends after its share of the time that is left, so that those that never
/// answer do not use up the time of those behind them.
///
/// The dial's own permit is for the only attempt under way; `spare` gives one for a second, held while that lasts.
pub(super) async fn race<S, F, P>(
    addresses: &[SocketAddr],
    deadline: Instant,
    spare: impl Fn() -> Option<P>,
    connect: impl Fn(SocketAddr) -> F,
) -> Result<S, Unreached>
where
    F: Future<Output = io::Result<S>>,
{
    let mut waiting = addresses.iter().copied();
    let mut attempts = FuturesUnordered::new();
    let mut failure = Unreached::Late;
    let mut next_at = Instant::now();
    let mut alone_until = next_at;
    loop {
        let now = Instant::now();
        let may_start = attempts.len() < ABREAST && waiting.len() > 0;
        // A timer would round up to the next millisecond.
        if may_start && next_at <= now {
            let permit = if attempts.is_empty() { None } else { spare() };
            if !attempts.is_empty() && permit.is_none() {
                if alone_until <= now {
                    // It has had its share of the time: the next one has its permit.
                    attempts.clear();
                    failure = Unreached::Late;
                } else {
                    next_at = alone_until.min(now + ATTEMPT_DELAY);
                }
                continue;
            }
            let others = u32::try_from(waiting.len()).unwrap_or(u32::MAX);
            alone_until = now + deadline.saturating_duration_since(now) / others;
            let rounds = u32::try_from(waiting.len().div_ceil(ABREAST)).unwrap_or(u32::MAX);
            let until = now + deadline.saturating_duration_since(now) / rounds;
            attempts.extend(waiting.next().map(|address| {
                let attempt = timeout_at(until, connect(address));
                async move { (attempt.await, permit) }
            }));
            next_at = now + ATTEMPT_DELAY;
            continue;
        }
        tokio::select! {
            biased;
            ended = attempts.next() => {
                failure = match ended {
                    Some((Ok(Ok(socket)), permit)) => {
                        attempts.clear();
                        // Of two permits, one is left for one socket.
                        drop(permit);
                        return Ok(socket);
                    }
                    Some((Ok(Err(error)), _)) => Unreached::Refused(error),
                    Some((Err(_), _)) => Unreached::Late,
                    None => return Err(failure),
                };
                next_at = Instant::now();
            }
            () = sleep_until(next_at), if may_start => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use std::cell::{Cell, RefCell};
    use std::rc::Rc;

    use futures::future::pending;
    use tokio::time::sleep;

    use super::*;

    /// What an address does when it is dialled.
    #[derive(Clone, Copy)]
    enum Does {
        Accepts(u64),
        Refuses(u64),
        Nothing,
    }
    use Does::{Accepts, Nothing, Refuses};

    /// What was dialled and when, in milliseconds, and how many sockets there were.
    #[derive(Default)]
    struct Seen {
        dialled: RefCell<Vec<(usize, u64)>>,
        open: Cell<usize>,
        most: Cell<usize>,
    }

    #[derive(Debug)]
    struct Socket(usize, Rc<Cell<usize>>);

    impl Drop for Socket {
        fn drop(&mut self) {
            self.1.set(self.1.get() - 1);
        }
    }

    async fn run(limit: u64, script: &[Does]) -> (Result<usize, Unreached>, Vec<(usize, u64)>, u64) {
        run_with(true, limit, script).await
    }

    async fn run_with(spare: bool, limit: u64, script: &[Does]) -> (Result<usize, Unreached>, Vec<(usize, u64)>, u64) {
        let began = Instant::now();
        let millis = |at: Instant| u64::try_from(at.saturating_duration_since(began).as_millis()).unwrap();
        let addresses: Vec<_> = (0..script.len())
            .map(|number| SocketAddr::from(([192, 0, 2, 1], u16::try_from(number).unwrap())))
            .collect();
        let (seen, open) = (Seen::default(), Rc::new(Cell::new(0)));
        let outcome = race(
            &addresses,
            began + Duration::from_millis(limit),
            || spare.then_some(()),
            |address| {
                let number = usize::from(address.port());
                seen.dialled.borrow_mut().push((number, millis(Instant::now())));
                open.set(open.get() + 1);
                seen.most.set(seen.most.get().max(open.get()));
                let (socket, does) = (Socket(number, open.clone()), script[number]);
                async move {
                    match does {
                        Accepts(after) => {
                            sleep(Duration::from_millis(after)).await;
                            Ok(socket)
                        }
                        Refuses(after) => {
                            sleep(Duration::from_millis(after)).await;
                            drop(socket);
                            Err(io::ErrorKind::ConnectionRefused.into())
                        }
                        Nothing => pending().await,
                    }
                }
            },
        )
        .await;
        assert!(seen.most.get() <= if spare { ABREAST } else { 1 });
        seen.open.set(open.get());
        assert_eq!(seen.open.get(), usize::from(outcome.is_ok()), "the losers are closed");
        (
            outcome.map(|socket| socket.0),
            seen.dialled.take(),
            millis(Instant::now()),
        )
    }

    #[tokio::test(start_paused = true)]
    async fn without_a_permit_to_spare_the_addresses_are_tried_one_after_the_other_each_for_its_share() {
        let (outcome, dialled, took) = run_with(false, 9_000, &[Nothing, Nothing, Accepts(100)]).await;
        assert_eq!((outcome.ok(), took), (Some(2), 6_100));
        assert_eq!(dialled, [(0, 0), (1, 3_000), (2, 6_000)]);
        let (outcome, dialled, _) = run_with(false, 9_000, &[Refuses(5), Accepts(0)]).await;
        assert_eq!((outcome.ok(), dialled), (Some(1), vec![(0, 0), (1, 5)]));
    }

    #[test]
    fn families_take_turns_and_keep_their_order() {
        let addresses = |texts: &[&str]| texts.iter().map(|text| text.parse().unwrap()).collect::<Vec<IpAddr>>();
        assert_eq!(
            interleaved(&addresses(&["::1", "::2", "::3", "10.0.0.1", "10.0.0.2"])),
            addresses(&["::1", "10.0.0.1", "::2", "10.0.0.2", "::3"])
        );
        assert_eq!(
            interleaved(&addresses(&["10.0.0.1", "::1", "::2", "::3"])),
            addresses(&["10.0.0.1", "::1", "::2", "::3"])
        );
        assert_eq!(interleaved(&[]), Vec::<IpAddr>::new());
    }

    #[tokio::test(start_paused = true)]
    async fn a_first_address_that_answers_is_dialled_alone() {
        let (outcome, dialled, took) = run(10_000, &[Accepts(200), Accepts(0)]).await;
        assert_eq!((outcome.unwrap(), dialled, took), (0, vec![(0, 0)], 200));
    }

    #[tokio::test(start_paused = true)]
    async fn a_silent_address_costs_a_quarter_of_a_second() {
        let (outcome, dialled, took) = run(10_000, &[Nothing, Accepts(10)]).await;
        assert_eq!((outcome.unwrap(), dialled, took), (1, vec![(0, 0), (1, 250)], 260));
    }

    #[tokio::test(start_paused = true)]
    async fn a_slow_address_may_still_win() {
        let (outcome, dialled, took) = run(10_000, &[Accepts(300), Accepts(100)]).await;
        assert_eq!((outcome.unwrap(), dialled, took), (0, vec![(0, 0), (1, 250)], 300));
    }

    #[tokio::test(start_paused = true)]
    async fn a_refusal_makes_way_at_once() {
        let (outcome, dialled, took) = run(10_000, &[Refuses(5), Refuses(5), Accepts(5)]).await;
        assert_eq!(
            (outcome.unwrap(), dialled, took),
            (2, vec![(0, 0), (1, 5), (2, 10)], 15)
        );
    }

    #[tokio::test(start_paused = true)]
    async fn silent_addresses_leave_time_for_those_behind_them() {
        let (outcome, dialled, _) = run(10_000, &[Nothing, Nothing, Nothing, Nothing, Accepts(10)]).await;
        assert_eq!(outcome.unwrap(), 4);
        assert_eq!(dialled.len(), 5);
    }

    #[tokio::test(start_paused = true)]
    async fn the_deadline_ends_the_race() {
        let (outcome, _, took) = run(1_000, &[Nothing, Nothing, Nothing]).await;
        assert!(matches!(outcome, Err(Unreached::Late)));
        assert_eq!(took, 1_000);
    }

    #[tokio::test(start_paused = true)]
    async fn the_last_refusal_is_what_is_told() {
        let (outcome, _, _) = run(1_000, &[Refuses(0), Refuses(0)]).await;
        assert!(matches!(outcome, Err(Unreached::Refused(error)) if error.kind() == io::ErrorKind::ConnectionRefused));
    }
}
