//! The rules of admission, one by one.

mod dialling;
mod interleavings;
mod keeping;
mod line;
mod resizing;

use super::*;

const SECOND: Duration = Duration::from_secs(1);

fn limits(max_connections: usize) -> Limits {
    Limits {
        max_connections,
        max_idle: 20,
        max_waiters: 1_000,
        keepalive_expiry: 5 * SECOND,
        keeps: true,
        http2: true,
        http2_prior_knowledge: false,
    }
}

fn origin(uri: &str) -> Origin {
    Origin::of(&uri.parse().unwrap()).unwrap()
}

/// Admission to one clear-text origin, unless a test says otherwise.
struct Desk {
    admission: Admission,
    here: Origin,
    now: Instant,
}

impl Desk {
    fn new(limits: Limits) -> Self {
        Self {
            admission: Admission::new(limits, Allowance::new(usize::MAX)),
            here: origin("http://a"),
            now: Instant::now(),
        }
    }

    fn secure(limits: Limits) -> Self {
        Self {
            here: origin("https://a"),
            ..Self::new(limits)
        }
    }

    fn ask(&mut self) -> Admitted {
        self.admission.request(&self.here, Need::Any, self.now).unwrap()
    }

    fn ask_for(&mut self, uri: &str) -> Admitted {
        self.admission.request(&origin(uri), Need::Any, self.now).unwrap()
    }

    fn decided(&mut self) -> Vec<Decision> {
        self.admission.take_decisions()
    }

    fn dials(&mut self) -> Vec<ConnectionId> {
        let dialled = |decision| match decision {
            Decision::Dial { connection, .. } => Some(connection),
            _ => None,
        };
        self.decided().into_iter().filter_map(dialled).collect()
    }

    fn open_http1(&mut self, id: ConnectionId) {
        assert!(self.admission.opened(id, Protocol::Http1, 1, None, self.now));
    }

    fn open_http2(&mut self, id: ConnectionId, streams: usize) {
        assert!(self.admission.opened(id, Protocol::Http2, streams, None, self.now));
    }

    fn release(&mut self, id: ConnectionId) {
        self.admission.released(id, None, self.now);
    }

    /// `number` idle connections, the last one used most recently.
    fn with_idle(mut self, number: usize) -> (Self, Vec<ConnectionId>) {
        for _ in 0..number {
            self.ask();
        }
        let ids = self.dials();
        for id in &ids {
            self.open_http1(*id);
        }
        for id in &ids {
            self.release(*id);
        }
        self.decided();
        (self, ids)
    }
}

fn waiter(admitted: Admitted) -> WaiterId {
    match admitted {
        Admitted::Queued(waiter) => waiter,
        Admitted::Lent { .. } => panic!("lent at once"),
    }
}

fn lent(connection: ConnectionId) -> Admitted {
    Admitted::Lent {
        connection,
        reused: true,
    }
}
