//! The parsers of what comes from outside, for the fuzzer (`fuzz/README.md`). Each function asserts what must hold of
//! every answer.
#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used)]

use std::time::{Duration, SystemTime};

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Request, Uri, header};

use crate::admission::Protocol;
use crate::connect::{Proxies, ProxyRules};
use crate::decode::Decoder;
use crate::destination::Destinations;
use crate::error::SendError;
use crate::exchange::{Keeping, keeping};
use crate::load::headers::{quota_exhausted_for, retry_after};
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
        assert!(outgoing(uri).is_err());
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

    let outgoing = outgoing(uri);
    if let Ok(outgoing) = outgoing {
        assert_eq!(outgoing.origin, origin);
    }
}

fn outgoing(uri: Uri) -> Result<Outgoing, SendError> {
    let request = Request::get(uri).body(Bytes::new()).unwrap();
    Outgoing::new(request, false, true, &Destinations::default())
}

/// The headers in which a server asks for patience.
pub fn patience(names_and_values: &[(u8, &[u8])]) {
    const NAMES: [&str; 16] = [
        "retry-after",
        "retry-after-ms",
        "date",
        "x-ratelimit-remaining-requests",
        "x-ratelimit-reset-requests",
        "x-ratelimit-remaining-tokens",
        "x-ratelimit-reset-tokens",
        "anthropic-ratelimit-requests-remaining",
        "anthropic-ratelimit-requests-reset",
        "anthropic-ratelimit-tokens-remaining",
        "anthropic-ratelimit-tokens-reset",
        "ratelimit",
        "ratelimit-remaining",
        "ratelimit-reset",
        "ratelimit-policy",
        "ratelimit-limit",
    ];
    let mut headers = HeaderMap::new();
    for (name, value) in names_and_values {
        if let Ok(value) = HeaderValue::from_bytes(value) {
            headers.append(NAMES[usize::from(*name) % NAMES.len()], value);
        }
    }
    let now = SystemTime::UNIX_EPOCH + Duration::from_secs(1_800_000_000);
    // Whatever is said, it is a time that can be added to another one.
    for wait in [retry_after(&headers, now), quota_exhausted_for(&headers, now)]
        .into_iter()
        .flatten()
    {
        assert!(now.checked_add(wait).is_some(), "{wait:?}");
    }
}

/// The URL of a proxy and the hosts it is not for, as the environment and a configuration have them, and a request's
/// URI.
pub fn proxy(url: &str, no_proxy: &str, uri: &str) {
    let variable = |name: &str| match name {
        "HTTP_PROXY" | "https_proxy" => Some(url.to_owned()),
        "NO_PROXY" => Some(no_proxy.to_owned()),
        _ => None,
    };
    let rules = ProxyRules::of_environment(variable);
    let given = Proxies::through(url, no_proxy);
    if let Ok(origin) = uri
        .parse::<Uri>()
        .map_err(|_| "no URI")
        .and_then(|uri| Origin::of(&uri))
    {
        let found = rules.proxy_of(&origin).is_ok_and(|proxy| proxy.is_some());
        // A host of this machine is not asked of others, and what is no proxy by configuration is none by environment.
        assert!(!found || (given.is_ok() && !["localhost", "127.0.0.1", "::1"].contains(&origin.host())));
    }
    if let (Ok(given), Some((_, rest))) = (&given, url.split_once("://"))
        && let Some((credentials, _)) = rest.rsplit_once('@')
        && let Some((_, password)) = credentials.split_once(':')
        && password.len() > 8
    {
        assert!(!format!("{given:?}").contains(password));
    }
}

/// A compressed body, and how it is cut.
pub fn decode(gzip: bool, size: u8, body: &[u8]) {
    const MOST: u64 = 1 << 16;
    let coding = if gzip { "gzip" } else { "deflate" };
    let mut headers = HeaderMap::from_iter([(header::CONTENT_ENCODING, HeaderValue::from_static(coding))]);
    let mut decoder = Decoder::of(&mut headers).expect("a coding that is offered is understood");
    for piece in body.chunks(usize::from(size.max(1))) {
        match decoder.decode(piece, MOST) {
            Ok(decoded) => assert!(decoded.len() as u64 <= MOST),
            Err(_) => return,
        }
    }
    let _ = decoder.finish();
}
