//! The runtime: an engine, a compile cache and the pools; and how a component becomes a provider.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::pin::pin;
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Duration;

use opentelemetry::metrics::Meter;
use tokio::time::timeout;
use wasmtime::Engine;
use wasmtime::component::{Component, Linker};
use weir_pool::{CallerTimeouts, PoolManager, PreparedPool};

use crate::bindings::v0_1_0::metadata::{self, Manifest};
use crate::component::cache::CompileCache;
use crate::component::compiler::{COMPILE_TIMEOUT, Compiler};
use crate::component::inspect::{Inspection, WasiGrant, inspect};
use crate::component::{
    engine::engine,
    image,
    linker::{linker, with_wasi_http},
    traps,
};
use crate::error::{LoadError, RuntimeError};
use crate::instance::cpu::metered;
use crate::instance::guest::Guest;
use crate::instance::lease::Instances;
use crate::instance::log::LogBudget;
use crate::instance::state::{Grants, InstanceState};
use crate::lend::address::AddressGrant;
use crate::lend::credential::Secrets;
use crate::lend::egress::Egress;
use crate::lend::http::LentHttp;
use crate::lend::redact::Redactor;
use crate::lend::wasi_http;
use crate::origin::Origin;
use crate::provider::gen_ai::GenAi;
use crate::provider::{Inner, Provider};
use crate::spec::{EgressGrant, Isolation, Limits, ProviderSpec, host_call_bytes};
use crate::storage::Storage;
use crate::succession::Successor;

/// How long describing may take: there is nothing to wait for.
const DESCRIBE_TIMEOUT: Duration = Duration::from_secs(5);

/// What a runtime is made of.
#[derive(Debug, Clone)]
pub struct RuntimeOptions {
    /// Where compiled components are kept between starts; none compiles them at every start.
    pub cache_dir: Option<PathBuf>,
    /// The pools that are lent.
    pub pools: PoolManager,
}

/// Loads components and holds what they share. Cheap to clone; one a process.
#[derive(Clone)]
pub struct Runtime {
    engine: Engine,
    linker: Arc<Linker<InstanceState>>,
    second_door: Arc<Linker<InstanceState>>,
    cache: Option<Arc<CompileCache>>,
    compiler: Compiler,
    pools: PoolManager,
    /// Those in use. A pool is the same for the same filter alone, so the one it was made with is used again.
    filters: Arc<Mutex<Vec<Weak<AddressGrant>>>>,
    gen_ai: Option<Arc<GenAi>>,
}

impl Runtime {
    /// Starts the engine.
    ///
    /// # Errors
    /// Where the machine refuses the address space for instances, or the cache's folder can't be used.
    pub fn new(options: RuntimeOptions) -> Result<Runtime, RuntimeError> {
        let engine = engine()?;
        let unlinked = |error: wasmtime::Error| RuntimeError::Engine(format!("{error:#}"));
        let linker = linker(&engine).map_err(unlinked)?;
        let second_door = with_wasi_http(&linker).map_err(unlinked)?;
        let cache = options.cache_dir.as_deref().map(CompileCache::open).transpose()?;
        Ok(Runtime {
            engine,
            linker: Arc::new(linker),
            second_door: Arc::new(second_door),
            cache: cache.map(Arc::new),
            compiler: Compiler::new(),
            pools: options.pools,
            filters: Arc::default(),
            gen_ai: None,
        })
    }

    /// Measures the calls to models of every provider that is loaded from now on.
    #[must_use]
    pub fn measured_by(mut self, meter: &Meter) -> Runtime {
        self.gen_ai = Some(Arc::new(GenAi::new(meter)));
        self
    }

    /// The pools that are lent.
    pub fn pools(&self) -> &PoolManager {
        &self.pools
    }

    /// Reads what a component exports and imports, and whether it would be admitted. Runs nothing.
    pub fn inspect(&self, bytes: &[u8], wasi: impl Into<WasiGrant>) -> Inspection {
        inspect(bytes, wasi)
    }

    /// What a component says of itself, from an instance that can reach nothing. The name is for errors.
    ///
    /// # Errors
    /// Where it is not admitted, does not compile, or fails to answer within a few seconds.
    pub async fn describe(&self, name: &str, bytes: &[u8], wasi: impl Into<WasiGrant>) -> Result<Manifest, LoadError> {
        let (_, guest) = self.prepare(name, bytes, wasi.into()).await?;
        self.ask(name, &guest, Limits::default().memory).await
    }

