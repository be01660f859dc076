//! Why a connection was closed, as a label in metrics and logs.

/// Why a connection ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum CloseReason {
    /// It lay idle for longer than the expiry, or than the server said it would keep it.
    Expired,
    /// It reached `max_connection_age`.
    Aged,
    /// More than `max_keepalive_connections` lay idle.
    IdleLimit,
    /// A caller of another origin, or of another pool, needed the socket.
    MadeRoom,
    /// The pool's cap was lowered.
    Resized,
    /// The pool keeps no connections.
    NotKept,
    /// The server asked for it with `Connection: close`.
    ServerAsked,
    /// The server closed it.
    PeerClosed,
    /// The operating system or TLS reported an error.
    IoError,
    /// The server sent something while nothing had been asked.
    UnexpectedData,
    /// What the server sent was not HTTP.
    ProtocolError,
    /// The caller went away before the answer began.
    Cancelled,
    /// The caller dropped the body before its end.
    BodyDropped,
    /// A deadline of the exchange ran out.
    TimedOut,
    /// The answer was larger than the pool accepts.
    TooLarge,
    /// The answer ended and the server still did not take the rest of the request.
    RequestUnfinished,
    /// It fell silent, and a ping was not answered.
    Unresponsive,
    /// The pool was closed.
    PoolClosed,
}

impl CloseReason {
    /// Every reason, in the order of the declaration.
    pub const ALL: [Self; 18] = [
        Self::Expired,
        Self::Aged,
        Self::IdleLimit,
        Self::MadeRoom,
        Self::Resized,
        Self::NotKept,
        Self::ServerAsked,
        Self::PeerClosed,
        Self::IoError,
        Self::UnexpectedData,
        Self::ProtocolError,
        Self::Cancelled,
        Self::BodyDropped,
        Self::TimedOut,
        Self::TooLarge,
        Self::RequestUnfinished,
        Self::Unresponsive,
        Self::PoolClosed,
    ];

    pub fn as_str(self) -> &'static str {
        match self {
            Self::Expired => "expired",
            Self::Aged => "aged",
            Self::IdleLimit => "idle-limit",
            Self::MadeRoom => "made-room",
            Self::Resized => "resized",
            Self::NotKept => "not-kept",
            Self::ServerAsked => "server-asked",
            Self::PeerClosed => "peer-closed",
            Self::IoError => "io-error",
            Self::UnexpectedData => "unexpected-data",
            Self::ProtocolError => "protocol-error",
            Self::Cancelled => "cancelled",
            Self::BodyDropped => "body-dropped",
            Self::TimedOut => "timed-out",
            Self::TooLarge => "too-large",
            Self::RequestUnfinished => "request-unfinished",
            Self::Unresponsive => "unresponsive",
            Self::PoolClosed => "pool-closed",
        }
    }
}
