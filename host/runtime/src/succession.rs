//! A provider that is made ready beside the one whose place it is to take.

use weir_pool::{PoolManager, PreparedPool};

use crate::provider::Provider;

/// A loaded component that does not serve yet, and the provider it is for. Dropping it leaves that one as it was.
#[must_use]
pub struct Successor {
    pub(crate) new: Provider,
    pub(crate) old: Provider,
    pub(crate) pool: Option<PreparedPool>,
    pub(crate) pools: PoolManager,
}

impl Successor {
    /// The provider before it.
    pub fn predecessor(&self) -> &Provider {
        &self.old
    }

    /// Whether [`Self::take_over`] waits for a call under way: of two residents, one instance is there at any moment.
    pub fn waits(&self) -> bool {
        self.new
            .inner
            .instances
            .shares_its_place_with(&self.old.inner.instances)
    }

    /// The new provider, with the pool of the old one, resized or replaced where the settings of both differ. The old
    /// one serves on, for those who hold it, except where both are resident: then its call under way is waited for, its
    /// instance dropped, and its later calls are run by the new one.
    pub async fn take_over(self) -> Provider {
        let Successor { new, old, pool, pools } = self;
        match (pool, old.pool()) {
            (Some(pool), _) => pool.install(),
            (None, Some(pool)) => pools.release(pool.name()),
            (None, None) => {}
        }
        new.inner.instances.take_over(&old.inner.instances).await;
        new.tell_loaded();
        new
    }
}

impl std::fmt::Debug for Successor {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Successor")
            .field("new", &self.new)
            .field("old", &self.old)
            .finish_non_exhaustive()
    }
}
