//! The machine's own way to find addresses: [`SystemResolver`].
//!
//! 1. The hosts file: a name that stands there has those addresses and no others.
//! 2. The name servers of `/etc/resolv.conf`, with its search domains and `ndots`, asked over UDP and TCP without
//!    blocking a thread, so that the answers' TTLs are known.
//! 3. The C library (getaddrinfo), on a thread made for blocking work: where the configuration cannot be read, and for
//!    what the name servers do not know, since the machine may have other sources (nsswitch.conf: mDNS, NIS).
//!
//! The files are looked at again when they have changed, as a laptop's or a container's do while it runs.

#[cfg(test)]
mod tests;

use std::fs;
use std::future::Future;
use std::io;
use std::net::IpAddr;
use std::path::Path;
use std::pin::pin;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use futures::FutureExt;
use futures::future::{BoxFuture, Either, select};
use hickory_resolver::config::{ResolveHosts, ResolverConfig, ResolverOpts};
use hickory_resolver::lookup::Lookup;
use hickory_resolver::net::NetError;
use hickory_resolver::net::runtime::TokioRuntimeProvider;
use hickory_resolver::proto::op::Query;
use hickory_resolver::proto::rr::{Name, RecordType};
use hickory_resolver::system_conf::read_system_conf;
use hickory_resolver::{Hosts, TokioResolver};
use tokio::sync::Mutex;
use tokio::time::{Instant, timeout};

use super::names::LONGEST;
use super::resolve::{Resolve, Resolved};

/// How long what was read of the files is trusted, and what stands in the hosts file with it: as Go's resolver does
/// (`cacheMaxAge` in net/hosts.go, and the pace of its looks at resolv.conf).
const FILES: Duration = Duration::from_secs(5);

/// How long one family's answer waits for the other's: the Resolution Delay of RFC 8305, section 3.
const RESOLUTION_DELAY: Duration = Duration::from_millis(50);

const HOSTS: &str = "/etc/hosts";
const RESOLV_CONF: &str = "/etc/resolv.conf";

/// Resolves names as the machine is configured to.
#[derive(Debug, Default)]
pub(crate) struct SystemResolver {
    configured: Mutex<Option<(Instant, Arc<Configuration>)>>,
}

#[derive(Debug)]
struct Configuration {
    modified: [Option<SystemTime>; 2],
    hosts: Hosts,
    /// `None` where the configuration names no server that could be asked.
    servers: Option<Servers>,
}

#[derive(Debug)]
struct Servers {
    resolver: TokioResolver,
    search: Vec<Name>,
    ndots: usize,
}

impl Resolve for SystemResolver {
    fn resolve<'a>(&'a self, host: &'a str) -> BoxFuture<'a, io::Result<Resolved>> {
        self.find(host).boxed()
    }
}

impl SystemResolver {
    async fn find(&self, host: &str) -> io::Result<Resolved> {
        let configuration = self.configuration().await?;
        // What is no name to DNS may still be one to the C library.
        let Ok(name) = Name::from_ascii(host) else {
            return by_c_library(host).await;
        };
        if let Some(resolved) = configuration.in_hosts_file(&name) {
            return Ok(resolved);
        }
        let Some(servers) = &configuration.servers else {
            return by_c_library(host).await;
        };
        match servers.find(&name).await {
            Ok(Some(resolved)) => Ok(resolved),
            Ok(None) => by_c_library(host).await,
            Err(error) => Err(io::Error::other(error)),
        }
    }

    async fn configuration(&self) -> io::Result<Arc<Configuration>> {
        let mut configured = self.configured.lock().await;
        let known = match &*configured {
            Some((read_at, known)) if Instant::now() < *read_at + FILES => return Ok(known.clone()),
            known => known.as_ref().map(|(_, known)| known.clone()),
        };
        let current = tokio::task::spawn_blocking(|| Configuration::read(known))
            .await
            .map_err(io::Error::other)?;
        *configured = Some((Instant::now(), current.clone()));
        Ok(current)
    }
}

impl Configuration {
    /// Reads the files, unless they are as they were.
    fn read(known: Option<Arc<Self>>) -> Arc<Self> {
        let modified =
            [HOSTS, RESOLV_CONF].map(|path| fs::metadata(Path::new(path)).and_then(|data| data.modified()).ok());
        if let Some(known) = known.filter(|known| known.modified == modified) {
            return known;
        }
        let hosts = Hosts::from_system().unwrap_or_else(|error| {
            tracing::debug!(%error, "the hosts file cannot be read");
            Hosts::default()
        });
        let servers = Servers::of_system()
            .inspect_err(
                |error| tracing::debug!(%error, "no name server is configured; names are left to the C library"),
            )
            .ok();
        Arc::new(Self {
            modified,
            hosts,
            servers,
        })
    }

    fn in_hosts_file(&self, name: &Name) -> Option<Resolved> {
        let addresses: Vec<_> = [RecordType::AAAA, RecordType::A]
            .into_iter()
            .filter_map(|family| self.hosts.lookup_static_host(&Query::query(name.clone(), family)))
            .flat_map(|lookup| addresses(&lookup))
            .collect();
        (!addresses.is_empty()).then_some(Resolved {
            addresses,
            valid_for: FILES,
        })
    }
}

