//! One proxy and how to speak with it.

use std::fmt;

use http::{HeaderValue, Uri};
use hyper_util::client::proxy::matcher::{Intercept, Matcher};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Scheme {
    Http,
    Https,
    Socks5,
    Socks5h,
}

/// A proxy. Its `Debug` and `Display` tell where it is and not who uses it.
#[derive(Debug)]
pub(crate) struct Proxy {
    pub scheme: Scheme,
    pub port: u16,
    found: Intercept,
}

impl Proxy {
    /// The proxy at `url`, without a scheme one that speaks HTTP; or what is wrong with it.
    pub fn parse(url: &str) -> Result<Self, &'static str> {
        let found = Matcher::builder()
            .all(url)
            .build()
            .intercept(&Uri::from_static("http://any.invalid/"))
            .ok_or("it is no URL of a proxy")?;
        let authority = found.uri().authority().ok_or("it names no host")?;
        if authority.as_str().contains('@') {
            return Err("an @ in the user name or the password must be written as %40");
        }
        if authority.host().is_empty() {
            return Err("it names no host");
        }
        let (scheme, default_port) = match found.uri().scheme_str() {
            Some("http") => (Scheme::Http, 80),
            Some("https") => (Scheme::Https, 443),
            // RFC 1928, section 3.
            Some("socks5") => (Scheme::Socks5, 1080),
            Some("socks5h") => (Scheme::Socks5h, 1080),
            _ => return Err("the scheme must be http, https, socks5 or socks5h"),
        };
        let port = match authority.as_str().strip_prefix(authority.host()) {
            Some("" | ":") => default_port,
            _ => authority
                .port_u16()
                .filter(|port| *port > 0)
                .ok_or("the port must be between 1 and 65535")?,
        };
        Ok(Self { scheme, port, found })
    }

    /// Its host; an IPv6 address without its brackets.
    pub fn host(&self) -> &str {
        let host = self.found.uri().host().unwrap_or_default();
        host.trim_start_matches('[').trim_end_matches(']')
    }

    /// The value of `Proxy-Authorization`, for a proxy that speaks HTTP.
    pub fn authorization(&self) -> Option<&HeaderValue> {
        self.found.basic_auth()
    }

    /// User name and password, for a proxy that speaks SOCKS (RFC 1929).
    pub fn credentials(&self) -> Option<(&str, &str)> {
        self.found.raw_auth()
    }
}

impl fmt::Display for Proxy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let uri = self.found.uri();
        let (scheme, host) = (uri.scheme_str().unwrap_or_default(), uri.host().unwrap_or_default());
        write!(f, "{scheme}://{host}:{}", self.port)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_tells_where_the_proxy_is_and_how_to_speak_with_it() {
        for (url, expected) in [
            ("proxy", "http://proxy:80"),
            ("proxy:3128", "http://proxy:3128"),
            ("https://proxy/", "https://proxy:443"),
            ("socks5://[::1]", "socks5://[::1]:1080"),
            ("socks5h://ada:s3cret@proxy:9", "socks5h://proxy:9"),
        ] {
            assert_eq!(Proxy::parse(url).unwrap().to_string(), expected);
        }
        assert_eq!(Proxy::parse("socks5://[::1]").unwrap().host(), "::1");
    }

    #[test]
    fn credentials_are_used_and_never_shown() {
        let http = Proxy::parse("http://ada:s3cret%40@a:3128").unwrap();
        assert_eq!(http.authorization().unwrap(), "Basic YWRhOnMzY3JldEA=");
        let socks = Proxy::parse("socks5h://ada:s3cret@b").unwrap();
        assert_eq!(socks.credentials(), Some(("ada", "s3cret")));
        let shown = format!("{http:?} {http} {:?} {socks:?} {socks}", http.authorization());
        for secret in ["s3cret", "ada", "YWRh"] {
            assert!(!shown.contains(secret), "{shown}");
        }
    }

    #[test]
    fn what_is_no_proxy_is_refused_without_showing_credentials() {
        for url in [
            "http://ada:s3@cret@a",
            "ftp://ada:s3cret@a",
            "socks4://ada:s3cret@a",
            "http://ada:s3cret@",
            "http://a:0",
            "http://a:99999",
            "",
        ] {
            let shown = Proxy::parse(url).unwrap_err();
            assert!(!shown.contains("cret") && !shown.contains("ada"), "{shown}");
        }
    }
}