    /// Admits a component, compiles it, asks it what it wants and gives it what it was granted.
    ///
    /// # Errors
    /// One that names the provider and what is missing or wrong.
    pub async fn load(&self, spec: ProviderSpec) -> Result<Provider, LoadError> {
        let (provider, _) = self.load_after(spec, Beside::Nothing).await?;
        provider.tell_loaded();
        Ok(provider)
    }

    /// As [`Self::load`], for calls that began when there was such a provider, and is none any more: nobody finds its pool
    /// by its name.
    ///
    /// # Errors
    /// As [`Self::load`].
    pub async fn load_unnamed(&self, spec: ProviderSpec) -> Result<Provider, LoadError> {
        let (provider, _) = self.load_after(spec, Beside::Others).await?;
        provider.tell_loaded();
        Ok(provider)
    }

    /// Loads a component that takes the place of `old`, with its pool, its counts and its open storage. `old` serves
    /// on, for those who hold it, except where it is resident: then its call under way is waited for, its instance
    /// dropped, and its later calls are run by the new one.
    ///
    /// # Errors
    /// As [`Self::load`]. `old` is as it was.
    pub async fn replace(&self, spec: ProviderSpec, old: &Provider) -> Result<Provider, LoadError> {
        Ok(self.successor(spec, old).await?.take_over().await)
    }

    /// As [`Self::replace`], as far as it can fail: nothing has changed before [`Successor::take_over`].
    ///
    /// # Errors
    /// As [`Self::load`].
    pub async fn successor(&self, spec: ProviderSpec, old: &Provider) -> Result<Successor, LoadError> {
        let (new, pool) = self.load_after(spec, Beside::Old(&old.inner)).await?;
        Ok(Successor {
            new,
            old: old.clone(),
            pool,
            pools: self.pools.clone(),
        })
    }

    /// The pool is to be installed if it is for a successor.
    async fn load_after(
        &self,
        spec: ProviderSpec,
        beside: Beside<'_>,
    ) -> Result<(Provider, Option<PreparedPool>), LoadError> {
        let old = match beside {
            Beside::Old(old) => Some(old),
            Beside::Nothing | Beside::Others => None,
        };
        let (inspection, guest) = self.prepare(&spec.name, &spec.component, spec.wasi).await?;
        let mut manifest = self.ask(&spec.name, &guest, spec.limits.memory).await?;
        for (operation, limits) in &spec.call_limits {
            limits.replace(&mut manifest.limits, operation);
        }
        check_settings(&spec, &manifest)?;
        check_secrets(&spec, &manifest)?;
        let storage = open_storage(&spec, &manifest, old).await?;
        let (http, pool) = if inspection.uses_pooled_http {
            let (http, pool) = self.lend_http(&spec, &manifest, beside)?;
            (Some(Arc::new(http)), pool)
        } else {
            (None, None)
        };
        let mut limits = spec.limits;
        if inspection.uses_wasi_http {
            limits.max_handles = limits.max_handles.min(wasi_http::MAX_HANDLES);
        }
        if manifest.stateful {
            limits.isolation = Isolation::Resident;
        }
        let name: Arc<str> = spec.name.into();
        let grants = Grants {
            config: spec.config,
            memory: limits.memory,
            handles: limits.max_handles,
            log: Arc::new(LogBudget::new(name.clone(), limits.log_bytes_per_second)),
            host_call_bytes: host_call_bytes(&limits),
            http: http.clone(),
            storage,
        };
        let instances = Arc::new(Instances::new(guest, grants, &limits, old.map(|old| &*old.instances)));
        instances.start_reaper();
        let provider = Provider {
            inner: Arc::new(Inner {
                name,
                digest: inspection.digest,
                manifest,
                capabilities: inspection.capabilities,
                http,
                instances,
                limits,
                counters: old.map(|old| old.counters.clone()).unwrap_or_default(),
                gen_ai: self.gen_ai.clone(),
            }),
        };
        Ok((provider, pool))
    }

    /// Inspects, compiles and links.
    async fn prepare(&self, provider: &str, bytes: &[u8], wasi: WasiGrant) -> Result<(Inspection, Guest), LoadError> {
        let inspection = inspect(bytes, wasi);
        if !inspection.admitted() {
            return Err(LoadError::NotAdmitted {
                provider: provider.to_owned(),
                reasons: inspection.reasons,
            });
        }
        let compile_error = |reason: String| LoadError::Compile {
            provider: provider.to_owned(),
            reason,
        };
        let component = self
            .compile(inspection.digest.clone(), bytes.to_vec())
            .await
            .map_err(|error| compile_error(format!("{error:#}")))?;
        let guest = self
            .link(&component, &inspection)
            .map_err(|error| compile_error(format!("{error:#}")))?;
        Ok((inspection, guest))
    }

