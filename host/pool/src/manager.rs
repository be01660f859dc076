//! Every pool of a process, by name: [`PoolManager`].

mod succession;

use std::collections::hash_map::Entry;
use std::collections::{BTreeMap, HashMap};
use std::ops::AddAssign;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures::future::join_all;
use http::Uri;
use rustls::RootCertStore;
use tokio::time::Instant;

use crate::ceiling::Ceiling;
use crate::config::PoolConfig;
use crate::connect::{Connector, Names, Proxies, ProxyRules, Resolve, SharedTls, SystemResolver, platform_roots};
use crate::error::{PoolError, SendError, TlsError};
use crate::load::health::Health;
use crate::options::later;
use crate::origin::Origin;
use crate::pool::Pool;
use crate::settings::PoolSettings;
use crate::stats::PoolStats;

pub use succession::PreparedPool;

/// The pools of a process. Clones share them; only a manager can close a pool.
#[derive(Clone, Debug)]
pub struct PoolManager {
    ceiling: Arc<Ceiling>,
    tls: Arc<SharedTls>,
    names: Arc<Names>,
    proxies: Arc<ProxyRules>,
    pools: Arc<Mutex<HashMap<String, Entered>>>,
    fallbacks: Arc<Mutex<BTreeMap<String, u64>>>,
}

#[derive(Clone, Debug)]
struct Entered {
    pool: Pool,
    closing: bool,
}

/// What closing one pool or several has come to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CloseReport {
    /// Pools closed.
    pub pools: usize,
    /// Requests that were under way and ended by themselves.
    pub finished: usize,
    /// Requests that were cut off at the deadline.
    pub cut_off: usize,
}

impl AddAssign for CloseReport {
    fn add_assign(&mut self, other: Self) {
        self.pools += other.pools;
        self.finished += other.finished;
        self.cut_off += other.cut_off;
    }
}

impl PoolManager {
    /// A manager without pools that trusts the platform's certificates, or those named by `SSL_CERT_FILE` and
    /// `SSL_CERT_DIR`, resolves names as the machine does, and takes note of the proxies the environment names
    /// ([`Proxies::environment`]).
    ///
    /// # Errors
    ///
    /// If there are certificates and none of them can be read.
    pub fn new() -> Result<Self, TlsError> {
        Self::builder().build()
    }

    /// A manager without pools that trusts these certificates and no others.
    ///
    /// # Errors
    ///
    /// If TLS cannot be configured.
    pub fn with_roots(roots: RootCertStore) -> Result<Self, TlsError> {
        Self::builder().roots(roots).build()
    }

    /// What a manager may be told that [`Self::new`] finds out for itself.
    pub fn builder() -> PoolManagerBuilder {
        PoolManagerBuilder::default()
    }

    /// The pool of this name, created now if there is none. It opens no connection before it is asked to send.
    ///
    /// # Errors
    ///
    /// If the name belongs to a pool with other settings, or to one that is being closed, or if TLS cannot be
    /// configured as the settings have it.
    pub fn pool(&self, name: &str, settings: PoolSettings) -> Result<Pool, PoolError> {
        match self.lock().entry(name.to_owned()) {
            Entry::Vacant(vacant) => {
                let connector = self.connector(&settings).map_err(|source| PoolError::Tls {
                    name: name.to_owned(),
                    source,
                })?;
                let pool = Pool::new(name, settings, connector, self.ceiling.clone());
                Ok(vacant.insert(Entered { pool, closing: false }).pool.clone())
            }
            Entry::Occupied(occupied) if occupied.get().closing => Err(PoolError::Closing { name: name.to_owned() }),
            Entry::Occupied(occupied) => {
                let pool = &occupied.get().pool;
                let differing = pool.settings().differences(&settings);
                if differing.is_empty() {
                    Ok(pool.clone())
                } else {
                    Err(PoolError::SettingsDiffer {
                        name: name.to_owned(),
                        differing,
                    })
                }
            }
        }
    }

