//! Turns at reading long bodies: one that comes as fast as it is read takes a processor for itself, and many of them would
//! leave none to the other clients.

use std::sync::LazyLock;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use axum::body::{Body, Bytes};
use http_body::Frame;
use http_body_util::BodyExt as _;
use tokio::sync::{Semaphore, SemaphorePermit};
use tokio::time::{Instant, sleep, timeout_at};

/// What is read in one turn: enough that turns cost nothing beside the reading.
const SLICE: usize = 256 * 1024;

/// What a turn takes at most, and what a body that needs no turns takes at least for as much: 25 MB/s. One that comes more
/// slowly holds nobody up, and many such need not wait for each other.
const TURN: Duration = Duration::from_millis(10);

/// The turns of all clients: half of the processors are left to everybody else.
static TURNS: LazyLock<Turns> = LazyLock::new(|| {
    let processors = std::thread::available_parallelism().map_or(1, usize::from);
    Turns::new((processors / 2).max(1))
});

struct Turns {
    free: Semaphore,
    waiting: AtomicUsize,
}

impl Turns {
    fn new(at_once: usize) -> Turns {
        Turns {
            free: Semaphore::new(at_once),
            waiting: AtomicUsize::new(0),
        }
    }

    async fn next(&self) -> Option<SemaphorePermit<'_>> {
        struct Waiting<'a>(&'a AtomicUsize);
        impl Drop for Waiting<'_> {
            fn drop(&mut self) {
                self.0.fetch_sub(1, Ordering::Relaxed);
            }
        }
        self.waiting.fetch_add(1, Ordering::Relaxed);
        let _waiting = Waiting(&self.waiting);
        self.free.acquire().await.ok()
    }

    fn are_waited_for(&self) -> bool {
        self.waiting.load(Ordering::Relaxed) > 0
    }
}

/// One body's reading.
pub(crate) struct Pace<'a> {
    turns: &'a Turns,
    turn: Option<SemaphorePermit<'a>>,
    began: Instant,
    read: usize,
}

impl Pace<'static> {
    /// Of a body that is about to be read, among those of all clients.
    pub(crate) fn new() -> Pace<'static> {
        Pace::among(&TURNS)
    }
}

impl<'a> Pace<'a> {
    fn among(turns: &'a Turns) -> Pace<'a> {
        Pace {
            turns,
            turn: None,
            began: Instant::now(),
            read: 0,
        }
    }

    /// The body's next frame, once it is its turn.
    pub(crate) async fn frame(&mut self, body: &mut Body) -> Option<Result<Frame<Bytes>, axum::Error>> {
        if self.read >= SLICE {
            self.end_turn().await;
        }
        if self.turn.is_some() {
            match timeout_at(self.began + TURN, body.frame()).await {
                Ok(frame) => return self.counted(frame),
                Err(_) => self.turn = None,
            }
        }
        let frame = body.frame().await;
        self.counted(frame)
    }

    async fn end_turn(&mut self) {
        let took = self.began.elapsed();
        if self.turn.is_some() && self.turns.are_waited_for() {
            // Where one turn followed the other, a processor would do nothing else.
            sleep(took).await;
        }
        // First given back: those who wait come first.
        self.turn = None;
        if took < TURN {
            self.turn = self.turns.next().await;
        }
        (self.began, self.read) = (Instant::now(), 0);
    }

    fn counted<E>(&mut self, frame: Option<Result<Frame<Bytes>, E>>) -> Option<Result<Frame<Bytes>, E>> {
        let data = frame.as_ref().and_then(|frame| frame.as_ref().ok()?.data_ref());
        self.read += data.map_or(0, Bytes::len);
        frame
    }
}

#[cfg(test)]
mod tests {
    use std::io;

    use futures::FutureExt as _;
    use futures::stream::{self, StreamExt as _};

    use super::*;

    /// A body of pieces of a quarter of a turn each, so long apart.
    fn body(apart: Duration) -> Body {
        let pieces = stream::repeat(Bytes::from(vec![0; SLICE / 4]));
        Body::from_stream(pieces.then(move |piece| async move {
            if !apart.is_zero() {
                tokio::time::sleep(apart).await;
            }
            Ok::<_, io::Error>(piece)
        }))
    }

    async fn read(pace: &mut Pace<'_>, body: &mut Body, pieces: usize) {
        for _ in 0..pieces {
            pace.frame(body).await.unwrap().unwrap();
        }
    }

    #[tokio::test(start_paused = true)]
    async fn fast_bodies_are_read_a_turn_at_a_time_in_the_order_they_came() {
        let turns = Turns::new(1);
        let (mut first, mut second) = (body(Duration::ZERO), body(Duration::ZERO));
        let (mut of_first, mut of_second) = (Pace::among(&turns), Pace::among(&turns));
        read(&mut of_first, &mut first, 5).await;
        read(&mut of_second, &mut second, 4).await;
        {
            let mut waiting = Box::pin(of_second.frame(&mut second));
            assert!((&mut waiting).now_or_never().is_none(), "the first has its turn");
            tokio::time::advance(TURN / 5).await;
            read(&mut of_first, &mut first, 3).await;
            let turn_over = Instant::now();
            // The second comes before the first's next turn, and not at once: others have the processor meanwhile.
            let mut next = Box::pin(of_first.frame(&mut first));
            assert!((&mut next).now_or_never().is_none());
            assert!((&mut waiting).now_or_never().is_none());
            tokio::select! {
                biased;
                _ = &mut next => panic!("out of turn"),
                _ = &mut waiting => {}
            }
            assert_eq!(turn_over.elapsed(), TURN / 5);
        }
        drop(of_second);
        read(&mut of_first, &mut first, 9).await;
    }

    #[tokio::test(start_paused = true)]
    async fn a_slow_body_neither_waits_for_a_turn_nor_keeps_one() {
        let turns = Turns::new(1);
        let mut slow = body(TURN / 4);
        let mut pace = Pace::among(&turns);
        {
            let _all = turns.free.acquire().await.unwrap();
            read(&mut pace, &mut slow, 9).await;
        }
        // A fast one that falls asleep in its turn.
        let mut stalls = body(Duration::ZERO);
        read(&mut pace, &mut stalls, 5).await;
        assert_eq!(turns.free.available_permits(), 0);
        let mut silent = Body::from_stream(stream::pending::<io::Result<Bytes>>());
        assert!(tokio::time::timeout(2 * TURN, pace.frame(&mut silent)).await.is_err());
        assert_eq!(turns.free.available_permits(), 1);
    }
}
