//! Which proxy an origin is reached through: [`Proxies`], by configuration or by the environment.
//!
//! | scheme of the proxy | `https` origins | `http` origins | who resolves the origin's name |
//! |---|---|---|---|
//! | `http`, `https` | CONNECT | requests in absolute form | the proxy |
//! | `socks5` | tunnel | tunnel | this machine |
//! | `socks5h` | tunnel | tunnel | the proxy |

use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;

use http::{HeaderValue, Uri};
use hyper_util::client::proxy::matcher::{Intercept, Matcher};

use super::target::literal;
use crate::origin::Origin;
use crate::proxy_error::ProxyError;

/// Which proxy a pool's connections go through: by default the one that the environment names.
///
/// A user name and a password in a proxy's URL are sent to that proxy alone; they show up in no error, log or `Debug`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Proxies(Choice);

#[derive(Clone, Debug, Default, PartialEq, Eq)]
enum Choice {
    #[default]
    Environment,
    None,
    Given(Arc<Given>),
}

struct Given {
    url: String,
    no_proxy: String,
    rules: Arc<Rules>,
}

impl PartialEq for Given {
    fn eq(&self, other: &Self) -> bool {
        (&self.url, &self.no_proxy) == (&other.url, &other.no_proxy)
    }
}

impl Eq for Given {}

impl fmt::Debug for Given {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.rules.fmt(f)
    }
}

impl Proxies {
    /// What `HTTP_PROXY`, `HTTPS_PROXY` and, for origins of both schemes, `ALL_PROXY` name, except for the hosts in
    /// `NO_PROXY`; each in upper or lower case. They were read when the manager was made. A loopback host
    /// (`localhost`, `127.0.0.0/8`, `::1`) is never reached through a proxy of the environment.
    ///
    /// A variable that cannot be understood fails the requests it would apply to: they do not go around the proxy.
    pub fn environment() -> Self {
        Self(Choice::Environment)
    }

    /// No proxy, whatever the environment says.
    pub fn none() -> Self {
        Self(Choice::None)
    }

    /// The proxy at `url` for every host but those in `no_proxy`. The URL is `http`, `https`, `socks5` or `socks5h`,
    /// with a user name and a password where the proxy asks for them. The list is that of `NO_PROXY`: host names, which
    /// stand for their subdomains as well, addresses and networks (`10.0.0.0/8`), separated by commas, or `*`. Ports
    /// are not looked at.
    ///
    /// # Errors
    ///
    /// If the URL is not one of a proxy.
    pub fn through(url: &str, no_proxy: &str) -> Result<Self, ProxyError> {
        let proxy = Arc::new(Proxy::parse(url)?);
        let rules = Rules {
            http: Some(Named::Proxy(proxy.clone())),
            https: Some(Named::Proxy(proxy)),
            exempt: exempting(no_proxy),
            spares_loopback: false,
        };
        Ok(Self(Choice::Given(Arc::new(Given {
            url: url.to_owned(),
            no_proxy: no_proxy.to_owned(),
            rules: Arc::new(rules),
        }))))
    }

    /// The rules that hold, where `environment` holds those of the environment.
    pub(crate) fn rules(&self, environment: &Arc<Rules>) -> Arc<Rules> {
        match &self.0 {
            Choice::Environment => environment.clone(),
            Choice::None => Arc::default(),
            Choice::Given(given) => given.rules.clone(),
        }
    }
}

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
    Misnamed {
        variable: &'static str,
        problem: &'static str,
    },
}

/// A variable that names no proxy.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Misnamed {
    pub variable: &'static str,
    pub problem: &'static str,
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
    /// The rules of an environment. An empty variable is as good as none.
    pub fn of_environment(variable: impl Fn(&str) -> Option<String>) -> Self {
        let set = |name: &str| variable(name).filter(|value| !value.trim().is_empty());
        let named = |names: &[&'static str]| {
            let (name, value) = names.iter().find_map(|name| Some((*name, set(name)?)))?;
            Some(match Proxy::parse(value.trim()) {
                Ok(proxy) => Named::Proxy(Arc::new(proxy)),
                Err(ProxyError::Invalid { problem }) => {
                    tracing::warn!(variable = name, problem, "this variable names no proxy");
                    Named::Misnamed {
                        variable: name,
                        problem,
                    }
                }
                Err(_) => return None,
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
            Named::Misnamed { variable, problem } => Err(Misnamed { variable, problem }),
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
    fn parse(url: &str) -> Result<Self, ProxyError> {
        let invalid = |problem| ProxyError::Invalid { problem };
        let found = Matcher::builder()
            .all(url)
            .build()
            .intercept(&Uri::from_static("http://any.invalid/"))
            .ok_or(invalid("it is no URL of a proxy"))?;
        let authority = found.uri().authority().ok_or(invalid("it names no host"))?;
        if authority.as_str().contains('@') {
            return Err(invalid("an @ in the user name or the password must be written as %40"));
        }
        if authority.host().is_empty() {
            return Err(invalid("it names no host"));
        }
        let (scheme, default_port) = match found.uri().scheme_str() {
            Some("http") => (Scheme::Http, 80),
            Some("https") => (Scheme::Https, 443),
            // RFC 1928, section 3.
            Some("socks5") => (Scheme::Socks5, 1080),
            Some("socks5h") => (Scheme::Socks5h, 1080),
            _ => return Err(invalid("the scheme must be http, https, socks5 or socks5h")),
        };
        let port = match authority.as_str().strip_prefix(authority.host()) {
            Some("" | ":") => default_port,
            _ => authority
                .port_u16()
                .filter(|port| *port > 0)
                .ok_or(invalid("the port must be between 1 and 65535"))?,
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
        let Proxies(Choice::Given(given)) = Proxies::through("http://a", "").unwrap() else {
            panic!("a proxy was given");
        };
        assert!(proxy_of(&given.rules, "http://localhost").is_some());
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
    fn credentials_are_used_and_never_shown() {
        let rules = environment(&[("ALL_PROXY", "http://ada:s3cret%40@a:3128")]);
        let given = Proxies::through("socks5h://ada:s3cret@b", "").unwrap();
        let shown = format!("{rules:?} {given:?} {:?}", proxy_of(&rules, "http://example.org"));
        assert!(!shown.contains("s3cret") && !shown.contains("ada"), "{shown}");
        let origin = Origin::of(&"http://example.org".parse().unwrap()).unwrap();
        let authorization = rules.forwarding(&origin).unwrap().authorization.unwrap();
        assert_eq!(authorization, "Basic YWRhOnMzY3JldEA=");
        for url in [
            "http://ada:s3@cret@a",
            "ftp://ada:s3cret@a",
            "socks4://ada:s3cret@a",
            "http://a:0",
            "",
            "http://a:99999",
        ] {
            let error = Proxies::through(url, "").unwrap_err();
            let shown = format!("{error} {error:?}");
            assert!(!shown.contains("cret"), "{shown}");
        }
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
}
