//! Whom a connection leads to: scheme, host and port (RFC 6454).

use std::fmt;
use std::net::Ipv6Addr;
use std::sync::Arc;

use http::Uri;
use http::uri::Scheme;

/// The server a request is meant for. Connections are shared between requests of one origin only.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Origin {
    secure: bool,
    host: Arc<str>,
    port: u16,
}

impl Origin {
    /// The origin of an absolute `http` or `https` URI, or what is wrong with it.
    pub(crate) fn of(uri: &Uri) -> Result<Self, &'static str> {
        let secure = match uri.scheme() {
            Some(scheme) if *scheme == Scheme::HTTPS => true,
            Some(scheme) if *scheme == Scheme::HTTP => false,
            Some(_) => return Err("the scheme must be http or https"),
            None => return Err("the URI must be absolute, as in https://host/path"),
        };
        let authority = uri.authority().ok_or("the URI names no host")?;
        if authority.as_str().contains('@') {
            return Err("the URI carries a user name or password; send them in a header instead");
        }
        let host = authority.host();
        if host.is_empty() {
            return Err("the URI names no host");
        }
        // What is in brackets is an IPv6 address and nothing else (RFC 3986, section 3.2.2).
        let literal = host.strip_prefix('[').map(|rest| rest.strip_suffix(']'));
        if literal.is_some_and(|literal| literal.is_none_or(|literal| literal.parse::<Ipv6Addr>().is_err())) {
            return Err("what the URI has in brackets is no IPv6 address");
        }
        // `Authority::port` is none for a port that is no number of 16 bits, too.
        let port = match authority.as_str().strip_prefix(host) {
            Some("" | ":") if secure => 443,
            Some("" | ":") => 80,
            _ => authority
                .port_u16()
                .filter(|port| *port > 0)
                .ok_or("the port must be between 1 and 65535")?,
        };
        Ok(Self {
            secure,
            host: host.to_ascii_lowercase().into(),
            port,
        })
    }

    /// Whether the connection is made with TLS.
    pub fn is_secure(&self) -> bool {
        self.secure
    }

    /// The host in lower case; an IPv6 address without its brackets.
    pub fn host(&self) -> &str {
        self.host.trim_start_matches('[').trim_end_matches(']')
    }

    /// The port, the scheme's own where the URI named none.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Host and port as they stand in a `Host` header: the port only where it is not the scheme's own.
    pub(crate) fn authority(&self) -> String {
        match (self.secure, self.port) {
            (true, 443) | (false, 80) => self.host.to_string(),
            (_, port) => format!("{}:{port}", self.host),
        }
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scheme = if self.secure { "https" } else { "http" };
        write!(f, "{scheme}://{}", self.authority())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn origin(uri: &str) -> Result<Origin, &'static str> {
        Origin::of(&uri.parse().unwrap())
    }

    #[test]
    fn a_default_port_written_out_names_the_same_origin() {
        assert_eq!(origin("https://Example.org/a"), origin("https://example.org:443/b"));
        assert_ne!(origin("https://example.org"), origin("http://example.org"));
        assert_eq!(origin("https://example.org:"), origin("https://example.org"));
        assert_eq!(origin("http://[::1]:6333/").unwrap().to_string(), "http://[::1]:6333");
        assert_eq!(origin("http://[::1]:6333/").unwrap().host(), "::1");
    }

    #[test]
    fn a_uri_without_a_usable_origin_is_refused_with_its_reason() {
        for (uri, expected) in [
            ("/path", "absolute"),
            ("ftp://host/", "http or https"),
            ("http://[]/", "IPv6"),
            ("http://[v1.x]:80/", "IPv6"),
            ("http://me:pw@host/", "header"),
            ("https://host:99999/", "between 1 and 65535"),
            ("https://host:0/", "between 1 and 65535"),
        ] {
            assert!(origin(uri).unwrap_err().contains(expected), "{uri}");
        }
    }
}
