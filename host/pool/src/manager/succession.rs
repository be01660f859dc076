//! A pool whose settings change while it is at work: it is resized where its connections can go on under the new ones,
//! and gives its name to another pool where they cannot.

use super::{Entered, PoolManager};
use crate::config::PoolConfig;
use crate::error::PoolError;
use crate::pool::Pool;
use crate::settings::PoolSettings;

/// A pool that is ready to serve under other settings. Nothing has changed before [`Self::install`].
#[derive(Debug)]
#[must_use]
pub struct PreparedPool {
    manager: PoolManager,
    pool: Pool,
    change: Change,
}

#[derive(Debug)]
enum Change {
    /// It goes by these settings already.
    None,
    Resize(Box<PoolSettings>),
    /// It takes the name.
    Name,
}

impl PoolManager {
    /// Makes a pool of this name and these settings ready, whatever settings the pool of this name has now.
    ///
    /// # Errors
    ///
    /// If the pool of this name is being closed, or TLS cannot be configured as the settings have it.
    pub fn prepare(&self, name: &str, settings: PoolSettings) -> Result<PreparedPool, PoolError> {
        let present = match self.lock().get(name) {
            Some(Entered { closing: true, .. }) => return Err(PoolError::Closing { name: name.to_owned() }),
            present => present.map(|entered| entered.pool.clone()),
        };
        let manager = self.clone();
        if let Some(pool) = present {
            let differing = pool.settings().differences(&settings);
            if differing.is_empty() {
                let change = Change::None;
                return Ok(PreparedPool { manager, pool, change });
            }
            let fixed = |name: &&str| PoolConfig::AGREED.contains(name) || PoolSettings::IDENTITY.contains(name);
            if !differing.iter().any(fixed) {
                let change = Change::Resize(Box::new(settings));
                return Ok(PreparedPool { manager, pool, change });
            }
        }
        let connector = self.connector(&settings).map_err(|source| PoolError::Tls {
            name: name.to_owned(),
            source,
        })?;
        let pool = Pool::new(name, settings, connector, self.ceiling.clone());
        let change = Change::Name;
        Ok(PreparedPool { manager, pool, change })
    }

    /// Takes the name from a pool. Those who hold it go on with it; its idle connections are closed when the last of them
    /// drops it.
    pub fn release(&self, name: &str) {
        // Dropped after the lock: with the last handle, its connections are closed.
        let _released = self.lock().remove(name);
    }
}

impl PreparedPool {
    /// The pool that goes by the settings from [`Self::install`] on.
    pub fn pool(&self) -> &Pool {
        &self.pool
    }

    /// From now on the pool of this name is this one. Nothing under way is cut off: where it is another pool than
    /// before, those who hold the one before go on with it, as after [`PoolManager::release`].
    pub fn install(self) {
        let Self { manager, pool, change } = self;
        match change {
            Change::None => {}
            Change::Resize(settings) => {
                tracing::info!(pool = pool.name(), "the pool goes by other limits");
                pool.resize(*settings);
            }
            Change::Name => {
                tracing::info!(pool = pool.name(), "a new pool takes the name");
                let entered = Entered {
                    pool: pool.clone(),
                    closing: false,
                };
                let _before = manager.lock().insert(pool.name().to_owned(), entered);
            }
        }
    }
}
