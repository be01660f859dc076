//! The settings of `weir.toml`, typed.

use std::collections::BTreeMap;
use std::num::{NonZeroU32, NonZeroUsize};
use std::path::PathBuf;
use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use weir_pool::{
    Certificates, ClientCertificate, PoolConfig, PoolSettings, Proxies, ProxyError, Roots, TlsError, TlsSettings,
};
use weir_runtime::{CallLimits, Origin};

use super::proxy::ProxySetting;
use super::resilience::Resilience;
use super::secrets::{ApiKey, ProviderSecret};
use super::units::{ByteSize, ListenAddress, Network, Parsed, Seconds, SettingText, optional_timeout, timeout};

/// Everything an operator can set.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
#[schemars(title = "weir.toml")]
pub struct Config {
    /// Where `memory` and the index keep their files.
    pub data_dir: PathBuf,
    /// Where compiled components are kept.
    pub cache_dir: PathBuf,
    /// Most sockets of all pools together. Half of the process's limit of open files where not given.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_sockets: Option<NonZeroUsize>,
    /// The HTTP API.
    pub server: Server,
    /// Connection pools: what holds for every provider.
    pub http_pool: HttpPool,
    /// The providers by name. A preset's name needs nothing more.
    pub providers: BTreeMap<String, ProviderConfig>,
    /// What a plain model name means.
    pub routes: Routes,
    /// What `weir index` and `weir search` use.
    pub index: Index,
}

impl Default for Config {
    fn default() -> Self {
        Config {
            data_dir: PathBuf::from("."),
            cache_dir: PathBuf::from("."),
            max_sockets: None,
            server: Server::default(),
            http_pool: HttpPool::default(),
            providers: BTreeMap::new(),
            routes: Routes::default(),
            index: Index::default(),
        }
    }
}

/// The HTTP API.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Server {
    /// Address and port. Without `api_keys`, a loopback address.
    pub listen: Parsed<ListenAddress>,
    /// The keys that callers may show, and what each may ask for. None: no authentication.
    pub api_keys: Vec<ApiKey>,
}

impl Default for Server {
    fn default() -> Self {
        let loopback = std::net::SocketAddr::from(([127, 0, 0, 1], 8787));
        Server {
            listen: Parsed(ListenAddress(loopback)),
            api_keys: Vec::new(),
        }
    }
}

impl Server {
    /// The address and port to listen on.
    pub fn address(&self) -> std::net::SocketAddr {
        self.listen.0.0
    }
}

/// A connection pool. Durations are seconds.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct HttpPool {
    /// Whether connections are kept at all; if not, each request opens its own, under the same limits.
    pub enabled: bool,
    /// Most sockets open at once, those being opened included.
    pub max_connections: NonZeroUsize,
    /// Most idle connections kept open.
    pub max_keepalive_connections: usize,
    /// How long an idle connection is kept.
    pub keepalive_expiry: Seconds,
    /// For name resolution, TCP, the proxy and TLS together.
    #[serde(deserialize_with = "timeout")]
    pub connect_timeout: Seconds,
    /// To the first byte of the answer, and between two pieces of it.
    #[serde(deserialize_with = "timeout")]
    pub read_timeout: Seconds,
    /// Without progress while the request is written.
    #[serde(deserialize_with = "timeout")]
    pub write_timeout: Seconds,
    /// Until a connection is granted.
    #[serde(deserialize_with = "timeout")]
    pub pool_timeout: Seconds,
    /// Whether HTTP/2 is offered.
    pub enable_http2: bool,
    /// Whether `http` origins are spoken to in HTTP/2 without asking.
    pub http2_prior_knowledge: bool,
    /// Most requests waiting for a connection; the next one fails at once.
    pub max_waiters: usize,
    /// Older connections are not used again. Off where not given.
    #[serde(deserialize_with = "optional_timeout", skip_serializing_if = "Option::is_none")]
    pub max_connection_age: Option<Seconds>,
    /// From the request's start to its answer's last byte. Off where not given.
    #[serde(deserialize_with = "optional_timeout", skip_serializing_if = "Option::is_none")]
    pub total_timeout: Option<Seconds>,
    /// Whether compressed answers are asked for.
    pub decompress: bool,
    /// Longest answer taken, once decompressed.
    pub max_response_bytes: ByteSize,
    /// Largest head of an answer taken.
    pub max_response_header_bytes: ByteSize,
    /// Most requests under way at once. As many as the connections carry where not given.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_concurrent_requests: Option<NonZeroUsize>,
    /// Which proxy requests go through: `environment`, `none`, or a URL.
    pub proxy: Parsed<ProxySetting>,
    /// Hosts, their subdomains, addresses and networks that are reached without the proxy of a URL.
    pub no_proxy: Vec<String>,
    /// Certificates in PEM that are trusted beside the platform's.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ca_file: Option<PathBuf>,
    /// The certificate in PEM that is shown to servers that ask for one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub client_cert: Option<PathBuf>,
    /// The private key of `client_cert`, in PEM.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub client_key: Option<PathBuf>,
}

