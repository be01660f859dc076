//! The second socket of a dial that races two addresses: it has a permit of its own, or it is not opened.

use std::any::Any;
use std::sync::{Arc, Weak};

use tokio::time::Instant;

use super::Core;
use crate::ceiling::Ceiling;
use crate::connect::Spares;

impl Spares for Weak<Core> {
    fn spare(&self) -> Option<Box<dyn Any + Send>> {
        let core = self.upgrade()?;
        core.lock().admission.take_spare().then(|| {
            let spare = Spare {
                core: self.clone(),
                ceiling: core.ceiling.clone(),
            };
            Box::new(spare) as Box<dyn Any + Send>
        })
    }
}

/// A permit that goes when the race has ended.
struct Spare {
    core: Weak<Core>,
    ceiling: Arc<Ceiling>,
}

impl Drop for Spare {
    fn drop(&mut self) {
        self.ceiling.allowance.give_back();
        if let Some(core) = self.core.upgrade() {
            core.transact(|state, _| state.admission.give_back_spare(Instant::now()));
        }
        self.ceiling.feed();
    }
}
