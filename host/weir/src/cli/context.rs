//! What every command has at hand.

use std::sync::OnceLock;

use anyhow::Context as _;
use weir_pool::PoolManager;

use super::Global;
use super::exit::ExitStatus;
use super::output::Output;
use crate::config::{ConfigError, EffectiveConfig, Environment, Folders, Sources, load};
use crate::host::Host;

/// The invocation: where settings come from, and where results go.
#[derive(Debug)]
pub struct Context {
    sources: Sources,
    /// Where results go.
    pub output: Output,
    pools: OnceLock<PoolManager>,
}

impl Context {
    /// Reads the environment and the platform's folders.
    ///
    /// # Errors
    /// Where there is no working folder.
    pub fn new(global: &Global) -> anyhow::Result<Context> {
        let working = std::env::current_dir().context("the working folder can't be used")?;
        let sources = Sources {
            file: global.config.clone(),
            environment: Environment::of_process(),
            folders: Folders::of_platform(working),
            flags: Vec::new(),
        };
        Ok(Context {
            sources,
            output: Output::new(global.json, global.color),
            pools: OnceLock::new(),
        })
    }

    /// The environment.
    pub fn environment(&self) -> &Environment {
        &self.sources.environment
    }

    /// The settings in force.
    ///
    /// # Errors
    /// Where one is wrong.
    pub fn config(&self) -> Result<EffectiveConfig, ConfigError> {
        load(&self.sources)
    }

    /// The settings in force, over them a flag's texts, each for the setting that its keys lead to.
    ///
    /// # Errors
    /// Where one is wrong.
    pub fn config_with_flag(
        &self,
        flag: &'static str,
        settings: impl IntoIterator<Item = (Vec<String>, String)>,
    ) -> Result<EffectiveConfig, ConfigError> {
        load(&self.sources_with_flag(flag, settings))
    }

    /// Where these settings come from, for those who read them more than once.
    pub fn sources_with_flag(
        &self,
        flag: &'static str,
        settings: impl IntoIterator<Item = (Vec<String>, String)>,
    ) -> Sources {
        let mut sources = self.sources.clone();
        let settings = settings.into_iter().map(|(keys, text)| (flag, keys, text));
        sources.flags.extend(settings);
        sources
    }

    /// The configured providers.
    ///
    /// # Errors
    /// Where a setting is wrong, or the runtime can't start.
    pub async fn host(&self) -> anyhow::Result<Host> {
        self.open(self.config()?).await
    }

    /// The providers of a configuration.
    ///
    /// # Errors
    /// Where the runtime can't start.
    pub async fn open(&self, config: EffectiveConfig) -> anyhow::Result<Host> {
        let host = Host::open(config).await?;
        self.owns(host.runtime().pools());
        Ok(host)
    }

    /// Remembers the pools, to close them at the end whatever way it comes.
    pub fn owns(&self, pools: &PoolManager) {
        // One command opens one host; of a second, the process's end closes the pools.
        let _ = self.pools.set(pools.clone());
    }

    /// Closes what the command opened.
    pub async fn close(&self, status: &ExitStatus) {
        if let Some(pools) = self.pools.get() {
            pools.close_all(status.grace()).await;
        }
    }
}
