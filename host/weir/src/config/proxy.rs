//! `proxy = "…"`: which proxy a pool goes through. What it is shown as says where the proxy is, and not who uses it.

use std::fmt;
use std::str::FromStr;

use weir_pool::{Proxies, ProxyError};

use super::units::Notation;

/// Which proxy requests go through.
#[derive(Clone, PartialEq, Eq, Default)]
pub enum ProxySetting {
    /// The one that `HTTP_PROXY`, `HTTPS_PROXY` and `ALL_PROXY` name.
    #[default]
    Environment,
    /// None.
    None,
    /// The one at this URL. It may hold a password.
    Url(String),
}

impl ProxySetting {
    /// What the pool goes by. `no_proxy` are hosts that are reached without the proxy of a URL.
    ///
    /// # Errors
    /// If the URL is not that of a proxy.
    pub fn proxies(&self, no_proxy: &[String]) -> Result<Proxies, ProxyError> {
        match self {
            ProxySetting::Environment => Ok(Proxies::environment()),
            ProxySetting::None => Ok(Proxies::none()),
            ProxySetting::Url(url) => Proxies::through(url, &no_proxy.join(",")),
        }
    }
}

impl Notation for ProxySetting {
    const EXPECTED: &'static str = "\"environment\", \"none\" or the URL of a proxy, like \"http://proxy.example:3128\", with \
                                    http, https, socks5 or socks5h";
}

impl FromStr for ProxySetting {
    type Err = ProxyError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            "environment" => Ok(ProxySetting::Environment),
            "none" => Ok(ProxySetting::None),
            url => {
                let setting = ProxySetting::Url(url.to_owned());
                // A name without a scheme is more likely a word mistyped than a proxy.
                if !url.contains("://") {
                    return Err(ProxyError::Invalid {
                        problem: "it is no URL",
                    });
                }
                setting.proxies(&[]).map(|_| setting)
            }
        }
    }
}

impl fmt::Display for ProxySetting {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ProxySetting::Environment => f.write_str("environment"),
            ProxySetting::None => f.write_str("none"),
            ProxySetting::Url(url) => f.write_str(&masked(url)),
        }
    }
}

impl fmt::Debug for ProxySetting {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// A proxy's URL without its user name and password.
pub(super) fn masked(url: &str) -> String {
    let (scheme, rest) = url.split_once("://").map_or(("", url), |(scheme, rest)| (scheme, rest));
    let colon = if scheme.is_empty() { "" } else { "://" };
    // The last one: a password that holds an @ of its own is hidden as a whole.
    match rest.rsplit_once('@') {
        Some((_, place)) => format!("{scheme}{colon}(masked)@{place}"),
        None => url.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_password_is_never_shown() {
        for url in ["http://ada:s3cret@proxy:3128", "socks5h://ada:s3%40cret@[::1]:1080"] {
            let setting: ProxySetting = url.parse().unwrap();
            let shown = format!("{setting} {setting:?} {:?}", setting.proxies(&[]).unwrap());
            assert!(!shown.contains("ada") && !shown.contains("s3"), "{shown}");
        }
        assert_eq!(masked("http://ada:s3@cret@proxy:1"), "http://(masked)@proxy:1");
        assert_eq!(masked("http://proxy:1"), "http://proxy:1");
    }

    #[test]
    fn a_word_that_is_neither_is_no_proxy() {
        assert_eq!("none".parse::<ProxySetting>().unwrap(), ProxySetting::None);
        for wrong in ["nonee", "", "proxy:3128", "ftp://proxy", "http://a@b@proxy"] {
            assert!(wrong.parse::<ProxySetting>().is_err(), "{wrong}");
        }
    }
}