    /// The pool of this name, or, where it cannot be had as asked, one that opens a connection for each request
    /// ([`PoolConfig::enabled`] is off) with the same settings otherwise. That one has a name of its own, made from
    /// `name`. It is for those who would rather be slow than fail: each such step is logged with its reason, and
    /// counted ([`Self::fallbacks`]).
    ///
    /// # Errors
    ///
    /// If TLS cannot be configured as the settings have it: a connection that trusts others, or that is somebody else,
    /// is no substitute.
    pub fn pool_or_unpooled(&self, name: &str, settings: PoolSettings) -> Result<Pool, PoolError> {
        let reason = match self.pool(name, settings.clone()) {
            Err(reason @ (PoolError::SettingsDiffer { .. } | PoolError::Closing { .. })) => reason,
            had => return had,
        };
        let mut unpooled = settings;
        unpooled.config.enabled = false;
        let mut number = 1_u64;
        loop {
            let free = match number {
                1 => format!("{name}-unpooled"),
                _ => format!("{name}-unpooled-{number}"),
            };
            match self.pool(&free, unpooled.clone()) {
                Err(PoolError::SettingsDiffer { .. } | PoolError::Closing { .. }) => number += 1,
                Err(error) => return Err(error),
                Ok(pool) => {
                    tracing::warn!(pool = name, instead = free, %reason, "a connection is opened for each request");
                    let mut fallbacks = self.fallbacks.lock().unwrap_or_else(PoisonError::into_inner);
                    *fallbacks.entry(name.to_owned()).or_default() += 1;
                    return Ok(pool);
                }
            }
        }
    }

