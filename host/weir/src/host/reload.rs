//! Components that are replaced while they serve.
//!
//! The new one is admitted, compiled and asked what it wants beside the old one, and takes its place only then. Calls
//! under way end on the old one. One that is no good leaves the old one serving.

use weir_runtime::Provider;

use super::inputs::Inputs;
use super::slot::Slot;
use super::{Host, HostError};
use crate::config::{ComponentSource, ProviderConfig};

/// Which components are looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Look {
    /// Those that are not known to be no good.
    ForChanges,
    /// Also the ones that were refused: what they lacked may be there now.
    Again,
}

impl Host {
    /// Replaces every loaded component whose file holds another one. What became of it is logged, counted
    /// ([`Self::reloads`]) and, where it was refused, told ([`Self::failures`]).
    pub async fn reload_components(&self, look: Look) {
        let reloads = self
            .of_files()
            .map(|(name, slot, config)| self.reload(name, slot, config, look));
        futures::future::join_all(reloads).await;
    }

    /// The providers whose component is a file.
    fn of_files(&self) -> impl Iterator<Item = (&str, &Slot, &ProviderConfig)> {
        let providers = self.config().providers.iter();
        let from_file =
            |config: &ProviderConfig| matches!(ComponentSource::of(&config.component), ComponentSource::File(_));
        providers
            .filter(move |(_, config)| from_file(config))
            .filter_map(|(name, config)| {
                let slot = self.providers.get(name)?;
                Some((name.as_str(), &**slot, config))
            })
    }

    async fn reload(&self, name: &str, slot: &Slot, config: &ProviderConfig, look: Look) {
        let digest_of = |component: &[u8]| self.runtime().inspect(component, super::wasi_grant(config)).digest;
        // Before it is had alone, which a resident may be for as long as a call takes.
        if let Some(old) = slot.serving()
            && let Ok(component) = self.component(name).await
            && digest_of(&component) == old.digest()
        {
            return slot.is_current();
        }
        let _alone = slot.alone().await;
        // Its first call loads what is there then.
        let Some(old) = slot.serving() else { return };
        let component = match self.component(name).await {
            Ok(component) => component,
            Err(error) => return refuse(slot, &old, None, &error),
        };
        let digest = digest_of(&component);
        if digest == old.digest() {
            return slot.is_current();
        }
        if look == Look::ForChanges && slot.has_refused(&digest) {
            return;
        }
        let replaced = async {
            let inputs = Inputs::read(name, config, &self.config.environment)?;
            let successor = self.load_after(name, config, component, &old).await?;
            Ok((successor.take_over().await, inputs))
        };
        match replaced.await {
            Ok((new, inputs)) => {
                tracing::info!(
                    provider = name,
                    old = old.digest(),
                    new = digest,
                    "the component was replaced"
                );
                slot.swap(new, inputs);
            }
            Err(error) => refuse(slot, &old, Some(digest), &error),
        }
    }
}

fn refuse(slot: &Slot, old: &Provider, digest: Option<String>, error: &HostError) {
    tracing::warn!(
        provider = old.name(),
        old = old.digest(),
        new = digest,
        reason = %error,
        "the new component is refused; the old one serves on"
    );
    slot.refuse(digest, format!("the new one is refused: {}", error.reason()));
}
