//! The parsers of what comes from outside, for the fuzzer (`fuzz/README.md`). Each function asserts what must hold of
//! every answer.
#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used)]

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Request, Uri, header};

use crate::admission::Protocol;
use crate::exchange::{Keeping, keeping};
use crate::origin::Origin;
use crate::outgoing::Outgoing;

/// The headers in which a server says what becomes of the connection.
pub fn keep_alive(connection: &[u8], keep_alive: &[u8]) {
    let mut headers = HeaderMap::new();
    for (name, value) in [("connection", connection), ("keep-alive", keep_alive)] {
        if let Ok(value) = HeaderValue::from_bytes(value) {
            headers.append(header::HeaderName::from_static(name), value);
        }
    }
    assert_eq!(keeping(Protocol::Http2, &headers), Keeping::Kept(None));
    let said = keeping(Protocol::Http1, &headers);

    // What speaks of the connection does not depend on what speaks of the time.
    headers.remove("keep-alive");
    let closed = keeping(Protocol::Http1, &headers) == Keeping::Closed;
    assert_eq!(said == Keeping::Closed, closed);
    headers.append(header::CONNECTION, HeaderValue::from_static("close"));
    assert_eq!(keeping(Protocol::Http1, &headers), Keeping::Closed);
}

/// The URI of a request.
pub fn origin(uri: &str) {
    let Ok(uri) = uri.parse::<Uri>() else { return };
    let Ok(origin) = Origin::of(&uri) else {
        assert!(Outgoing::new(Request::get(uri).body(Bytes::new()).unwrap(), false).is_err());
        return;
    };
    // What it says of itself leads to the same server.
    let written = origin.to_string();
    assert_eq!(
        Origin::of(&written.parse().expect("an origin is a URI")),
        Ok(origin.clone())
    );
    assert!(!origin.host().is_empty());
    assert_ne!(origin.port(), 0);

    let outgoing = Outgoing::new(Request::get(uri).body(Bytes::new()).unwrap(), false);
    if let Ok(outgoing) = outgoing {
        assert_eq!(outgoing.origin, origin);
    }
}