    /// Compiling takes a processor for a while: it is done beside the runtime's workers.
    async fn compile(&self, digest: String, bytes: Vec<u8>) -> wasmtime::Result<Component> {
        let (engine, cache) = (self.engine.clone(), self.cache.clone());
        let compile = move || {
            let component = match cache {
                Some(cache) => cache.load_or_compile(&engine, &digest, &bytes)?,
                None => Component::new(&engine, &bytes)?,
            };
            image::prepare(&component)?;
            Ok(component)
        };
        self.compiler.run(COMPILE_TIMEOUT, compile).await
    }

    fn link(&self, component: &Component, inspection: &Inspection) -> wasmtime::Result<Guest> {
        let linker = if inspection.uses_wasi_http {
            &self.second_door
        } else {
            &self.linker
        };
        if inspection.stubbed.is_empty() {
            return Guest::new(linker, component, &inspection.capabilities);
        }
        let mut linker = Linker::clone(linker);
        traps::define(&mut linker, component, &inspection.stubbed)?;
        Guest::new(&linker, component, &inspection.capabilities)
    }

    /// Asks a component for its manifest. The instance holds no settings, no HTTP and no storage.
    async fn ask(&self, provider: &str, guest: &Guest, memory: usize) -> Result<Manifest, LoadError> {
        let failed = |reason: String| LoadError::Describe {
            provider: provider.to_owned(),
            reason,
        };
        let grants = Grants {
            config: BTreeMap::new(),
            memory,
            handles: wasi_http::MAX_HANDLES,
            log: Arc::new(LogBudget::new(provider.into(), Limits::default().log_bytes_per_second)),
            host_call_bytes: host_call_bytes(&Limits::default()),
            http: None,
            storage: None,
        };
        let describing = pin!(guest.describe(&grants));
        match timeout(DESCRIBE_TIMEOUT, metered(Limits::default().cpu_time, describing)).await {
            Ok(Ok(Ok(manifest))) => Ok(manifest),
            Ok(Ok(Err(error))) => Err(failed(format!("{error:#}"))),
            Ok(Err(_)) => Err(failed("it computed for too long".to_owned())),
            Err(_) => Err(failed(format!("it took longer than {DESCRIBE_TIMEOUT:?}"))),
        }
    }

    fn lend_http(
        &self,
        spec: &ProviderSpec,
        manifest: &Manifest,
        beside: Beside<'_>,
    ) -> Result<(LentHttp, Option<PreparedPool>), LoadError> {
        let origins = effective_origins(&spec.name, &spec.config, &spec.egress, manifest)?;
        check_secret_origins(spec, &origins)?;
        let mut settings = spec.pool.clone();
        settings.address_filter = Some(self.address_filter(spec));
        settings.config.caller_timeouts = CallerTimeouts::Shorten;
        let had = match beside {
            Beside::Nothing => self
                .pools
                .pool_or_unpooled(&spec.name, settings)
                .map(|pool| (pool, None)),
            Beside::Others | Beside::Old(_) => self
                .pools
                .prepare(&spec.name, settings)
                .map(|prepared| (prepared.pool().clone(), Some(prepared))),
        };
        let (pool, prepared) = had.map_err(|source| LoadError::Pool {
            provider: spec.name.clone(),
            source,
        })?;
        let denied = match beside {
            Beside::Old(old) => old.http.as_ref().map(|http| http.denied.clone()),
            Beside::Nothing | Beside::Others => None,
        };
        let lent = LentHttp {
            provider: spec.name.as_str().into(),
            pool,
            egress: Egress::new(origins),
            redactor: Redactor::new(spec.secrets.values().map(|secret| &secret.value)),
            secrets: Secrets::new(spec.secrets.clone()),
            max_request_bytes: spec.limits.max_request_bytes,
            denied: denied.unwrap_or_default(),
        };
        Ok((lent, prepared))
    }

    fn address_filter(&self, spec: &ProviderSpec) -> Arc<AddressGrant> {
        let mut filters = self.filters.lock().unwrap_or_else(PoisonError::into_inner);
        filters.retain(|filter| filter.strong_count() > 0);
        let mut in_use = filters.iter().filter_map(Weak::upgrade);
        if let Some(filter) = in_use.find(|filter| filter.allows(&spec.egress.allow_private)) {
            return filter;
        }
        let filter = Arc::new(AddressGrant::new(spec.egress.allow_private.clone()));
        filters.push(Arc::downgrade(&filter));
        filter
    }
}

