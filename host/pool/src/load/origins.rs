//! Something for each origin: [`Origins`].

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::origin::Origin;

/// Origins kept before those at rest are forgotten. A provider has a handful; a pool that is sent to more, by whoever
/// chooses its URLs, must not grow with them.
const MOST: usize = 1_024;

/// What is known of an origin, and can be forgotten where nothing follows from it.
pub(crate) trait Forgettable {
    /// Whether a new one would behave in the same way.
    fn is_at_rest(&self) -> bool;
}

/// One `T` for each origin, made when it is first asked for.
#[derive(Debug)]
pub(crate) struct Origins<T> {
    known: Mutex<HashMap<Origin, Arc<T>>>,
}

impl<T: Forgettable> Origins<T> {
    pub fn new() -> Self {
        Self {
            known: Mutex::new(HashMap::new()),
        }
    }

    /// The origin's own. Where too many others are in use, it is one that nobody else sees.
    pub fn of(&self, origin: &Origin, make: impl FnOnce() -> T) -> Arc<T> {
        let mut known = self.lock();
        if let Some(found) = known.get(origin) {
            return found.clone();
        }
        if known.len() >= MOST {
            known.retain(|_, each| Arc::strong_count(each) > 1 || !each.is_at_rest());
        }
        let made = Arc::new(make());
        if known.len() < MOST {
            known.insert(origin.clone(), made.clone());
        }
        made
    }

    /// All of them.
    pub fn all(&self) -> Vec<(Origin, Arc<T>)> {
        let known = self.lock();
        known
            .iter()
            .map(|(origin, each)| (origin.clone(), each.clone()))
            .collect()
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<Origin, Arc<T>>> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Noted(bool);

    impl Forgettable for Noted {
        fn is_at_rest(&self) -> bool {
            !self.0
        }
    }

    #[test]
    fn origins_at_rest_are_forgotten_before_there_are_too_many() {
        let origins = Origins::new();
        let origin = |number| Origin::of(&format!("http://host-{number}/").parse().unwrap()).unwrap();
        for number in 0..MOST * 2 {
            origins.of(&origin(number), || Noted(number == 0));
        }
        assert!(origins.all().len() <= MOST);
        assert!(origins.of(&origin(0), || Noted(false)).0);
    }
}