impl Default for HttpPool {
    fn default() -> Self {
        PoolConfig::default().into()
    }
}

impl From<PoolConfig> for HttpPool {
    fn from(pool: PoolConfig) -> Self {
        HttpPool {
            enabled: pool.enabled,
            max_connections: pool.max_connections,
            max_keepalive_connections: pool.max_keepalive_connections,
            keepalive_expiry: Seconds(pool.keepalive_expiry),
            connect_timeout: Seconds(pool.connect_timeout),
            read_timeout: Seconds(pool.read_timeout),
            write_timeout: Seconds(pool.write_timeout),
            pool_timeout: Seconds(pool.pool_timeout),
            enable_http2: pool.enable_http2,
            http2_prior_knowledge: pool.http2_prior_knowledge,
            max_waiters: pool.max_waiters,
            max_connection_age: pool.max_connection_age.map(Seconds),
            total_timeout: pool.total_timeout.map(Seconds),
            decompress: pool.decompress,
            max_response_bytes: ByteSize(pool.max_response_bytes),
            max_response_header_bytes: ByteSize(pool.max_response_header_bytes as u64),
            max_concurrent_requests: pool.max_concurrent_requests,
            proxy: Parsed::default(),
            no_proxy: Vec::new(),
            ca_file: None,
            client_cert: None,
            client_key: None,
        }
    }
}

impl From<&HttpPool> for PoolConfig {
    fn from(pool: &HttpPool) -> Self {
        PoolConfig {
            enabled: pool.enabled,
            max_connections: pool.max_connections,
            max_keepalive_connections: pool.max_keepalive_connections,
            keepalive_expiry: pool.keepalive_expiry.0,
            connect_timeout: pool.connect_timeout.0,
            read_timeout: pool.read_timeout.0,
            write_timeout: pool.write_timeout.0,
            pool_timeout: pool.pool_timeout.0,
            enable_http2: pool.enable_http2,
            http2_prior_knowledge: pool.http2_prior_knowledge,
            max_waiters: pool.max_waiters,
            max_connection_age: pool.max_connection_age.map(|age| age.0),
            total_timeout: pool.total_timeout.map(|timeout| timeout.0),
            decompress: pool.decompress,
            max_response_bytes: pool.max_response_bytes.0,
            max_response_header_bytes: bytes(pool.max_response_header_bytes),
            max_concurrent_requests: pool.max_concurrent_requests,
            ..PoolConfig::default()
        }
    }
}