impl Servers {
    fn of_system() -> Result<Self, NetError> {
        let (config, options) = read_system_conf()?;
        Self::new(config, options)
    }

    fn new(config: ResolverConfig, mut options: ResolverOpts) -> Result<Self, NetError> {
        let search = match (config.search(), config.domain()) {
            ([], domain) => domain.into_iter().cloned().collect(),
            (search, _) => search.to_vec(),
        };
        // The hosts file is looked into before, and answers are kept behind this resolver.
        options.use_hosts_file = ResolveHosts::Never;
        options.cache_size = 0;
        let ndots = options.ndots;
        let mut builder = TokioResolver::builder_with_config(config, TokioRuntimeProvider::default());
        *builder.options_mut() = options;
        Ok(Self {
            resolver: builder.build()?,
            search,
            ndots,
        })
    }

    /// The addresses of the first name in the search list that has any; none if there are none. An error of a server
    /// ends the search, since the name might have been there.
    async fn find(&self, name: &Name) -> Result<Option<Resolved>, NetError> {
        for candidate in candidates(name, &self.search, self.ndots) {
            let ipv6 = self.resolver.lookup(candidate.clone(), RecordType::AAAA);
            let ipv4 = self.resolver.lookup(candidate, RecordType::A);
            let found = both(ipv6.map(answer), ipv4.map(answer)).await?;
            if found.is_some() {
                return Ok(found);
            }
        }
        Ok(None)
    }
}

/// The names that `name` may stand for, in the order of resolv.conf(5).
fn candidates(name: &Name, search: &[Name], ndots: usize) -> Vec<Name> {
    let mut absolute = name.clone();
    absolute.set_fqdn(true);
    if name.is_fqdn() {
        return vec![absolute];
    }
    let mut names: Vec<_> = search
        .iter()
        .filter_map(|domain| name.clone().append_domain(domain).ok())
        .collect();
    // "localhost" is nobody else's (RFC 6761, section 6.3).
    let dots = usize::from(name.num_labels()).saturating_sub(1);
    if dots >= ndots || name.is_localhost() {
        names.insert(0, absolute);
    } else {
        names.push(absolute);
    }
    names
}

type Answer = Result<Option<Resolved>, NetError>;

/// The addresses in an answer, and none if the server says that there are none.
fn answer(lookup: Result<Lookup, NetError>) -> Answer {
    match lookup {
        Ok(lookup) => {
            let addresses = addresses(&lookup);
            let valid_for = lookup.answers().iter().map(|record| record.ttl).min().unwrap_or(0);
            Ok((!addresses.is_empty()).then_some(Resolved {
                addresses,
                valid_for: Duration::from_secs(valid_for.into()),
            }))
        }
        Err(error) if error.is_no_records_found() => Ok(None),
        Err(error) => Err(error),
    }
}

fn addresses(lookup: &Lookup) -> Vec<IpAddr> {
    lookup
        .answers()
        .iter()
        .filter_map(|record| record.data.ip_addr())
        .collect()
}

/// The addresses of both families, IPv6 in front. Where one family has answered with addresses, the other is waited for
/// no longer than [`RESOLUTION_DELAY`] (RFC 8305, section 3); half an answer is asked for again soon.
async fn both(ipv6: impl Future<Output = Answer>, ipv4: impl Future<Output = Answer>) -> Answer {
    let (ipv6, ipv4) = (pin!(ipv6), pin!(ipv4));
    let (first, rest, ipv6_is_first) = match select(ipv6, ipv4).await {
        Either::Left((first, rest)) => (first, Either::Left(rest), true),
        Either::Right((first, rest)) => (first, Either::Right(rest), false),
    };
    let second = match &first {
        Ok(Some(_)) => timeout(RESOLUTION_DELAY, rest).await.ok(),
        _ => Some(rest.await),
    };
    let (mut found, other) = match (first, second) {
        (Ok(Some(found)), second) => (found, second),
        (first, Some(Ok(Some(found)))) => (found, Some(first)),
        // No address: an error says more than that there is none.
        (Err(error), _) | (_, Some(Err(error))) => return Err(error),
        _ => return Ok(None),
    };
    match other {
        Some(Ok(None)) => {}
        Some(Ok(Some(other))) => {
            found.valid_for = found.valid_for.min(other.valid_for);
            let other = other.addresses;
            let place = if ipv6_is_first { found.addresses.len() } else { 0 };
            found.addresses.splice(place..place, other);
        }
        Some(Err(_)) | None => found.valid_for = Duration::ZERO,
    }
    Ok(Some(found))
}

/// What getaddrinfo says, which tells no TTL.
async fn by_c_library(host: &str) -> io::Result<Resolved> {
    Ok(Resolved {
        addresses: tokio::net::lookup_host((host, 0))
            .await?
            .map(|address| address.ip())
            .collect(),
        valid_for: LONGEST,
    })
}
