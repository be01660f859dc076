//! Which proxy an origin is reached through: [`Proxies`], by configuration or by the environment.
//!
//! | scheme of the proxy | `https` origins | `http` origins | who resolves the origin's name |
//! |---|---|---|---|
//! | `http`, `https` | CONNECT | requests in absolute form | the proxy |
//! | `socks5` | tunnel | tunnel | this machine |
//! | `socks5h` | tunnel | tunnel | the proxy |

mod proxy;
mod rules;

use std::fmt;
use std::sync::Arc;

use crate::proxy_error::ProxyError;
pub(super) use proxy::{Proxy, Scheme};
pub(crate) use rules::{Forward, Rules};

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
        let proxy = Proxy::parse(url).map_err(|problem| ProxyError::Invalid { problem })?;
        let rules = Rules::all_through(proxy, no_proxy);
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