/// Why a pool cannot be set up as the configuration has it.
#[derive(Debug, thiserror::Error)]
pub enum PoolSettingsError {
    /// The proxy's URL is not one.
    #[error("the proxy {proxy}: {source}")]
    Proxy {
        /// The proxy, without user name and password.
        proxy: String,
        /// What is wrong with it.
        source: ProxyError,
    },
    /// A certificate or a key is not where the configuration says, or is none.
    #[error(transparent)]
    Tls(#[from] TlsError),
}

impl HttpPool {
    /// What a pool is made of. Reads the files of certificates and keys.
    ///
    /// # Errors
    /// If one of them is not what it should be, which is named.
    pub fn settings(&self) -> Result<PoolSettings, PoolSettingsError> {
        let roots = match &self.ca_file {
            Some(file) => Roots::Added(Certificates::from_pem_file(file)?),
            None => Roots::Shared,
        };
        let client_certificate = match (&self.client_cert, &self.client_key) {
            (Some(chain), Some(key)) => Some(ClientCertificate::from_pem_files(chain, key)?),
            _ => None,
        };
        Ok(PoolSettings {
            proxies: self.proxies()?,
            tls: TlsSettings {
                roots,
                client_certificate,
            },
            ..PoolSettings::from(PoolConfig::from(self))
        })
    }

    /// Which proxy the pool goes through.
    ///
    /// # Errors
    /// If the URL is not that of a proxy.
    pub fn proxies(&self) -> Result<Proxies, PoolSettingsError> {
        self.proxy
            .0
            .proxies(&self.no_proxy)
            .map_err(|source| PoolSettingsError::Proxy {
                proxy: self.proxy.0.to_string(),
                source,
            })
    }
}

/// One provider: a component, and what it is granted.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ProviderConfig {
    /// A bundled component's or a preset's name, or the path of a `.wasm` file. A preset's own name needs none.
    #[serde(default)]
    pub component: String,
    /// What becomes of WASI imports that are not lent.
    #[serde(default)]
    pub wasi: Wasi,
    /// Whether it may send its requests through `wasi:http`: by the same checks, to the same origins, on its pool. Its
    /// `api_key`, where it has one, goes with each as `Authorization: Bearer`.
    #[serde(default)]
    pub allow_wasi_http: bool,
    /// The component's own settings (see `weir inspect`).
    #[serde(default)]
    pub config: BTreeMap<String, SettingText>,
    /// The component's secrets by name: where each is kept, and where it may be sent.
    #[serde(default)]
    pub secrets: BTreeMap<String, ProviderSecret>,
    /// Overrides of `[http_pool]`.
    #[serde(default)]
    pub http_pool: HttpPool,
    /// Time-outs and limits of its operations, by name.
    #[serde(default)]
    pub operations: BTreeMap<String, OperationSettings>,
    /// Where its requests may go.
    #[serde(default)]
    pub egress: Egress,
    /// What it may use up.
    #[serde(default)]
    pub limits: Limits,
    /// What is done when it is slow, sparing or broken.
    #[serde(default)]
    pub resilience: Resilience,
}

impl ProviderConfig {
    /// What its pool is made of.
    ///
    /// # Errors
    /// As for [`HttpPool::settings`].
    pub fn pool_settings(&self) -> Result<PoolSettings, PoolSettingsError> {
        let mut settings = self.http_pool.settings()?;
        let base_url = self.config.get("base_url").map(|text| text.0.as_str());
        settings.config.load = self.resilience.load(base_url);
        let operations = self.operations.iter();
        settings.config.operations = operations
            .map(|(name, timeouts)| (name.clone(), timeouts.into()))
            .collect();
        Ok(settings)
    }

    /// What the provider takes in one call, where the component does not know it.
    pub fn call_limits(&self) -> BTreeMap<String, CallLimits> {
        let operations = self.operations.iter();
        operations
            .map(|(name, settings)| {
                let limits = CallLimits {
                    max_items: settings.max_items,
                    max_item_tokens: settings.max_item_tokens,
                    max_tokens: settings.max_tokens,
                };
                (name.clone(), limits)
            })
            .collect()
    }
}

/// What becomes of imports of WASI that a component may not use.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Wasi {
    /// The component is refused.
    #[default]
    Closed,
    /// Each is linked to a trap.
    Stub,
}