/// What a component is loaded beside.
#[derive(Clone, Copy)]
enum Beside<'a> {
    Nothing,
    /// Whoever has its name now.
    Others,
    /// The provider whose place it is to take.
    Old(&'a Inner),
}

/// Allowed is what the manifest asks for and the operator grants: by `egress.allow`, or by the settings he gave
/// (`base_url`), or by trusting the manifest.
pub(crate) fn effective_origins(
    provider: &str,
    config: &BTreeMap<String, String>,
    egress: &EgressGrant,
    manifest: &Manifest,
) -> Result<Vec<Origin>, LoadError> {
    let mut asked = Vec::new();
    let mut granted = Vec::new();
    for origin in &manifest.origins {
        let (text, given) = match origin {
            metadata::Origin::Fixed(text) => (Some(text.as_str()), false),
            metadata::Origin::OfSetting(name) => match config.get(name) {
                Some(value) => (Some(value.as_str()), true),
                None => (default_of(manifest, name), false),
            },
        };
        let Some(text) = text else { continue };
        let origin: Origin = text.parse().map_err(|source| LoadError::Origin {
            provider: provider.to_owned(),
            source,
        })?;
        let grant = match &egress.allow {
            Some(allow) => allow.contains(&origin),
            None => given || egress.trust_manifest,
        };
        asked.push(format!("\"{origin}\""));
        granted.extend(grant.then_some(origin));
    }
    if granted.is_empty() && !asked.is_empty() {
        return Err(LoadError::NoEgress {
            provider: provider.to_owned(),
            asked: asked.join(", "),
        });
    }
    Ok(granted)
}

fn default_of<'a>(manifest: &'a Manifest, setting: &str) -> Option<&'a str> {
    let known = manifest.settings.iter().find(|known| known.name == setting)?;
    known.default.as_deref()
}

fn check_settings(spec: &ProviderSpec, manifest: &Manifest) -> Result<(), LoadError> {
    let known = |key: &String| manifest.settings.iter().any(|setting| setting.name == *key);
    match spec.config.keys().find(|key| !known(key)) {
        None => Ok(()),
        Some(setting) => {
            let names: Vec<&str> = manifest.settings.iter().map(|setting| setting.name.as_str()).collect();
            Err(LoadError::UnknownSetting {
                provider: spec.name.clone(),
                setting: setting.clone(),
                known: if names.is_empty() {
                    "none".to_owned()
                } else {
                    names.join(", ")
                },
            })
        }
    }
}

fn check_secrets(spec: &ProviderSpec, manifest: &Manifest) -> Result<(), LoadError> {
    match manifest
        .secrets
        .iter()
        .find(|secret| secret.required && !spec.secrets.contains_key(&secret.name))
    {
        None => Ok(()),
        Some(secret) => Err(LoadError::MissingSecret {
            provider: spec.name.clone(),
            secret: secret.name.clone(),
            description: secret.description.clone(),
        }),
    }
}

/// A secret bound to a place where it can't be sent is more likely a mistake than a wish.
fn check_secret_origins(spec: &ProviderSpec, granted: &[Origin]) -> Result<(), LoadError> {
    for (name, secret) in &spec.secrets {
        let mut bound = secret.origins.iter().flatten();
        if let Some(origin) = bound.find(|origin| !granted.contains(origin)) {
            let granted: Vec<String> = granted.iter().map(Origin::to_string).collect();
            return Err(LoadError::SecretOrigin {
                provider: spec.name.clone(),
                secret: name.clone(),
                origin: origin.clone(),
                granted: granted.join(", "),
            });
        }
    }
    Ok(())
}

/// The file can be opened once: a component that takes another's place shares what that one has open.
async fn open_storage(
    spec: &ProviderSpec,
    manifest: &Manifest,
    old: Option<&Inner>,
) -> Result<Option<Storage>, LoadError> {
    if !manifest.stateful {
        return Ok(None);
    }
    let file = spec.storage.clone().ok_or_else(|| LoadError::NoStorage {
        provider: spec.name.clone(),
    })?;
    if let Some(open) = old.and_then(|old| old.instances.grants().storage.as_ref()) {
        return Ok(Some(open.within(spec.limits.storage)));
    }
    let failed = |reason: String| LoadError::Storage {
        provider: spec.name.clone(),
        file: file.clone(),
        reason,
    };
    let (path, quota) = (file.clone(), spec.limits.storage);
    tokio::task::spawn_blocking(move || Storage::open(&path, quota))
        .await
        .map_err(|error| failed(error.to_string()))?
        .map_err(failed)
        .map(Some)
}
