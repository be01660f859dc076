//! What holds after any order of events, whoever comes, goes, fails or is slow.

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;

use std::sync::Arc;

use super::*;

const MAX_CONNECTIONS: usize = 4;
const MAX_IDLE: usize = 2;
const STREAMS: usize = 3;

/// Something that happens. Numbers choose among whatever there is at that moment.
#[derive(Clone, Debug)]
enum Event {
    Ask {
        origin: usize,
        fresh: bool,
    },
    GoAway(usize),
    Overdue(usize),
    DialEnds {
        which: usize,
        well: bool,
    },
    Release(usize),
    Lose(usize),
    PeerCloses(usize),
    SocketGone(usize),
    Streams {
        which: usize,
        streams: usize,
    },
    Doubt(usize),
    /// Another pool takes a socket of those that all have between them, or gives one back.
    Elsewhere {
        takes: bool,
    },
    Resize(usize),
    Trust(usize),
    Wait(u64),
}

fn event() -> impl Strategy<Value = Event> {
    prop_oneof![
        6 => (0..3usize, prop::bool::weighted(0.2)).prop_map(|(origin, fresh)| Event::Ask { origin, fresh }),
        1 => any::<usize>().prop_map(Event::GoAway),
        1 => any::<usize>().prop_map(Event::Overdue),
        5 => (any::<usize>(), prop::bool::weighted(0.8)).prop_map(|(which, well)| Event::DialEnds { which, well }),
        5 => any::<usize>().prop_map(Event::Release),
        1 => any::<usize>().prop_map(Event::Lose),
        1 => any::<usize>().prop_map(Event::PeerCloses),
        4 => any::<usize>().prop_map(Event::SocketGone),
        1 => (any::<usize>(), 0..5usize).prop_map(|(which, streams)| Event::Streams { which, streams }),
        1 => any::<usize>().prop_map(Event::Doubt),
        1 => any::<usize>().prop_map(Event::Trust),
        1 => any::<bool>().prop_map(|takes| Event::Elsewhere { takes }),
        1 => (1..=MAX_CONNECTIONS).prop_map(Event::Resize),
        1 => (0..7u64).prop_map(Event::Wait),
    ]
}

/// The world outside of admission: what the events and the decisions make of it.
struct World {
    admission: Admission,
    allowance: Arc<Allowance>,
    /// Sockets that other pools have.
    elsewhere: usize,
    origins: Vec<Origin>,
    now: Instant,
    waiting: BTreeMap<WaiterId, (usize, Need)>,
    dialling: BTreeMap<ConnectionId, usize>,
    /// Origin, streams allowed, requests on it.
    open: BTreeMap<ConnectionId, (usize, usize, usize)>,
    /// Open, and not to be lent again.
    retired: BTreeSet<ConnectionId>,
    /// Open, and not to be lent until the peer has answered.
    doubted: BTreeSet<ConnectionId>,
    closing: BTreeSet<ConnectionId>,
}

impl World {
    fn new(keeps: bool) -> Self {
        let limits = Limits {
            max_connections: MAX_CONNECTIONS,
            max_idle: MAX_IDLE,
            max_waiters: 6,
            keepalive_expiry: Duration::from_secs(5),
            keeps,
            http2: true,
            http2_prior_knowledge: false,
        };
        // One more than the cap: the allowance binds as soon as other pools have some of it.
        let allowance = Allowance::new(MAX_CONNECTIONS + 1);
        let origins = ["http://one", "https://two", "https://three"];
        Self {
            admission: Admission::new(limits, allowance.clone()),
            allowance,
            elsewhere: 0,
            origins: origins
                .iter()
                .map(|uri| Origin::of(&uri.parse().unwrap()).unwrap())
                .collect(),
            now: Instant::now(),
            waiting: BTreeMap::new(),
            dialling: BTreeMap::new(),
            open: BTreeMap::new(),
            retired: BTreeSet::new(),
            doubted: BTreeSet::new(),
            closing: BTreeSet::new(),
        }
    }