/// What differs for one operation: time-outs in seconds, where not the pool's, and what the provider takes in one call,
/// where it is not what the component says.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct OperationSettings {
    /// For name resolution, TCP and TLS together.
    #[serde(deserialize_with = "optional_timeout", skip_serializing_if = "Option::is_none")]
    pub connect_timeout: Option<Seconds>,
    /// To the first byte of the answer, and between two pieces of it.
    #[serde(deserialize_with = "optional_timeout", skip_serializing_if = "Option::is_none")]
    pub read_timeout: Option<Seconds>,
    /// Without progress while the request is written.
    #[serde(deserialize_with = "optional_timeout", skip_serializing_if = "Option::is_none")]
    pub write_timeout: Option<Seconds>,
    /// Until a connection is granted.
    #[serde(deserialize_with = "optional_timeout", skip_serializing_if = "Option::is_none")]
    pub pool_timeout: Option<Seconds>,
    /// From the request's start to its answer's last byte.
    #[serde(deserialize_with = "optional_timeout", skip_serializing_if = "Option::is_none")]
    pub total_timeout: Option<Seconds>,
    /// Inputs, documents or points in one call.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_items: Option<NonZeroU32>,
    /// Tokens in one of them.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_item_tokens: Option<NonZeroU32>,
    /// Tokens in all of one call.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_tokens: Option<NonZeroU32>,
}

impl From<&OperationSettings> for weir_pool::Timeouts {
    fn from(timeouts: &OperationSettings) -> Self {
        let duration = |seconds: Option<Seconds>| -> Option<Duration> { seconds.map(|seconds| seconds.0) };
        weir_pool::Timeouts {
            pool: duration(timeouts.pool_timeout),
            connect: duration(timeouts.connect_timeout),
            write: duration(timeouts.write_timeout),
            first_byte: duration(timeouts.read_timeout),
            read: duration(timeouts.read_timeout),
            total: duration(timeouts.total_timeout),
        }
    }
}

/// Where a provider's requests may go.
#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Egress {
    /// Origins such as `https://api.example.com`. Where not given: those the component asks for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub allow: Option<Vec<Parsed<Origin>>>,
    /// Networks that are otherwise refused: loopback, private, link-local.
    pub allow_private: Vec<Parsed<Network>>,
}

/// What a provider may use up.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Limits {
    /// Memory of one instance.
    pub memory: ByteSize,
    /// Processor time of one call, in seconds.
    #[serde(deserialize_with = "timeout")]
    pub cpu_time: Seconds,
    /// Wall time of one call, in seconds.
    #[serde(deserialize_with = "timeout")]
    pub call_timeout: Seconds,
    /// Instances at once, so calls at once.
    pub max_instances: NonZeroUsize,
    /// Calls after which an instance is replaced.
    pub max_calls: NonZeroUsize,
    /// What happens to an instance after a call.
    pub isolation: Isolation,
    /// Live handles of one instance: streams, futures, resources, tasks.
    pub max_handles: NonZeroUsize,
    /// Log lines, all instances together: bytes a second, after as many at once. What is over is dropped.
    pub log_bytes_per_second: ByteSize,
    /// What a stateful component keeps: keys and values.
    pub storage: ByteSize,
    /// Longest body of a request.
    pub max_request_bytes: ByteSize,
    /// Requests of one call in flight at once.
    pub max_concurrent_requests: NonZeroUsize,
}

/// What happens to an instance after a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Isolation {
    /// It is kept for another call.
    #[default]
    Reuse,
    /// It is dropped.
    Call,
    /// It is kept for good, the only one, and has a file to keep its data in.
    Resident,
}

