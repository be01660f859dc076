//! Which origins go through which proxy: [`Rules`].

use std::net::IpAddr;
use std::sync::Arc;

use http::{HeaderValue, Uri};
use hyper_util::client::proxy::matcher::Matcher;

use super::proxy::{Proxy, Scheme};
use crate::connect::target::literal;
use crate::error::SendError;
use crate::origin::Origin;
use crate::proxy_error::ProxyError;

/// Which proxy is for which origin. It is decided by the origin alone, so connections of an origin are alike.
#[derive(Debug)]
pub(crate) struct Rules {
    http: Option<Named>,
    https: Option<Named>,
    /// Intercepts every host but those that are to be reached directly.
    exempt: Matcher,
    spares_loopback: bool,
}

#[derive(Clone, Debug)]
enum Named {
    Proxy(Arc<Proxy>),
    /// What the variable says is not understood.
    Misnamed(Misnamed),
}

/// A variable that names no proxy.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Misnamed {
    pub variable: &'static str,
    pub problem: &'static str,
}

impl Misnamed {
    /// The failure of a request to `origin`, which the variable applies to.
    pub fn for_origin(self, origin: &Origin) -> SendError {
        SendError::Proxy {
            origin: origin.clone(),
            proxy: format!("the proxy in {}", self.variable),
            source: ProxyError::Invalid { problem: self.problem },
        }
    }
}

impl Default for Rules {
    fn default() -> Self {
        Self {
            http: None,
            https: None,
            exempt: exempting(""),
            spares_loopback: false,
        }
    }
}

impl Rules {
    /// One proxy for every host but those in `no_proxy`.
    pub fn all_through(proxy: Proxy, no_proxy: &str) -> Self {
        let named = Some(Named::Proxy(Arc::new(proxy)));
        Self {
            http: named.clone(),
            https: named,
            exempt: exempting(no_proxy),
            spares_loopback: false,
        }
    }

    /// The rules of an environment. An empty variable is as good as none.
    pub fn of_environment(variable: impl Fn(&str) -> Option<String>) -> Self {
        let set = |name: &str| variable(name).filter(|value| !value.trim().is_empty());
        let named = |names: &[&'static str]| {
            let (variable, value) = names.iter().find_map(|name| Some((*name, set(name)?)))?;
            Some(match Proxy::parse(value.trim()) {
                Ok(proxy) => Named::Proxy(Arc::new(proxy)),
                Err(problem) => {
                    tracing::warn!(variable, problem, "this variable names no proxy");
                    Named::Misnamed(Misnamed { variable, problem })
                }
            })
        };
        // A CGI script's `HTTP_PROXY` is a header of the request it answers (CVE-2016-5385).
        let is_cgi = set("REQUEST_METHOD").is_some();
        let http = if is_cgi {
            &["http_proxy"][..]
        } else {
            &["HTTP_PROXY", "http_proxy"][..]
        };
        let all = named(&["ALL_PROXY", "all_proxy"]);
        Self {
            http: named(http).or_else(|| all.clone()),
            https: named(&["HTTPS_PROXY", "https_proxy"]).or(all),
            exempt: exempting(&set("NO_PROXY").or_else(|| set("no_proxy")).unwrap_or_default()),
            spares_loopback: true,
        }
    }

    /// The proxy that `origin` is reached through, if it is reached through one.
    pub fn proxy_of(&self, origin: &Origin) -> Result<Option<&Proxy>, Misnamed> {
        let named = if origin.is_secure() { &self.https } else { &self.http };
        let Some(named) = named else { return Ok(None) };
        if self.is_exempt(origin.host()) {
            return Ok(None);
        }
        match named {
            Named::Proxy(proxy) => Ok(Some(proxy)),
            Named::Misnamed(misnamed) => Err(*misnamed),
        }
    }

    /// How requests to `origin` are to be written if the proxy passes them on one by one.
    pub fn forwarding(&self, origin: &Origin) -> Option<Forward<'_>> {
        if origin.is_secure() {
            return None;
        }
        let proxy = self.proxy_of(origin).ok()??;
        matches!(proxy.scheme, Scheme::Http | Scheme::Https).then_some(Forward {
            authorization: proxy.authorization(),
        })
    }

    fn is_exempt(&self, host: &str) -> bool {
        let address = literal(host);
        if self.spares_loopback && is_loopback(host, address) {
            return true;
        }
        let host = match address {
            Some(IpAddr::V6(address)) => format!("[{address}]"),
            Some(IpAddr::V4(address)) => address.to_string(),
            None => host.trim_end_matches('.').to_owned(),
        };
        let uri = Uri::builder()
            .scheme("http")
            .authority(host)
            .path_and_query("/")
            .build();
        uri.is_ok_and(|uri| self.exempt.intercept(&uri).is_none())
    }
}

fn is_loopback(host: &str, address: Option<IpAddr>) -> bool {
    let name = host.trim_end_matches('.');
    // RFC 6761, section 6.3: whatever ends in "localhost" is this machine.
    address.map_or(name == "localhost" || name.ends_with(".localhost"), |address| {
        address.to_canonical().is_loopback()
    })
}

fn exempting(no_proxy: &str) -> Matcher {
    let hosts: Vec<_> = no_proxy
        .split(|c: char| c == ',' || c.is_whitespace())
        .map(|entry| {
            entry
                .strip_prefix('*')
                .filter(|rest| rest.starts_with('.'))
                .unwrap_or(entry)
        })
        .map(|entry| entry.trim_start_matches('[').trim_end_matches(']'))
        .collect();
    Matcher::builder()
        .all("http://exempt.invalid")
        .no(hosts.join(","))
        .build()
}