    fn happen(&mut self, event: Event) {
        match event {
            Event::Ask { origin, fresh } => self.ask(origin, fresh),
            Event::GoAway(which) => {
                if let Some(waiter) = nth(self.waiting.keys(), which) {
                    self.waiting.remove(&waiter);
                    self.admission.cancelled(waiter, self.now);
                }
            }
            Event::Overdue(which) => {
                if let Some(waiter) = nth(self.waiting.keys(), which)
                    && self.admission.overdue(waiter, self.now)
                {
                    self.waiting.remove(&waiter);
                }
            }
            Event::DialEnds { which, well } => self.dial_ends(which, well),
            Event::Release(which) => {
                if let Some(id) = self.lent(which) {
                    self.admission.released(id, None, self.now);
                }
            }
            Event::Lose(which) => {
                if let Some(id) = self.lent(which) {
                    self.retired.insert(id);
                    self.admission.lost(id, CloseReason::Cancelled, self.now);
                }
            }
            Event::PeerCloses(which) => {
                if let Some(id) = nth(self.open.keys(), which) {
                    self.open.remove(&id);
                    self.allowance.give_back();
                    assert_eq!(self.admission.closed(id, self.now), None);
                }
            }
            Event::SocketGone(which) => {
                if let Some(id) = nth(self.closing.iter(), which) {
                    self.closing.remove(&id);
                    self.allowance.give_back();
                    assert_eq!(self.admission.closed(id, self.now), None);
                }
            }
            Event::Streams { which, streams } => {
                if let Some(id) = nth(
                    self.open.iter().filter(|(_, open)| open.0 == 1).map(|(id, _)| id),
                    which,
                ) {
                    if self.admission.limits.keeps {
                        self.open.get_mut(&id).unwrap().1 = streams;
                    }
                    self.admission.streams_changed(id, streams, self.now);
                }
            }
            Event::Doubt(which) => {
                if let Some(id) = nth(self.open.keys(), which) {
                    self.doubted.insert(id);
                    self.admission.doubt(id);
                }
            }
            Event::Trust(which) => {
                if let Some(id) = nth(self.doubted.iter(), which) {
                    self.doubted.remove(&id);
                    self.admission.trust(id, self.now);
                }
            }
            Event::Elsewhere { takes: true } => self.elsewhere += usize::from(self.allowance.take()),
            Event::Elsewhere { takes: false } => self.give_back_elsewhere(),
            Event::Resize(max_connections) => {
                let limits = Limits {
                    max_connections,
                    ..self.admission.limits.clone()
                };
                self.admission.resize(limits, self.now);
            }
            Event::Wait(seconds) => {
                self.now += Duration::from_secs(seconds);
                self.admission.expire(self.now);
            }
        }
        self.follow();
        let draining = |id: &ConnectionId| self.admission.sockets[id].retiring.is_some();
        self.retired.extend(self.open.keys().copied().filter(draining));
    }

    fn give_back_elsewhere(&mut self) {
        if self.elsewhere > 0 {
            self.elsewhere -= 1;
            self.allowance.give_back();
            self.admission.go_on(self.now);
        }
    }

    fn ask(&mut self, origin: usize, fresh: bool) {
        let need = if fresh {
            Need::OpenedAfter(self.admission.moment())
        } else {
            Need::Any
        };
        match self.admission.request(&self.origins[origin], need, self.now) {
            Ok(Admitted::Lent { connection, .. }) => {
                self.follow();
                assert_eq!(need, Need::Any, "nothing has been opened since");
                self.borrow(connection, origin);
            }
            Ok(Admitted::Queued(waiter)) => {
                self.waiting.insert(waiter, (origin, need));
            }
            Err(refusal) => assert_eq!(refusal, Refusal::LineFull),
        }
    }

    fn dial_ends(&mut self, which: usize, well: bool) {
        let Some(id) = nth(self.dialling.keys(), which) else {
            return;
        };
        let origin = self.dialling.remove(&id).unwrap();
        if !well {
            self.closing.insert(id);
            if let Some(told) = self.admission.dial_failed(id, self.now) {
                let first = *self.waiting.iter().find(|(_, waiting)| waiting.0 == origin).unwrap().0;
                assert_eq!(told, first);
                self.waiting.remove(&told);
            }
            return;
        }
        // The third origin offers HTTP/2 and turns out not to speak it.
        let (protocol, streams) = if origin == 1 {
            (Protocol::Http2, STREAMS)
        } else {
            (Protocol::Http1, 1)
        };
        assert!(self.admission.opened(id, protocol, streams, None, self.now));
        // What is assumed depends on the origin's other connections.
        self.open.insert(id, (origin, self.admission.sockets[&id].streams, 0));
    }

    /// A request that ends now.
    fn lent(&mut self, which: usize) -> Option<ConnectionId> {
        let id = nth(self.open.iter().filter(|(_, open)| open.2 > 0).map(|(id, _)| id), which)?;
        self.open.get_mut(&id).unwrap().2 -= 1;
        Some(id)
    }

    fn borrow(&mut self, id: ConnectionId, origin: usize) {
        let open = self.open.get_mut(&id).expect("only an open connection is lent");
        assert!(!self.retired.contains(&id) && !self.doubted.contains(&id));
        assert_eq!(open.0, origin, "a connection leads to its origin");
        open.2 += 1;
        assert!(open.2 <= open.1, "a connection carries no more than it may");
    }

