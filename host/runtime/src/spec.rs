//! What an operator grants to one provider.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::num::NonZeroU32;
use std::path::PathBuf;
use std::time::Duration;

use ipnet::IpNet;
use secrecy::SecretString;
use weir_pool::PoolSettings;

use crate::bindings::v0_1_0::metadata::OperationLimits;
use crate::component::inspect::WasiGrant;
use crate::origin::Origin;

/// A component, and all it is given.
#[derive(Debug)]
pub struct ProviderSpec {
    /// The provider's name; its pool's too.
    pub name: String,
    /// The component's bytes.
    pub component: Cow<'static, [u8]>,
    /// What it may import of WASI beyond the closed set.
    pub wasi: WasiGrant,
    /// Settings that are no secrets, as the component reads them.
    pub config: BTreeMap<String, String>,
    /// Secrets by name. The component can name them and never read them.
    pub secrets: BTreeMap<String, SecretGrant>,
    /// The pool that carries its requests. Which addresses it may dial follows from `egress`, and the component can
    /// shorten its time-outs and never lengthen them, whatever is said here.
    pub pool: PoolSettings,
    /// Where its requests may go.
    pub egress: EgressGrant,
    /// What it may use up.
    pub limits: Limits,
    /// What the provider takes in one call, by operation, where that is other than the component says.
    pub call_limits: BTreeMap<String, CallLimits>,
    /// The file a stateful provider keeps its data in. None grants no storage.
    pub storage: Option<PathBuf>,
}

/// What a provider takes in one call of an operation. What is none is as the component's manifest has it.
#[derive(Debug, Clone, Copy, Default)]
pub struct CallLimits {
    /// Inputs, documents or points.
    pub max_items: Option<NonZeroU32>,
    /// Tokens in one of them.
    pub max_item_tokens: Option<NonZeroU32>,
    /// Tokens in all of them.
    pub max_tokens: Option<NonZeroU32>,
}

impl CallLimits {
    /// Takes the place of what a manifest says of an operation.
    pub(crate) fn replace(self, said: &mut Vec<OperationLimits>, operation: &str) {
        let place = said.iter().position(|limits| limits.operation == operation);
        let mut limits = match place {
            Some(place) => said.swap_remove(place),
            None => OperationLimits {
                operation: operation.to_owned(),
                max_items: None,
                max_item_tokens: None,
                max_tokens: None,
            },
        };
        limits.max_items = self.max_items.map(NonZeroU32::get).or(limits.max_items);
        limits.max_item_tokens = self.max_item_tokens.map(NonZeroU32::get).or(limits.max_item_tokens);
        limits.max_tokens = self.max_tokens.map(NonZeroU32::get).or(limits.max_tokens);
        said.push(limits);
    }
}

/// A secret, and where it may be sent.
#[derive(Debug, Clone)]
pub struct SecretGrant {
    /// The secret itself.
    pub value: SecretString,
    /// Origins, each of them among the provider's. None means all of the provider's.
    pub origins: Option<Vec<Origin>>,
}

/// One that may go to all of the provider's origins.
impl<S: Into<SecretString>> From<S> for SecretGrant {
    fn from(value: S) -> Self {
        SecretGrant {
            value: value.into(),
            origins: None,
        }
    }
}

/// Where a provider's requests may go.
#[derive(Debug, Clone, Default)]
pub struct EgressGrant {
    /// Origins. None grants those of the settings the operator gave (`base_url`), and what `trust_manifest` says.
    pub allow: Option<Vec<Origin>>,
    /// Whether to grant what the manifest asks for by itself, where `allow` is none: for components one vouches for.
    /// Any other could send the secrets it was granted wherever its author likes.
    pub trust_manifest: bool,
    /// Networks that are otherwise refused (private, loopback, link-local, …).
    pub allow_private: Vec<IpNet>,
}

/// What happens to an instance after its call.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Isolation {
    /// Kept for another call.
    #[default]
    Reuse,
    /// Dropped: every call gets a fresh one.
    Call,
    /// Kept for good; there is but one.
    Resident,
}

/// What a provider's component may use up.
#[derive(Debug, Clone, PartialEq)]
pub struct Limits {
    /// Linear memory of one instance, in bytes.
    pub memory: usize,
    /// Processor time of one call.
    pub cpu_time: Duration,
    /// Wall time of one call, waiting for an instance included.
    pub call_timeout: Duration,
    /// Instances at once, so calls at once.
    pub max_instances: usize,
    /// Calls after which an instance is replaced.
    pub max_calls: u64,
    /// What happens to an instance after its call.
    pub isolation: Isolation,
    /// Live handles of one instance: streams, futures, resources, tasks.
    pub max_handles: usize,
    /// Bytes a second of log lines, all instances together, after as many at once. What is over is dropped.
    pub log_bytes_per_second: usize,
    /// Bytes of the keys and values a stateful provider keeps.
    pub storage: u64,
    /// Bytes of one HTTP request's body.
    pub max_request_bytes: usize,
    /// HTTP requests of one call in flight at once.
    pub max_concurrent_requests: usize,
}

/// Room for what goes with the largest request in one call of a lent function: its headers, its URL.
const HOST_CALL_ROOM: usize = 16 << 20;

/// Bytes that a component may hand over in one call of a lent function.
pub(crate) fn host_call_bytes(limits: &Limits) -> usize {
    limits.max_request_bytes.saturating_add(HOST_CALL_ROOM)
}

impl Default for Limits {
    fn default() -> Self {
        Limits {
            memory: 64 << 20,
            cpu_time: Duration::from_secs(2),
            call_timeout: Duration::from_secs(120),
            max_instances: 64,
            max_calls: 10_000,
            isolation: Isolation::default(),
            // A call of the bundled adapters holds fewer than ten.
            max_handles: 10_000,
            // Some hundred lines a second.
            log_bytes_per_second: 64 << 10,
            storage: 1 << 30,
            // Qdrant's limit, the largest among the bundled providers.
            max_request_bytes: 32 << 20,
            max_concurrent_requests: 32,
        }
    }
}
