//! Scheme, host and port: what an egress grant speaks of.

use std::fmt;
use std::str::FromStr;

use url::{Host, Url};

/// Where requests may go (RFC 6454, 4), for `http` and `https` alone.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Origin {
    scheme: String,
    host: String,
    port: u16,
}

/// A text that is no origin.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{text}` is no origin: {reason}; write it like `https://api.example.com` or `http://127.0.0.1:6333`")]
pub struct InvalidOrigin {
    text: String,
    reason: &'static str,
}

impl Origin {
    /// The origin of a URL. The path and the query are ignored; user-info is refused.
    pub fn of(url: &Url) -> Result<Origin, InvalidOrigin> {
        // The text leaves the query out, which may hold a key.
        let invalid = |reason| InvalidOrigin {
            text: format!("{}://{}", url.scheme(), url.host_str().unwrap_or_default()),
            reason,
        };
        if !matches!(url.scheme(), "http" | "https") {
            return Err(invalid("only http and https are possible"));
        }
        if !url.username().is_empty() || url.password().is_some() {
            return Err(invalid("a user name or password is not allowed in it"));
        }
        let host = match url.host() {
            Some(Host::Domain(name)) => name.trim_end_matches('.').to_owned(),
            Some(host) => host.to_string(),
            None => return Err(invalid("it has no host")),
        };
        if host.is_empty() {
            return Err(invalid("it has no host"));
        }
        let port = url.port_or_known_default().ok_or_else(|| invalid("it has no port"))?;
        Ok(Origin {
            scheme: url.scheme().to_owned(),
            host,
            port,
        })
    }

    /// `http` or `https`.
    pub fn scheme(&self) -> &str {
        &self.scheme
    }

    /// The host, in lower case; an IPv6 address in brackets.
    pub fn host(&self) -> &str {
        &self.host
    }

    /// The port, the scheme's own where none was written.
    pub fn port(&self) -> u16 {
        self.port
    }
}

impl FromStr for Origin {
    type Err = InvalidOrigin;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let url = Url::parse(text).map_err(|_| InvalidOrigin {
            text: text.to_owned(),
            reason: "it is no URL",
        })?;
        Origin::of(&url)
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}://{}", self.scheme, self.host)?;
        let default = if self.scheme == "https" { 443 } else { 80 };
        if self.port == default {
            Ok(())
        } else {
            write!(f, ":{}", self.port)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn origin(text: &str) -> Origin {
        text.parse().unwrap()
    }

    #[test]
    fn a_path_and_the_default_port_do_not_matter() {
        assert_eq!(
            origin("https://API.example.com:443/v1"),
            origin("https://api.example.com.")
        );
        assert_eq!(
            origin("https://api.example.com/v1").to_string(),
            "https://api.example.com"
        );
        assert_eq!(origin("http://[::1]:6333").to_string(), "http://[::1]:6333");
    }

    #[test]
    fn scheme_and_port_make_another_origin() {
        assert_ne!(origin("http://a.example"), origin("https://a.example"));
        assert_ne!(origin("https://a.example:8443"), origin("https://a.example"));
    }

    #[test]
    fn an_address_has_one_form_however_it_is_written() {
        assert_eq!(origin("http://0x7f.1").host(), "127.0.0.1");
        assert_eq!(origin("http://2130706433").host(), "127.0.0.1");
    }

    #[test]
    fn user_info_and_other_schemes_are_refused() {
        assert!("https://me@a.example".parse::<Origin>().is_err());
        assert!("ftp://a.example".parse::<Origin>().is_err());
        assert!("a.example".parse::<Origin>().is_err());
    }
}
