//! Every order in which callers, dials and closing sockets can get at the bookkeeping, tried one after the other by a
//! model checker.
//!
//! The threads do as [`crate::core`] does: what happens is told under the lock, what follows from it is carried out
//! after the lock is free, and a caller may have gone by then. Loom ends a run in which nobody can go on, so a caller
//! who is forgotten fails the test.

use std::collections::{BTreeMap, BTreeSet};

use loom::model::Builder;
use loom::sync::{Arc, Condvar, Mutex};
use loom::thread;

use super::*;

/// How often threads are interrupted in one run where `LOOM_MAX_PREEMPTIONS` does not say. Two find most mistakes of
/// this kind (Musuvathi and Qadeer, "Iterative Context Bounding", PLDI 2007); each more takes about ten times as long.
const INTERRUPTIONS: usize = 2;

/// What becomes of a caller.
#[derive(Clone, Copy, PartialEq)]
enum Caller {
    /// Waits for its connection, and gives it back.
    Patient,
    /// Its exchange ends badly, and its connection with it.
    Unlucky,
    /// Goes away while it waits.
    Leaving,
    /// Its deadline passes while it waits.
    Late,
}

/// One small pool and those who use it.
#[derive(Clone)]
struct Scene {
    cap: usize,
    /// How many requests a connection carries at once.
    streams: usize,
    callers: Vec<(&'static str, Caller)>,
    /// How many dials fail before one does not.
    failing: usize,
}

/// What a caller in line is told: its connection, or that there is none.
type Word = Option<ConnectionId>;

type Letter = (Arc<Reply>, Word);

/// Where a caller in line waits for word; the channel of [`crate::core`].
#[derive(Default)]
struct Reply {
    letter: Mutex<(Option<Word>, bool)>,
    arrived: Condvar,
}

impl Reply {
    /// Returns the word if the caller has gone.
    fn send(&self, word: Word) -> Result<(), Word> {
        let mut letter = self.letter.lock().unwrap();
        if letter.1 {
            return Err(word);
        }
        letter.0 = Some(word);
        self.arrived.notify_one();
        Ok(())
    }

    fn wait(&self) -> Word {
        let mut letter = self.letter.lock().unwrap();
        loop {
            match letter.0.take() {
                Some(word) => return word,
                None => letter = self.arrived.wait(letter).unwrap(),
            }
        }
    }