impl Default for Limits {
    fn default() -> Self {
        let limits = weir_runtime::Limits::default();
        let number = |number: u64| NonZeroUsize::new(usize::try_from(number).unwrap_or(usize::MAX));
        Limits {
            memory: ByteSize(limits.memory as u64),
            cpu_time: Seconds(limits.cpu_time),
            call_timeout: Seconds(limits.call_timeout),
            max_instances: NonZeroUsize::new(limits.max_instances).unwrap_or(NonZeroUsize::MIN),
            max_calls: number(limits.max_calls).unwrap_or(NonZeroUsize::MIN),
            isolation: Isolation::default(),
            max_handles: NonZeroUsize::new(limits.max_handles).unwrap_or(NonZeroUsize::MIN),
            log_bytes_per_second: ByteSize(limits.log_bytes_per_second as u64),
            storage: ByteSize(limits.storage),
            max_request_bytes: ByteSize(limits.max_request_bytes as u64),
            max_concurrent_requests: NonZeroUsize::new(limits.max_concurrent_requests).unwrap_or(NonZeroUsize::MIN),
        }
    }
}

impl From<&Limits> for weir_runtime::Limits {
    fn from(limits: &Limits) -> Self {
        weir_runtime::Limits {
            memory: bytes(limits.memory),
            cpu_time: limits.cpu_time.0,
            call_timeout: limits.call_timeout.0,
            max_instances: limits.max_instances.get(),
            max_calls: limits.max_calls.get() as u64,
            isolation: match limits.isolation {
                Isolation::Reuse => weir_runtime::Isolation::Reuse,
                Isolation::Call => weir_runtime::Isolation::Call,
                Isolation::Resident => weir_runtime::Isolation::Resident,
            },
            max_handles: limits.max_handles.get(),
            log_bytes_per_second: bytes(limits.log_bytes_per_second),
            storage: limits.storage.0,
            max_request_bytes: bytes(limits.max_request_bytes),
            max_concurrent_requests: limits.max_concurrent_requests.get(),
        }
    }
}

/// What a plain model name means: providers to try in turn, each `PROVIDER` or `PROVIDER/MODEL`.
#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Routes {
    /// For embeddings.
    pub embeddings: BTreeMap<String, Vec<String>>,
    /// For reranking.
    pub rerank: BTreeMap<String, Vec<String>>,
    /// For conversations.
    pub chat: BTreeMap<String, Vec<String>>,
    /// For searching the web.
    pub web_search: BTreeMap<String, Vec<String>>,
}

impl Routes {
    /// Every route: its table's name, its own, and its targets.
    pub fn all(&self) -> impl Iterator<Item = (&'static str, &str, &[String])> {
        [
            ("embeddings", &self.embeddings),
            ("rerank", &self.rerank),
            ("chat", &self.chat),
            ("web_search", &self.web_search),
        ]
        .into_iter()
        .flat_map(|(table, routes)| {
            routes
                .iter()
                .map(move |(name, targets)| (table, name.as_str(), targets.as_slice()))
        })
    }
}

/// What `weir index` and `weir search` use, by the providers' names.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Index {
    /// Makes the dense vectors.
    pub embedding: String,
    /// Makes the sparse vectors; `none` for dense ones alone.
    #[serde(deserialize_with = "name_or_none")]
    pub sparse_embedding: Option<String>,
    /// Keeps the vectors.
    pub store: String,
    /// Puts the hits in order; `none` leaves them in the store's.
    #[serde(deserialize_with = "name_or_none", skip_serializing_if = "Option::is_none")]
    pub rerank: Option<String>,
    /// The collection. Where not given, it is named after the indexed folder.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub collection: Option<String>,
}

impl Default for Index {
    fn default() -> Self {
        Index {
            embedding: "local".to_owned(),
            sparse_embedding: Some("local".to_owned()),
            store: "memory".to_owned(),
            rerank: None,
            collection: None,
        }
    }
}

fn name_or_none<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Option<String>, D::Error> {
    let name = String::deserialize(deserializer)?;
    Ok(Some(name).filter(|name| name != "none"))
}

fn bytes(size: ByteSize) -> usize {
    usize::try_from(size.0).unwrap_or(usize::MAX)
}
