//! The host of another configuration, made ready beside the one that serves.
//!
//! All that can fail is done first: components are admitted, compiled and asked what they want, secrets and certificates
//! are read, before the first provider is replaced. A provider whose settings are the same is the same: its instances,
//! its pool and its storage go on. Calls under way end where they began.

use std::collections::BTreeMap;
use std::sync::{Arc, PoisonError};

use weir_runtime::Successor;

use super::inputs::Inputs;
use super::slot::{Alone, Slot};
use super::{Host, HostError};
use crate::config::changes::Changes;
use crate::config::{EffectiveConfig, ProviderConfig};

/// A host that does not serve yet. Dropping it leaves the one before as it was.
pub struct NextHost {
    host: Arc<Host>,
    changes: Changes,
    replaced: Vec<(Arc<Slot>, Successor, Inputs)>,
    /// The pools of providers that are not there any more.
    pools: Vec<String>,
    /// Nothing is loaded by the old settings meanwhile.
    alone: Vec<Alone>,
}

/// What becomes of a provider.
enum Step {
    /// It stays, whether it is loaded or not.
    Keep(Arc<Slot>),
    /// It is loaded by its first call.
    Load(Option<Alone>),
    Replace(Alone, Box<Successor>, Inputs),
}

impl Host {
    /// Makes a host of another configuration ready. `changes` are between the settings of both.
    ///
    /// # Errors
    /// The first provider that can't be what the configuration wants, of those that are to be another. One that nobody
    /// has asked for yet is loaded by its first call: of it, what is read for that is looked at.
    pub async fn next(&self, config: EffectiveConfig, mut changes: Changes) -> Result<NextHost, HostError> {
        let mut next = Host {
            config,
            runtime: self.runtime.clone(),
            providers: BTreeMap::new(),
            newest: self.newest.clone(),
        };
        let steps = next.config().providers.iter().map(|(name, config)| {
            let (next, changes) = (&next, &changes);
            async move { Ok::<_, HostError>((name.clone(), self.step(next, name, config, changes).await?)) }
        });
        let steps = futures::future::try_join_all(steps).await?;
        let (mut replaced, mut alone, mut pools) = (Vec::new(), Vec::new(), Vec::new());
        for (name, step) in steps {
            let slot = match step {
                Step::Keep(slot) => slot,
                Step::Load(guard) => {
                    alone.extend(guard);
                    Arc::default()
                }
                Step::Replace(guard, successor, inputs) => {
                    alone.push(guard);
                    let Some(old) = self.providers.get(&name) else { continue };
                    for key in old.inputs().differences(&inputs) {
                        changes.provider(&name, key);
                    }
                    let slot = Arc::new(old.after(successor.predecessor().clone(), inputs.clone()));
                    replaced.push((slot.clone(), *successor, inputs));
                    slot
                }
            };
            next.providers.insert(name, slot);
        }
        for slot in changes.removed.iter().filter_map(|name| self.providers.get(name)) {
            alone.push(slot.alone().await);
            let removed = slot.serving();
            pools.extend(removed.and_then(|provider| Some(provider.pool()?.name().to_owned())));
        }
        Ok(NextHost {
            host: Arc::new(next),
            changes,
            replaced,
            pools,
            alone,
        })
    }

    async fn step(
        &self,
        next: &Host,
        name: &str,
        config: &ProviderConfig,
        changes: &Changes,
    ) -> Result<Step, HostError> {
        let read = || Inputs::read(name, config, &next.config.environment);
        let Some(slot) = self.providers.get(name) else {
            next.check(name, config).await?;
            return Ok(Step::Load(None));
        };
        let is_another = changes.providers.contains_key(name);
        if !is_another && slot.serving().is_none() {
            return Ok(Step::Keep(slot.clone()));
        }
        // Before it is had alone: a resident that waits for a call keeps nothing else waiting.
        if !is_another && slot.inputs() == read()? {
            return Ok(Step::Keep(slot.clone()));
        }
        let alone = slot.alone().await;
        let Some(old) = slot.serving() else {
            next.check(name, config).await?;
            return Ok(Step::Load(Some(alone)));
        };
        let inputs = read()?;
        if !is_another && slot.inputs() == inputs {
            return Ok(Step::Keep(slot.clone()));
        }
        let component = next.component(name).await?;
        let successor = next.load_after(name, config, component, &old).await?;
        Ok(Step::Replace(alone, Box::new(successor), inputs))
    }

    /// What can be told of a provider before it is loaded.
    async fn check(&self, name: &str, config: &ProviderConfig) -> Result<(), HostError> {
        Inputs::read(name, config, &self.config.environment)?;
        let settings = config.pool_settings();
        settings.map_err(|source| HostError::PoolSettings {
            provider: name.to_owned(),
            source,
        })?;
        self.component(name).await.map(drop)
    }
}

impl NextHost {
    /// The host, to look at before it serves.
    pub fn host(&self) -> &Arc<Host> {
        &self.host
    }

    /// What is another in it, what was read outside the configuration included.
    pub fn changes(&self) -> &Changes {
        &self.changes
    }

    /// Takes the place of the host before: `publish` hands it to the callers. Providers that keep state serve as they were
    /// until their calls under way have ended, which nobody waits for: they may take long, and the next configuration may
    /// be there to take something away.
    pub async fn take_over(self, publish: impl FnOnce(Arc<Host>)) {
        let mut residents = Vec::new();
        for (slot, successor, inputs) in self.replaced {
            if successor.waits() {
                let alone = slot.alone().await;
                residents.push(async move {
                    slot.serve(successor.take_over().await, inputs);
                    drop(alone);
                });
            } else {
                slot.serve(successor.take_over().await, inputs);
            }
        }
        *self.host.newest.lock().unwrap_or_else(PoisonError::into_inner) = Arc::downgrade(&self.host);
        publish(self.host.clone());
        for pool in self.pools {
            self.host.runtime.pools().release(&pool);
        }
        drop(self.alone);
        residents.into_iter().for_each(|resident| drop(tokio::spawn(resident)));
    }
}