    /// How often [`Self::pool_or_unpooled`] gave another pool than the one of the name asked for, by that name.
    pub fn fallbacks(&self) -> BTreeMap<String, u64> {
        self.fallbacks.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Gives a pool other limits and deadlines while it is at work. Nothing under way is cut off, and nobody loses their
    /// place in line; connections above a lowered cap are closed as they come back.
    ///
    /// # Errors
    ///
    /// If there is no pool of this name, or the settings differ in what its connections have agreed on already
    /// (`enabled`, `enable_http2`, `http2_prior_knowledge`, `max_response_header_bytes`).
    pub fn resize(&self, name: &str, config: PoolConfig) -> Result<(), PoolError> {
        let Some(pool) = self.get(name) else {
            return Err(PoolError::Unknown { name: name.to_owned() });
        };
        let present = pool.settings();
        let mut differing = present.config.differences(&config);
        differing.retain(|setting| PoolConfig::AGREED.contains(setting));
        if !differing.is_empty() {
            return Err(PoolError::SettingsDiffer {
                name: name.to_owned(),
                differing,
            });
        }
        pool.resize(PoolSettings {
            config,
            ..PoolSettings::clone(&present)
        });
        tracing::info!(pool = name, "the pool goes by other limits");
        Ok(())
    }

    /// The pool of this name, if there is one that is not being closed.
    pub fn get(&self, name: &str) -> Option<Pool> {
        self.lock()
            .get(name)
            .filter(|entered| !entered.closing)
            .map(|entered| entered.pool.clone())
    }

    /// How every pool is doing, sorted by name.
    pub fn stats(&self) -> Vec<(String, PoolStats)> {
        let mut stats: Vec<_> = self
            .entered()
            .into_iter()
            .map(|(name, pool)| (name, pool.stats()))
            .collect();
        stats.sort_by(|one, other| one.0.cmp(&other.0));
        stats
    }

    /// What can be expected of every pool, sorted by name.
    pub fn health(&self) -> Vec<(String, Health)> {
        let mut health: Vec<_> = self
            .entered()
            .into_iter()
            .map(|(name, pool)| (name, pool.health()))
            .collect();
        health.sort_by(|one, other| one.0.cmp(&other.0));
        health
    }

    /// Where the proxy is that a pool with these `proxies` reaches `uri` through, without its user name and password;
    /// `None` if it goes there straight. For reports: nothing is resolved or connected to.
    ///
    /// # Errors
    ///
    /// If `uri` has no origin, or the environment's proxy for it cannot be understood.
    pub fn proxy_for(&self, proxies: &Proxies, uri: &Uri) -> Result<Option<String>, SendError> {
        let origin = Origin::of(uri).map_err(|reason| SendError::InvalidRequest {
            reason: reason.to_owned(),
        })?;
        let rules = proxies.rules(&self.proxies);
        match rules.proxy_of(&origin) {
            Ok(proxy) => Ok(proxy.map(ToString::to_string)),
            Err(misnamed) => Err(misnamed.for_origin(&origin)),
        }
    }

    /// Closes the pool of this name: nobody is admitted any more, callers in line are told, requests under way may
    /// finish within `deadline`, the rest is cut off. Afterwards the name is free.
    ///
    /// Closing a pool that does not exist does nothing. A call that is dropped halfway can be made again.
    pub async fn close(&self, name: &str, deadline: Duration) -> CloseReport {
        let pool = match self.lock().get_mut(name) {
            Some(entered) => {
                entered.closing = true;
                entered.pool.clone()
            }
            None => return CloseReport::default(),
        };
        let (finished, cut_off) = pool.close(later(Instant::now(), deadline)).await;
        let mut pools = self.lock();
        // Somebody else may have closed it meanwhile, and a new pool may have taken the name.
        if pools.get(name).is_some_and(|entered| entered.pool.is(&pool)) {
            pools.remove(name);
        }
        CloseReport {
            pools: 1,
            finished,
            cut_off,
        }
    }

    /// Closes every pool at the same time, as [`Self::close`] does.
    pub async fn close_all(&self, deadline: Duration) -> CloseReport {
        let names: Vec<_> = self.lock().keys().cloned().collect();
        let mut total = CloseReport::default();
        for report in join_all(names.iter().map(|name| self.close(name, deadline))).await {
            total += report;
        }
        total
    }

    fn connector(&self, settings: &PoolSettings) -> Result<Connector, TlsError> {
        Ok(Connector {
            tls: self.tls.of(&settings.tls)?,
            names: self.names.clone(),
            proxies: settings.proxies.rules(&self.proxies),
            address_filter: settings.address_filter.clone(),
            http2: settings.config.enable_http2,
            http2_prior_knowledge: settings.config.http2_prior_knowledge,
            max_header_bytes: settings.config.max_response_header_bytes,
        })
    }

    fn entered(&self) -> Vec<(String, Pool)> {
        let pools = self.lock();
        pools
            .iter()
            .map(|(name, entered)| (name.clone(), entered.pool.clone()))
            .collect()
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<String, Entered>> {
        self.pools.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Makes a [`PoolManager`] that differs from [`PoolManager::new`] in what it is told here.
#[derive(Debug, Default)]
pub struct PoolManagerBuilder {
    roots: Option<RootCertStore>,
    resolver: Option<Arc<dyn Resolve>>,
    proxies: Option<ProxyRules>,
    max_sockets: Option<usize>,
}

impl PoolManagerBuilder {
    /// Trusts these certificates instead of the platform's.
    #[must_use]
    pub fn roots(mut self, roots: RootCertStore) -> Self {
        self.roots = Some(roots);
        self
    }

    /// Resolves names with this instead of the machine's own resolver. Its answers are kept for all pools.
    #[must_use]
    pub fn resolver(mut self, resolver: Arc<dyn Resolve>) -> Self {
        self.resolver = Some(resolver);
        self
    }

    /// Takes this for the environment where it looks for proxies; `variable` tells the value of one, if it is set.
    #[must_use]
    pub fn environment(mut self, variable: impl Fn(&str) -> Option<String>) -> Self {
        self.proxies = Some(ProxyRules::of_environment(variable));
        self
    }

    /// Holds all pools together under so many sockets; otherwise under half of the process's limit of open descriptors
    /// (`RLIMIT_NOFILE`).
    #[must_use]
    pub fn max_sockets(mut self, max_sockets: usize) -> Self {
        self.max_sockets = Some(max_sockets);
        self
    }

    /// The manager, still without pools.
    ///
    /// # Errors
    ///
    /// If no roots were given and the platform's cannot be read.
    pub fn build(self) -> Result<PoolManager, TlsError> {
        let tls = SharedTls::new(self.roots.map_or_else(platform_roots, Ok)?);
        let resolver = self.resolver.unwrap_or_else(|| Arc::new(SystemResolver::default()));
        let proxies = self.proxies.unwrap_or_else(|| {
            ProxyRules::of_environment(|name| Some(std::env::var_os(name)?.to_string_lossy().into_owned()))
        });
        Ok(PoolManager {
            tls: Arc::new(tls),
            names: Names::new(resolver),
            proxies: Arc::new(proxies),
            ceiling: self.max_sockets.map_or_else(Ceiling::of_process, Ceiling::new),
            pools: Arc::default(),
            fallbacks: Arc::default(),
        })
    }
}
