//! What is measured, and whom with.

use serde::Serialize;

/// The streams a connection may have at once, by the server's settings.
pub const STREAMS: usize = 100;

/// One load, the same for every client that it names.
#[derive(Clone, Copy, Serialize)]
pub struct Scenario {
    pub name: &'static str,
    pub protocol: Protocol,
    pub post: bool,
    pub in_flight: usize,
    /// The cap of the clients that have one; the idle connections kept, for all.
    pub connections: usize,
    /// What the server takes over a request, in milliseconds.
    pub delay: u64,
    pub answer: Answer,
    pub clients: &'static [&'static str],
}

/// What is asked for, and answered.
#[derive(Clone, Copy, PartialEq, Eq, Serialize)]
pub enum Answer {
    /// 62 bytes, for as many.
    Search,
    /// So many texts of so many bytes, answered with a vector in base64 for each.
    Embeddings {
        inputs: usize,
        input_bytes: usize,
        dimensions: usize,
    },
}

impl Answer {
    /// Texts, bytes of a text, dimensions of its vector.
    pub fn sizes(self) -> (usize, usize, usize) {
        match self {
            Self::Search => (0, 0, 0),
            Self::Embeddings {
                inputs,
                input_bytes,
                dimensions,
            } => (inputs, input_bytes, dimensions),
        }
    }

    pub fn path(self) -> &'static str {
        match self {
            Self::Search => "/points/query",
            Self::Embeddings { .. } => "/v1/embeddings",
        }
    }
}

#[derive(Clone, Copy, PartialEq, Eq, Serialize)]
pub enum Protocol {
    Http1,
    Http1Tls,
    Http2Tls,
}

const ALL: &[&str] = &["hyper", "weir-pool", "hyper-util", "reqwest", "httpx"];
/// Without httpx, whose time for a request grows with the callers: of 1,000, few would be answered in a run.
const COMPILED: &[&str] = &["hyper", "weir-pool", "hyper-util", "reqwest"];

const HTTP1: Scenario = Scenario {
    name: "",
    protocol: Protocol::Http1,
    post: true,
    in_flight: 32,
    connections: 32,
    delay: 0,
    answer: Answer::Search,
    clients: ALL,
};

/// The same request by Rust; by an adapter in an instance that is kept or made for the call; and by the adapter as a
/// component that sends by itself.
const SANDBOX: Scenario = Scenario {
    clients: &["native", "reused", "fresh", "by-itself"],
    answer: Answer::Embeddings {
        inputs: 1,
        input_bytes: 40,
        dimensions: 8,
    },
    ..HTTP1
};

const HTTP2: Scenario = Scenario {
    protocol: Protocol::Http2Tls,
    in_flight: 1_000,
    connections: 100,
    clients: COMPILED,
    ..HTTP1
};

/// The server that a provider calls beside another that misbehaves.
pub const NEIGHBOURS: Scenario = Scenario {
    name: "neighbours",
    // An answer takes its time, so that what is measured is not who gets the processor first.
    delay: 5,
    clients: &[],
    ..SANDBOX
};

pub const SCENARIOS: &[Scenario] = &[
    Scenario {
        name: "HTTP/1.1, 1 in flight",
        in_flight: 1,
        connections: 1,
        ..HTTP1
    },
    Scenario {
        name: "HTTP/1.1, 32 in flight",
        ..HTTP1
    },
    Scenario {
        name: "HTTP/1.1, 32 in flight, GET",
        post: false,
        ..HTTP1
    },
    Scenario {
        name: "HTTP/1.1, 128 in flight",
        in_flight: 128,
        connections: 128,
        ..HTTP1
    },
    Scenario {
        name: "HTTP/1.1, 1,000 in flight",
        in_flight: 1_000,
        connections: 1_000,
        clients: COMPILED,
        ..HTTP1
    },
    Scenario {
        name: "HTTP/1.1, 100 in flight, cap 100",
        in_flight: 100,
        connections: 100,
        clients: &["weir-pool"],
        ..HTTP1
    },
    Scenario {
        name: "HTTP/1.1, 1,000 in flight, cap 100",
        in_flight: 1_000,
        connections: 100,
        clients: &["weir-pool"],
        ..HTTP1
    },
    Scenario {
        name: "HTTP/1.1 over TLS, 32 in flight",
        protocol: Protocol::Http1Tls,
        ..HTTP1
    },
    Scenario {
        name: "HTTP/2 over TLS, 1 in flight",
        in_flight: 1,
        ..HTTP2
    },
    Scenario {
        name: "HTTP/2 over TLS, 32 in flight",
        in_flight: 32,
        clients: ALL,
        ..HTTP2
    },
    Scenario {
        name: "HTTP/2 over TLS, 128 in flight",
        in_flight: 128,
        ..HTTP2
    },
    Scenario {
        name: "HTTP/2 over TLS, 1,000 in flight",
        ..HTTP2
    },
    Scenario {
        name: "HTTP/2 over TLS, 1,000 in flight, 5 ms a request",
        delay: 5,
        ..HTTP2
    },
    Scenario {
        name: "Embedding, 1 in flight",
        in_flight: 1,
        connections: 1,
        ..SANDBOX
    },
    Scenario {
        name: "Embedding, 16 in flight",
        in_flight: 16,
        connections: 16,
        ..SANDBOX
    },
    Scenario {
        name: "Embedding, 64 in flight",
        in_flight: 64,
        connections: 64,
        ..SANDBOX
    },
    Scenario {
        name: "Embedding of 32 inputs, 16 in flight",
        in_flight: 16,
        connections: 16,
        answer: Answer::Embeddings {
            inputs: 32,
            input_bytes: 1_500,
            dimensions: 1_024,
        },
        ..SANDBOX
    },
];

impl Protocol {
    pub fn is_http2(self) -> bool {
        self == Self::Http2Tls
    }

    pub fn scheme(self) -> &'static str {
        match self {
            Self::Http1 => "http",
            Self::Http1Tls | Self::Http2Tls => "https",
        }
    }
}
