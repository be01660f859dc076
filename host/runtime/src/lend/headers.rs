//! Which headers a guest may set.

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, header};

use crate::bindings::v0_1_0::types::{Header, HttpError};
use crate::lend::redact::Redactor;

/// The host's own: framing, routing, and whatever carries a credential.
pub(super) fn is_reserved(name: &HeaderName) -> bool {
    [
        header::HOST,
        header::CONTENT_LENGTH,
        header::TRANSFER_ENCODING,
        header::CONNECTION,
        header::UPGRADE,
        header::TE,
        header::TRAILER,
        header::EXPECT,
        header::AUTHORIZATION,
        header::COOKIE,
    ]
    .contains(name)
        || name.as_str() == "keep-alive"
        || name.as_str().starts_with("proxy-")
}

/// Headers of one request: far more than any API asks for, and well below what a header map can hold.
const MAX_HEADERS: usize = 256;

/// The guest's headers, checked.
pub(super) fn admit(headers: &[Header]) -> Result<HeaderMap, HttpError> {
    if headers.len() > MAX_HEADERS {
        let count = headers.len();
        return Err(HttpError::TooLarge(format!(
            "the request has {count} headers, more than {MAX_HEADERS}"
        )));
    }
    let mut admitted = HeaderMap::with_capacity(headers.len() + 4);
    for header in headers {
        let invalid =
            |what: &str| HttpError::InvalidRequest(format!("the header `{}` {what}", header.name.escape_debug()));
        let name = HeaderName::from_bytes(header.name.as_bytes()).map_err(|_| invalid("has an invalid name"))?;
        if is_reserved(&name) {
            return Err(invalid("is the host's to set"));
        }
        let value = latin1(&header.value).ok_or_else(|| invalid("has a value outside ISO 8859-1"))?;
        let value = HeaderValue::from_bytes(&value).map_err(|_| invalid("has an invalid value"))?;
        admitted.append(name, value);
    }
    Ok(admitted)
}

/// An answer's headers for the guest, without those that speak of the connection only (RFC 9110, 7.6.1).
pub(super) fn returned(headers: &HeaderMap, redactor: &Redactor) -> Vec<Header> {
    const HOP_BY_HOP: [&str; 6] = [
        "connection",
        "keep-alive",
        "proxy-connection",
        "te",
        "transfer-encoding",
        "upgrade",
    ];
    headers
        .iter()
        .filter(|(name, _)| !HOP_BY_HOP.contains(&name.as_str()))
        .map(|(name, value)| Header {
            name: name.as_str().to_owned(),
            value: redactor
                .redact(Bytes::copy_from_slice(value.as_bytes()))
                .iter()
                .map(|&byte| char::from(byte))
                .collect(),
        })
        .collect()
}

/// Headers of a map in the contract's words.
pub(super) fn of_map(headers: &HeaderMap) -> Vec<Header> {
    headers
        .iter()
        .map(|(name, value)| Header {
            name: name.as_str().to_owned(),
            value: value.as_bytes().iter().map(|&byte| char::from(byte)).collect(),
        })
        .collect()
}

/// An answer's headers as a map again.
pub(super) fn to_map(returned: &[Header]) -> HeaderMap {
    let mut headers = HeaderMap::with_capacity(returned.len());
    for header in returned {
        let value = latin1(&header.value).and_then(|value| HeaderValue::from_bytes(&value).ok());
        // They come from a map: every one of them is valid.
        if let (Ok(name), Some(value)) = (HeaderName::from_bytes(header.name.as_bytes()), value) {
            headers.append(name, value);
        }
    }
    headers
}

fn latin1(text: &str) -> Option<Vec<u8>> {
    text.chars()
        .map(|character| u8::try_from(u32::from(character)).ok())
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn header(name: &str, value: &str) -> Header {
        Header {
            name: name.to_owned(),
            value: value.to_owned(),
        }
    }

    #[test]
    fn what_frames_or_authorises_is_refused() {
        for name in [
            "Host",
            "content-length",
            "Transfer-Encoding",
            "authorization",
            "Cookie",
            "proxy-authorization",
            "Connection",
            "Keep-Alive",
            "Upgrade",
            "TE",
            "Trailer",
            "Expect",
        ] {
            assert!(
                matches!(admit(&[header(name, "x")]), Err(HttpError::InvalidRequest(_))),
                "{name}"
            );
        }
    }

    #[test]
    fn a_flood_of_headers_is_refused() {
        let flood = vec![header("x-a", "1"); 40_000];
        assert!(matches!(admit(&flood), Err(HttpError::TooLarge(_))));
    }

    #[test]
    fn a_line_break_in_name_or_value_is_refused() {
        for (name, value) in [
            ("x-a", "1\r\nx-b: 2"),
            ("x-a\r\nx-b", "1"),
            ("x-a", "1\n2"),
            ("", "1"),
            ("x a", "1"),
        ] {
            assert!(admit(&[header(name, value)]).is_err(), "{name:?}: {value:?}");
        }
    }

    #[test]
    fn every_header_of_an_answer_but_the_connections_own_reaches_the_guest() {
        let kept = [
            "content-type",
            "set-cookie",
            "www-authenticate",
            "authorization",
            "location",
            "server",
            "x-request-id",
            "retry-after",
            "content-length",
            "date",
            "alt-svc",
        ];
        let dropped = [
            "connection",
            "keep-alive",
            "proxy-connection",
            "te",
            "transfer-encoding",
            "upgrade",
        ];
        let headers: HeaderMap = kept
            .iter()
            .chain(&dropped)
            .map(|name| (HeaderName::from_static(name), HeaderValue::from_static("x")))
            .collect();
        let mut returned: Vec<String> = returned(&headers, &Redactor::new([]))
            .into_iter()
            .map(|header| header.name)
            .collect();
        returned.sort();
        let mut expected = kept;
        expected.sort_unstable();
        assert_eq!(returned, expected);
    }

    #[test]
    fn a_header_that_repeats_a_secret_is_masked() {
        let headers: HeaderMap = [(
            HeaderName::from_static("x-seen"),
            HeaderValue::from_static("Bearer hush-hush-1"),
        )]
        .into_iter()
        .collect();
        let redactor = Redactor::new(&["hush-hush-1".into()]);
        assert_eq!(returned(&headers, &redactor)[0].value, "Bearer ***********");
    }

    #[test]
    fn values_travel_as_iso_8859_1_both_ways() {
        let headers = admit(&[header("x-name", "Zoë")]).unwrap();
        assert_eq!(headers["x-name"].as_bytes(), b"Zo\xeb");
        assert_eq!(returned(&headers, &Redactor::new([]))[0].value, "Zoë");
        assert!(admit(&[header("x-name", "日")]).is_err());
    }
}