/// How requests are written that a proxy passes on: in absolute form (RFC 9112, section 3.2.2).
#[derive(Clone, Copy, Debug)]
pub(crate) struct Forward<'a> {
    /// The value of `Proxy-Authorization`, where the proxy is to be told who asks.
    pub authorization: Option<&'a HeaderValue>,
}

#[cfg(test)]
mod tests {
    use proptest::proptest;

    use super::*;

    fn environment(variables: &[(&str, &str)]) -> Rules {
        Rules::of_environment(|name| {
            let found = variables.iter().find(|(variable, _)| *variable == name);
            found.map(|(_, value)| (*value).to_owned())
        })
    }

    fn proxy_of(rules: &Rules, uri: &str) -> Option<String> {
        let origin = Origin::of(&uri.parse().unwrap()).unwrap();
        rules.proxy_of(&origin).unwrap().map(ToString::to_string)
    }

    #[test]
    fn each_scheme_has_its_variable_and_one_is_for_both() {
        let rules = environment(&[("HTTPS_PROXY", "http://a:3128"), ("all_proxy", "socks5://b")]);
        assert_eq!(proxy_of(&rules, "https://example.org").unwrap(), "http://a:3128");
        assert_eq!(proxy_of(&rules, "http://example.org").unwrap(), "socks5://b:1080");
        let rules = environment(&[("http_proxy", "a"), ("HTTP_PROXY", "")]);
        assert_eq!(proxy_of(&rules, "http://example.org").unwrap(), "http://a:80");
        assert_eq!(proxy_of(&rules, "https://example.org"), None);
        assert_eq!(proxy_of(&environment(&[]), "https://example.org"), None);
    }

    #[test]
    fn hosts_in_no_proxy_are_reached_directly() {
        let no_proxy = "example.org, .test *.corp,10.0.0.0/8,[fd00::1],192.0.2.1";
        let rules = environment(&[("ALL_PROXY", "http://a"), ("no_proxy", no_proxy)]);
        for direct in [
            "https://example.org",
            "https://EU.example.org:8443",
            "http://a.test",
            "http://x.corp",
            "http://10.1.2.3",
            "http://10.66051",
            "http://[fd00::1]",
            "http://192.0.2.1",
            "http://example.org.",
        ] {
            assert_eq!(proxy_of(&rules, direct), None, "{direct}");
        }
        for proxied in [
            "https://notexample.org",
            "http://11.1.2.3",
            "http://[fd00::2]",
            "http://corp.org",
        ] {
            assert!(proxy_of(&rules, proxied).is_some(), "{proxied}");
        }
        let rules = environment(&[("ALL_PROXY", "http://a"), ("NO_PROXY", "*")]);
        assert_eq!(proxy_of(&rules, "https://example.org"), None);
    }

    #[test]
    fn loopback_is_never_reached_through_a_proxy_of_the_environment() {
        let rules = environment(&[("ALL_PROXY", "http://a")]);
        for direct in [
            "http://localhost:6333",
            "https://LOCALHOST",
            "http://db.localhost",
            "http://localhost.",
            "http://127.0.0.1",
            "http://127.9.9.9",
            "http://127.1",
            "http://[::1]:6333",
            "http://[::ffff:127.0.0.1]",
        ] {
            assert_eq!(proxy_of(&rules, direct), None, "{direct}");
        }
        assert!(proxy_of(&rules, "http://localhost.example").is_some());
        let given = Rules::all_through(Proxy::parse("http://a").unwrap(), "");
        assert!(proxy_of(&given, "http://localhost").is_some());
    }

    #[test]
    fn a_variable_that_is_not_understood_fails_what_it_would_apply_to() {
        let rules = environment(&[("HTTPS_PROXY", "ftp://a"), ("HTTP_PROXY", "http://b")]);
        let origin = |uri: &str| Origin::of(&uri.parse().unwrap()).unwrap();
        let misnamed = rules.proxy_of(&origin("https://example.org")).unwrap_err();
        assert_eq!(misnamed.variable, "HTTPS_PROXY");
        assert!(rules.proxy_of(&origin("http://example.org")).unwrap().is_some());
        assert!(rules.proxy_of(&origin("https://localhost")).unwrap().is_none());
    }

    #[test]
    fn a_cgi_script_does_not_take_a_header_for_a_proxy() {
        let rules = environment(&[("REQUEST_METHOD", "GET"), ("HTTP_PROXY", "http://evil")]);
        assert_eq!(proxy_of(&rules, "http://example.org"), None);
    }

    #[test]
    fn requests_are_passed_on_one_by_one_in_clear_text_only() {
        let origin = |uri: &str| Origin::of(&uri.parse().unwrap()).unwrap();
        let rules = environment(&[("ALL_PROXY", "http://a")]);
        assert!(rules.forwarding(&origin("http://example.org")).is_some());
        assert!(rules.forwarding(&origin("https://example.org")).is_none());
        assert!(rules.forwarding(&origin("http://localhost")).is_none());
        let rules = environment(&[("ALL_PROXY", "socks5://a")]);
        assert!(rules.forwarding(&origin("http://example.org")).is_none());
    }

    proptest! {
        #[test]
        fn no_text_in_the_environment_makes_the_rules_panic(
            url in "(https?|socks5h?|)(://)?[ -~]{0,20}",
            no_proxy in "[ -~é]{0,30}",
            host in "[a-z0-9.-]{1,20}",
        ) {
            let rules = environment(&[("ALL_PROXY", &url), ("NO_PROXY", &no_proxy)]);
            if let Ok(origin) = format!("http://{host}").parse().map_err(drop).and_then(|uri| Origin::of(&uri).map_err(drop)) {
                let _ = rules.proxy_of(&origin);
                let _ = rules.forwarding(&origin);
            }
        }
    }
}
