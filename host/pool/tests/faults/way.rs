//! The ways to talk to a peer: each version of HTTP, in clear text and under TLS.

use weir_pool::PoolConfig;

use crate::peers::config;

/// One way to talk to a peer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Way {
    pub http2: bool,
    pub tls: bool,
}

impl Way {
    pub const HTTP1: Self = Self {
        http2: false,
        tls: false,
    };
    pub const HTTP1_TLS: Self = Self {
        http2: false,
        tls: true,
    };
    /// HTTP/2 in clear text, known beforehand.
    pub const HTTP2: Self = Self {
        http2: true,
        tls: false,
    };
    pub const HTTP2_TLS: Self = Self { http2: true, tls: true };

    /// Its name in ALPN.
    pub fn alpn(self) -> &'static [u8] {
        if self.http2 { b"h2" } else { b"http/1.1" }
    }

    /// The settings of a small pool that talks this way.
    pub fn config(self, max_connections: usize) -> PoolConfig {
        PoolConfig {
            enable_http2: self.http2,
            http2_prior_knowledge: self.http2 && !self.tls,
            ..config(max_connections)
        }
    }
}

/// Makes a test of each way out of functions that prove something of any.
macro_rules! over_every_way {
    ($($name:ident),+ $(,)?) => {
        $(over_ways!($name: http1 HTTP1, http1_under_tls HTTP1_TLS, http2 HTTP2, http2_under_tls HTTP2_TLS);)+
    };
}

/// As [`over_every_way`], for what is particular to HTTP/1.1.
macro_rules! over_http1 {
    ($($name:ident),+ $(,)?) => { $(over_ways!($name: http1 HTTP1, http1_under_tls HTTP1_TLS);)+ };
}

/// As [`over_every_way`], for what is particular to HTTP/2.
macro_rules! over_http2 {
    ($($name:ident),+ $(,)?) => { $(over_ways!($name: http2 HTTP2, http2_under_tls HTTP2_TLS);)+ };
}

/// As [`over_every_way`], for what is particular to TLS.
macro_rules! over_tls {
    ($($name:ident),+ $(,)?) => { $(over_ways!($name: http1 HTTP1_TLS, http2 HTTP2_TLS);)+ };
}

macro_rules! over_ways {
    ($name:ident: $($test:ident $way:ident),+) => {
        mod $name {
            $(
                #[tokio::test]
                async fn $test() {
                    super::$name(crate::way::Way::$way).await;
                }
            )+
        }
    };
}
