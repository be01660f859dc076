//! Closes idle connections when their time is over, whether or not anybody asks for one.

use std::sync::{Arc, Weak};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::{Instant, sleep_until};

use super::Core;

/// A connection may be returned with an earlier end than those before it, so the reaper looks at least this often
/// while any lies idle.
const LOOKS_EVERY: Duration = Duration::from_secs(1);

/// Runs until the pool is closed or dropped; `stirred` wakes it when there is something to look at.
pub(super) async fn run(core: Weak<Core>, stirred: Arc<Notify>) {
    loop {
        let next = match core.upgrade() {
            Some(core) if core.is_open() => core.expire(),
            _ => return,
        };
        match next {
            None => stirred.notified().await,
            Some(next) => {
                let until = next.min(Instant::now() + LOOKS_EVERY);
                tokio::select! {
                    () = stirred.notified() => {}
                    () = sleep_until(until) => {}
                }
            }
        }
    }
}