    /// The caller goes. Returns what has been sent meanwhile.
    fn close(&self) -> Option<Word> {
        let mut letter = self.letter.lock().unwrap();
        letter.1 = true;
        letter.0.take()
    }
}

/// What is behind the lock.
struct Books {
    desk: Desk,
    streams: usize,
    in_line: BTreeMap<WaiterId, (&'static str, Arc<Reply>)>,
    dialling: BTreeMap<ConnectionId, &'static str>,
    /// Whom it leads to, and how many requests it carries.
    open: BTreeMap<ConnectionId, (&'static str, usize)>,
    retired: BTreeSet<ConnectionId>,
    closing: BTreeSet<ConnectionId>,
    /// Who has still something to do.
    callers: usize,
}

impl Books {
    fn ask(&mut self, uri: &'static str, reply: &Arc<Reply>) -> Admitted {
        let admitted = self.desk.ask_for(uri);
        match admitted {
            Admitted::Lent { connection, .. } => self.lend(connection, uri),
            Admitted::Queued(waiter) => drop(self.in_line.insert(waiter, (uri, reply.clone()))),
        }
        admitted
    }

    fn lend(&mut self, id: ConnectionId, uri: &str) {
        let open = self.open.get_mut(&id).expect("what is lent is open");
        assert_eq!(open.0, uri, "and leads where it should");
        open.1 += 1;
        assert!(open.1 <= self.streams && !self.retired.contains(&id));
    }

    fn ends(&mut self, id: ConnectionId, well: bool) {
        self.open.get_mut(&id).expect("what comes back was open").1 -= 1;
        if well {
            self.desk.release(id);
        } else {
            self.retired.insert(id);
            self.desk.admission.lost(id, CloseReason::Cancelled, self.desk.now);
        }
    }

    fn dial_ends(&mut self, id: ConnectionId, well: bool) -> Option<WaiterId> {
        let uri = self.dialling.remove(&id)?;
        if !well {
            self.closing.insert(id);
            return self.desk.admission.dial_failed(id, self.desk.now);
        }
        self.open.insert(id, (uri, 0));
        match self.streams {
            1 => self.desk.open_http1(id),
            streams => self.desk.open_http2(id, streams),
        }
        None
    }

    /// Takes this caller out of the line.
    fn tell(&mut self, waiter: WaiterId, word: Word) -> Letter {
        (self.in_line.remove(&waiter).expect("told once").1, word)
    }

    /// Carries out what concerns sockets. Returns who is to be told what.
    fn follow(&mut self) -> Vec<Letter> {
        let mut told = Vec::new();
        for decision in self.desk.decided() {
            match decision {
                Decision::Lend { waiter, connection, .. } => {
                    let uri = self.in_line[&waiter].0;
                    let first = self.in_line.iter().find(|(_, other)| other.0 == uri).unwrap();
                    assert_eq!(*first.0, waiter, "nobody is overtaken");
                    self.lend(connection, uri);
                    told.push(self.tell(waiter, Some(connection)));
                }
                Decision::Dial { connection, waiter } => {
                    // The one who asks just now is not in line yet.
                    let asks = self.desk.admission.origin(connection).unwrap().to_string();
                    let uri = self.in_line.get(&waiter).map(|waiting| waiting.0);
                    let uri = uri.or_else(|| URIS.into_iter().find(|uri| *uri == asks)).unwrap();
                    self.dialling.insert(connection, uri);
                }
                Decision::Close { connection, .. } => {
                    let (_, requests) = self.open.remove(&connection).expect("closed once");
                    assert_eq!(requests, 0, "no request is cut off");
                    self.closing.insert(connection);
                }
                Decision::GiveUp { waiter } => told.push(self.tell(waiter, None)),
            }
        }
        self.retired.extend(self.draining());
        told
    }

    /// Whether there is something to do outside of the pool, or nothing any more.
    fn is_stirred(&self) -> bool {
        !self.dialling.is_empty() || !self.closing.is_empty() || self.callers == 0
    }

    fn draining(&self) -> Vec<ConnectionId> {
        let draining = |id: &&ConnectionId| self.desk.admission.sockets[*id].retiring.is_some();
        self.open.keys().filter(draining).copied().collect()
    }

    fn check(&self) {
        let counts = self.desk.admission.counts();
        let sockets = self.dialling.len() + self.open.len() + self.closing.len();
        assert_eq!(counts.sockets, sockets, "permits are sockets");
        assert!(counts.sockets <= self.desk.admission.limits.max_connections);
        assert_eq!(counts.waiting, self.in_line.len());
        for (uri, _) in self.in_line.values() {
            let fits = |(id, open): (&ConnectionId, &(&str, usize))| {
                open.0 == *uri && open.1 < self.streams && !self.retired.contains(id)
            };
            assert!(!self.open.iter().any(fits), "nobody waits while a connection fits");
        }
    }
}

const URIS: [&str; 2] = ["http://a", "https://b"];

struct Pool {
    books: Mutex<Books>,
    stirred: Condvar,
}

impl Pool {
    /// Makes a change under the lock, which may have a caller leave the line without a connection, and carries out after
    /// it what follows.
    fn transact<R>(&self, change: impl FnOnce(&mut Books) -> (R, Option<WaiterId>)) -> R {
        let mut books = self.books.lock().unwrap();
        let (result, told) = change(&mut books);
        let mut letters: Vec<_> = told.map(|waiter| books.tell(waiter, None)).into_iter().collect();
        letters.extend(books.follow());
        books.check();
        if books.is_stirred() {
            self.stirred.notify_one();
        }
        drop(books);
        for (reply, word) in letters {
            if let Err(Some(unclaimed)) = reply.send(word) {
                self.gives_back(unclaimed, true);
            }
        }
        result
    }

    fn gives_back(&self, id: ConnectionId, well: bool) {
        self.transact(|books| (books.ends(id, well), None));
    }

    fn call(&self, uri: &'static str, caller: Caller) {
        let reply = Arc::new(Reply::default());
        let word = match self.transact(|books| (books.ask(uri, &reply), None)) {
            Admitted::Lent { connection, .. } => Some(connection),
            Admitted::Queued(id) => {
                match caller {
                    Caller::Leaving => self.leave(id),
                    Caller::Late => self.overdue(id),
                    Caller::Patient | Caller::Unlucky => {}
                }
                if caller == Caller::Leaving {
                    reply.close().flatten()
                } else {
                    reply.wait()
                }
            }
        };
        if let Some(connection) = word {
            self.gives_back(connection, caller != Caller::Unlucky);
        }
        self.transact(|books| (books.callers -= 1, None));
    }

    fn leave(&self, id: WaiterId) {
        self.transact(|books| {
            if books.in_line.remove(&id).is_some() {
                books.desk.admission.cancelled(id, books.desk.now);
            }
            ((), None)
        });
    }

    fn overdue(&self, id: WaiterId) {
        self.transact(|books| {
            let leaves = books.in_line.contains_key(&id) && books.desk.admission.overdue(id, books.desk.now);
            ((), leaves.then_some(id))
        });
    }

    /// What happens to the sockets, until everybody has gone and nothing is under way.
    fn run_sockets(&self, mut failing: usize) {
        loop {
            let mut books = self.books.lock().unwrap();
            while !books.is_stirred() {
                books = self.stirred.wait(books).unwrap();
            }
            let (dialled, closed) = (books.dialling.keys().next().copied(), books.closing.first().copied());
            drop(books);
            match (dialled, closed) {
                (_, Some(id)) => self.transact(|books| {
                    books.closing.remove(&id);
                    books.desk.admission.closed(id, books.desk.now);
                    ((), None)
                }),
                (Some(id), None) => {
                    let well = failing == 0;
                    failing = failing.saturating_sub(1);
                    self.transact(|books| ((), books.dial_ends(id, well)));
                }
                (None, None) => return,
            }
        }
    }
}

fn explore(scene: Scene) {
    let mut builder = Builder::new();
    // Three callers and the sockets have many more orders than two.
    let bound = if scene.callers.len() > 2 { 1 } else { INTERRUPTIONS };
    builder.preemption_bound = builder.preemption_bound.or(Some(bound));
    builder.check(move || {
        let desk = Desk::new(limits(scene.cap));
        let books = Books {
            desk,
            streams: scene.streams,
            in_line: BTreeMap::new(),
            dialling: BTreeMap::new(),
            open: BTreeMap::new(),
            retired: BTreeSet::new(),
            closing: BTreeSet::new(),
            callers: scene.callers.len(),
        };
        let pool = Arc::new(Pool {
            books: Mutex::new(books),
            stirred: Condvar::new(),
        });
        let threads: Vec<_> = scene
            .callers
            .iter()
            .copied()
            .map(|(uri, caller)| {
                let pool = pool.clone();
                thread::spawn(move || pool.call(uri, caller))
            })
            .collect();
        pool.run_sockets(scene.failing);
        for thread in threads {
            thread.join().unwrap();
        }
        let books = pool.books.lock().unwrap();
        let counts = books.desk.admission.counts();
        let rest = Counts {
            sockets: books.open.len(),
            idle: books.open.len(),
            ..Counts::default()
        };
        assert_eq!(counts, rest, "everything comes to rest");
    });
}

const A: &str = URIS[0];
const B: &str = URIS[1];

#[test]
fn a_connection_is_handed_from_one_caller_to_the_next() {
    explore(Scene {
        cap: 1,
        streams: 1,
        callers: vec![(A, Caller::Patient), (A, Caller::Patient)],
        failing: 0,
    });
}

#[test]
fn a_caller_who_goes_as_the_connection_comes_passes_it_on() {
    explore(Scene {
        cap: 1,
        streams: 1,
        callers: vec![(A, Caller::Patient), (A, Caller::Leaving)],
        failing: 0,
    });
}

#[test]
fn a_connection_that_is_lost_is_replaced() {
    explore(Scene {
        cap: 1,
        streams: 1,
        callers: vec![(A, Caller::Unlucky), (A, Caller::Patient)],
        failing: 0,
    });
}

#[test]
fn a_dial_that_fails_is_told_once_and_made_again_for_the_next() {
    explore(Scene {
        cap: 1,
        streams: 1,
        callers: vec![(A, Caller::Patient), (A, Caller::Leaving)],
        failing: 1,
    });
}

#[test]
fn a_deadline_that_passes_as_the_connection_comes_is_told_one_of_the_two() {
    explore(Scene {
        cap: 1,
        streams: 1,
        callers: vec![(A, Caller::Patient), (A, Caller::Late)],
        failing: 1,
    });
}

#[test]
fn two_origins_make_room_for_each_other() {
    explore(Scene {
        cap: 1,
        streams: 1,
        callers: vec![(A, Caller::Patient), (B, Caller::Patient)],
        failing: 0,
    });
}

#[test]
fn a_shared_connection_serves_all_at_once_and_survives_the_loss_of_one() {
    explore(Scene {
        cap: 1,
        streams: 2,
        callers: vec![(B, Caller::Patient), (B, Caller::Unlucky), (B, Caller::Leaving)],
        failing: 0,
    });
}