    fn follow(&mut self) {
        for decision in self.admission.take_decisions() {
            match decision {
                Decision::Lend { waiter, connection, .. } => {
                    let (origin, need) = self
                        .waiting
                        .remove(&waiter)
                        .expect("only a caller in line is served, once");
                    let overtaken = self
                        .waiting
                        .iter()
                        .any(|(id, other)| *id < waiter && *other == (origin, Need::Any));
                    assert!(!overtaken, "nobody is overtaken who could have been served");
                    if need != Need::Any && origin != 1 {
                        assert_eq!(self.open[&connection].2, 0);
                    }
                    self.borrow(connection, origin);
                }
                Decision::Dial { connection, waiter } => {
                    let origin = self
                        .waiting
                        .get(&waiter)
                        .expect("a dial is made for a caller in line")
                        .0;
                    self.dialling.insert(connection, origin);
                    let dials = self.dialling.values().filter(|of| **of == origin).count();
                    let waiting = self.waiting.values().filter(|of| of.0 == origin).count();
                    assert!(dials <= waiting, "no more dials than callers");
                    assert!(
                        self.admission.counts().sockets <= self.admission.limits.max_connections,
                        "the cap in force holds"
                    );
                }
                Decision::Close { connection, .. } => {
                    let requests = self
                        .open
                        .remove(&connection)
                        .expect("an open connection is closed, once")
                        .2;
                    assert_eq!(requests, 0, "no request is cut off");
                    self.closing.insert(connection);
                }
                Decision::GiveUp { waiter } => {
                    self.waiting.remove(&waiter).expect("only a caller in line gives up");
                }
            }
        }
    }

    fn check(&self) {
        let counts = self.admission.counts();
        let idle: Vec<_> = self.open.iter().filter(|(_, open)| open.2 == 0).collect();
        assert_eq!(
            counts.sockets,
            self.dialling.len() + self.open.len() + self.closing.len(),
            "permits are sockets"
        );
        assert!(counts.sockets <= MAX_CONNECTIONS, "the cap holds");
        assert_eq!(counts.waiting, self.waiting.len());
        assert_eq!(
            (counts.connecting, counts.closing),
            (self.dialling.len(), self.closing.len())
        );
        assert_eq!((counts.idle, counts.active), (idle.len(), self.open.len() - idle.len()));
        assert!(idle.len() <= MAX_IDLE);
        for (origin, need) in self.waiting.values() {
            let mut living = self.open.iter().filter(|(id, _)| {
                let resized = self.admission.sockets[*id].retiring.is_some();
                !resized && !self.retired.contains(id) && !self.doubted.contains(id)
            });
            let fits = living.any(|(_, open)| open.0 == *origin && open.2 < open.1);
            assert!(*need != Need::Any || !fits, "nobody waits while a connection fits");
        }
        self.check_that_sharing_starves_nobody();
        if !self.waiting.is_empty() && self.dialling.is_empty() && self.closing.is_empty() {
            let capped = self.open.len() >= self.admission.limits.max_connections;
            assert!(capped || self.allowance.free() == 0, "who waits, waits for a permit");
            assert_eq!(self.admission.is_starving(), !capped, "and it is known whose");
            assert!(idle.is_empty(), "and no idle connection holds one");
        }
    }

    /// Where all connections are shared, and would never lie idle under a steady load, one is on its way to whoever has
    /// waited longest.
    fn check_that_sharing_starves_nobody(&self) {
        let shared = |(id, open): (&ConnectionId, &(usize, usize, usize))| open.1 > 1 && !self.retired.contains(id);
        if let Some((_, (origin, _))) = self.waiting.first_key_value()
            && self.open.len() == MAX_CONNECTIONS
            && self.open.iter().all(shared)
        {
            assert!(
                self.open.values().all(|open| open.0 == *origin),
                "one makes room for another origin"
            );
        }
    }

    /// Everything that is under way ends well.
    fn come_to_rest(&mut self) {
        while self.elsewhere > 0 {
            self.happen(Event::Elsewhere { takes: false });
            self.check();
        }
        while !self.doubted.is_empty() {
            self.happen(Event::Trust(0));
            self.check();
        }
        while !(self.waiting.is_empty() && self.dialling.is_empty() && self.closing.is_empty()) {
            let before = (self.waiting.len(), self.dialling.len(), self.closing.len());
            self.happen(Event::SocketGone(0));
            self.happen(Event::DialEnds { which: 0, well: true });
            if before == (self.waiting.len(), self.dialling.len(), self.closing.len()) {
                self.happen(Event::Release(0));
            }
            self.check();
        }
        while self.open.values().any(|open| open.2 > 0) {
            self.happen(Event::Release(0));
        }
        while !self.closing.is_empty() {
            self.happen(Event::SocketGone(0));
        }
        self.check();
        assert_eq!(self.admission.counts().active, 0);
    }
}

fn nth<'a, T: Copy + 'a>(items: impl Iterator<Item = &'a T>, which: usize) -> Option<T> {
    let items: Vec<_> = items.copied().collect();
    (!items.is_empty()).then(|| items[which % items.len()])
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 512, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn the_rules_hold_after_any_events_and_everybody_is_served_in_the_end(
        keeps in prop::bool::weighted(0.8),
        events in prop::collection::vec(event(), 1..120),
    ) {
        let mut world = World::new(keeps);
        for event in events {
            world.happen(event);
            world.check();
        }
        world.come_to_rest();
    }
}
