//! Components that are replaced while they serve.
//!
//! The new one is admitted, compiled and asked what it wants beside the old one, and takes its place only then. Calls
//! under way end on the old one. One that is no good leaves the old one serving.

use std::path::PathBuf;

use weir_runtime::Provider;

use super::slot::Slot;
use super::watch::Watch;
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
    /// Watches the files of the providers' components. None where there are none.
    ///
    /// # Errors
    /// Where the system has no watches left, or a folder is not there.
    pub fn watch_components(&self) -> Result<Option<Watch>, notify::Error> {
        let files: Vec<PathBuf> = self.component_files().map(|(.., file)| file).collect();
        if files.is_empty() {
            return Ok(None);
        }
        Watch::start(&files).map(Some)
    }

    /// Replaces every loaded component whose file holds another one. What became of it is logged, counted
    /// ([`Self::reloads`]) and, where it was refused, told ([`Self::failures`]).
    pub async fn reload_components(&self, look: Look) {
        let reloads = self
            .component_files()
            .map(|(name, slot, config, _)| self.reload(name, slot, config, look));
        futures::future::join_all(reloads).await;
    }

    fn component_files(&self) -> impl Iterator<Item = (&str, &Slot, &ProviderConfig, PathBuf)> {
        self.config().providers.iter().filter_map(|(name, config)| {
            let ComponentSource::File(file) = ComponentSource::of(&config.component) else {
                return None;
            };
            Some((name.as_str(), self.providers.get(name)?, config, file))
        })
    }

    async fn reload(&self, name: &str, slot: &Slot, config: &ProviderConfig, look: Look) {
        let _alone = slot.alone().await;
        // Its first call loads what is there then.
        let Some(old) = slot.serving() else { return };
        let component = match self.component(name).await {
            Ok(component) => component,
            Err(error) => return refuse(slot, &old, None, &error),
        };
        let digest = self.runtime().inspect(&component, super::wasi_grant(config)).digest;
        if digest == old.digest() {
            return slot.is_current();
        }
        if look == Look::ForChanges && slot.has_refused(&digest) {
            return;
        }
        match self.load(name, config, component, Some(&old)).await {
            Ok(new) => {
                tracing::info!(
                    provider = name,
                    old = old.digest(),
                    new = digest,
                    "the component was replaced"
                );
                slot.swap(new);
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
    slot.refuse(
        digest,
        format!("the new component is refused, the old one serves on: {error}"),
    );
}
