//! What the resolver has answered, for as long as that holds: [`Names`], shared by all pools of a manager.
//!
//! | a name is | meaning |
//! |---|---|
//! | known | its addresses, until their time is over |
//! | asked | a lookup is under way, and whoever wants the name waits for it |
//!
//! A lookup is worked on by those who wait for it: it goes on while there is one of them and ends with the last. A
//! failure is not kept, so a name that has just been made is found at once; one that fails costs one lookup at a time.

use std::collections::HashMap;
use std::io;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures::FutureExt;
use futures::future::{BoxFuture, Shared, WeakShared};
use tokio::time::{Instant, timeout};

use super::resolve::{Resolve, Resolved};

/// An answer is used for this long even if its TTL is 0 (RFC 1035, section 3.2.1: "only for the transaction in
/// progress"): the dials of one burst are such a transaction. It is the unit in which TTLs count.
const SHORTEST: Duration = Duration::from_secs(1);

/// An answer is not used for longer, whatever its TTL, so that a server that has moved is found: what Java gives every
/// answer (`networkaddress.cache.ttl`). A lookup for a name every half minute is no load.
pub(super) const LONGEST: Duration = Duration::from_secs(30);

/// When a lookup is given up, so that one that never ends does not hold back those that come after it. The longest that
/// resolv.conf(5) knows of: three servers, asked twice, for five seconds each.
const PATIENCE: Duration = Duration::from_secs(30);

/// Names held at once. One takes a few hundred bytes, so that is less than a megabyte.
const CAPACITY: usize = 1024;

type Answer = Result<Arc<[IpAddr]>, Arc<io::Error>>;
type Lookup = BoxFuture<'static, Answer>;

/// The resolver and its answers.
#[derive(Debug)]
pub(crate) struct Names {
    resolver: Arc<dyn Resolve>,
    entries: Mutex<HashMap<Arc<str>, Entry>>,
}

#[derive(Debug)]
enum Entry {
    Known { addresses: Arc<[IpAddr]>, until: Instant },
    Asked(WeakShared<Lookup>),
}

impl Entry {
    fn is_live(&self, now: Instant) -> bool {
        match self {
            Self::Known { until, .. } => now < *until,
            Self::Asked(lookup) => lookup.upgrade().is_some(),
        }
    }
}

impl Names {
    pub fn new(resolver: Arc<dyn Resolve>) -> Arc<Self> {
        Arc::new(Self {
            resolver,
            entries: Mutex::default(),
        })
    }

    /// The addresses of `host`. Dropping the future leaves the lookup to the others who wait for it.
    pub async fn lookup(self: &Arc<Self>, host: &str) -> io::Result<Arc<[IpAddr]>> {
        let lookup = match self.known_or_asked(host, Instant::now()) {
            Ok(addresses) => return Ok(addresses),
            Err(lookup) => lookup,
        };
        lookup
            .await
            .map_err(|error| io::Error::new(error.kind(), error.to_string()))
    }

    /// What is known of `host` turned out to be of no use: the next caller asks again.
    pub fn forget(&self, host: &str) {
        let mut entries = self.lock();
        if matches!(entries.get(host), Some(Entry::Known { .. })) {
            entries.remove(host);
        }
    }

    fn known_or_asked(self: &Arc<Self>, host: &str, now: Instant) -> Result<Arc<[IpAddr]>, Shared<Lookup>> {
        let mut entries = self.lock();
        match entries.get(host) {
            Some(Entry::Known { addresses, until }) if now < *until => return Ok(addresses.clone()),
            Some(Entry::Asked(lookup)) => {
                if let Some(lookup) = lookup.upgrade() {
                    return Err(lookup);
                }
            }
            _ => {}
        }
        let host: Arc<str> = host.into();
        let lookup = self.clone().ask(host.clone()).boxed().shared();
        make_room(&mut entries, now);
        if entries.len() < CAPACITY
            && let Some(asked) = lookup.downgrade()
        {
            entries.insert(host, Entry::Asked(asked));
        }
        Err(lookup)
    }

    async fn ask(self: Arc<Self>, host: Arc<str>) -> Answer {
        let outcome = match timeout(PATIENCE, self.resolver.resolve(&host)).await {
            Ok(Ok(Resolved { addresses, .. })) if addresses.is_empty() => {
                Err(io::Error::new(io::ErrorKind::NotFound, "the name has no address"))
            }
            Ok(outcome) => outcome,
            Err(_) => Err(io::ErrorKind::TimedOut.into()),
        };
        let mut entries = self.lock();
        match outcome {
            Ok(Resolved { addresses, valid_for }) => {
                let addresses: Arc<[IpAddr]> = addresses.into();
                let until = Instant::now() + valid_for.clamp(SHORTEST, LONGEST);
                if let Some(entry) = entries.get_mut(&host) {
                    *entry = Entry::Known {
                        addresses: addresses.clone(),
                        until,
                    };
                }
                Ok(addresses)
            }
            Err(error) => {
                entries.remove(&host);
                Err(Arc::new(error))
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<Arc<str>, Entry>> {
        // Every change is a single call of the map.
        self.entries.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Makes room for one more name where there is none: what is over goes, or else what will be over first.
fn make_room(entries: &mut HashMap<Arc<str>, Entry>, now: Instant) {
    if entries.len() < CAPACITY {
        return;
    }
    entries.retain(|_, entry| entry.is_live(now));
    if entries.len() < CAPACITY {
        return;
    }
    let first_over = entries
        .iter()
        .filter_map(|(host, entry)| match entry {
            Entry::Known { until, .. } => Some((*until, host.clone())),
            Entry::Asked(_) => None,
        })
        .min();
    if let Some((_, host)) = first_over {
        entries.remove(&host);
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use futures::future::join_all;
    use tokio::time::{advance, sleep};

    use super::*;

    /// Answers every name with 192.0.2.1 after a while, and counts how often it is asked.
    #[derive(Debug)]
    struct Scripted {
        takes: Duration,
        valid_for: Duration,
        fails: bool,
        asked: AtomicUsize,
        answered: AtomicUsize,
    }

    impl Scripted {
        fn new(takes: Duration, valid_for: Duration) -> Self {
            Self {
                takes,
                valid_for,
                fails: false,
                asked: AtomicUsize::new(0),
                answered: AtomicUsize::new(0),
            }
        }

        fn asked(&self) -> usize {
            self.asked.load(Ordering::SeqCst)
        }
    }

    impl Resolve for Scripted {
        fn resolve<'a>(&'a self, _host: &'a str) -> BoxFuture<'a, io::Result<Resolved>> {
            async move {
                self.asked.fetch_add(1, Ordering::SeqCst);
                sleep(self.takes).await;
                self.answered.fetch_add(1, Ordering::SeqCst);
                if self.fails {
                    return Err(io::Error::new(io::ErrorKind::NotFound, "no such name"));
                }
                Ok(Resolved {
                    addresses: vec![[192, 0, 2, 1].into()],
                    valid_for: self.valid_for,
                })
            }
            .boxed()
        }
    }

    fn secs(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    fn names(resolver: Scripted) -> (Arc<Names>, Arc<Scripted>) {
        let resolver = Arc::new(resolver);
        (Names::new(resolver.clone()), resolver)
    }

    #[tokio::test(start_paused = true)]
    async fn an_answer_is_used_until_its_time_is_over() {
        let (names, resolver) = names(Scripted::new(Duration::ZERO, secs(10)));
        names.lookup("h").await.unwrap();
        advance(secs(9)).await;
        names.lookup("h").await.unwrap();
        assert_eq!(resolver.asked(), 1);
        advance(secs(1)).await;
        names.lookup("h").await.unwrap();
        assert_eq!(resolver.asked(), 2);
    }

    #[tokio::test(start_paused = true)]
    async fn a_time_to_live_of_none_or_of_a_day_is_brought_within_bounds() {
        for (valid_for, held) in [(Duration::ZERO, SHORTEST), (secs(86_400), LONGEST)] {
            let (names, resolver) = names(Scripted::new(Duration::ZERO, valid_for));
            names.lookup("h").await.unwrap();
            advance(held - Duration::from_millis(1)).await;
            names.lookup("h").await.unwrap();
            assert_eq!(resolver.asked(), 1, "{valid_for:?}");
            advance(Duration::from_millis(1)).await;
            names.lookup("h").await.unwrap();
            assert_eq!(resolver.asked(), 2, "{valid_for:?}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_hundred_callers_cost_one_lookup() {
        let (names, resolver) = names(Scripted::new(secs(1), secs(10)));
        let answers = join_all((0..100).map(|_| names.lookup("h"))).await;
        assert!(answers.iter().all(Result::is_ok));
        assert_eq!(resolver.asked(), 1);
        names.lookup("other").await.unwrap();
        assert_eq!(resolver.asked(), 2);
    }

    #[tokio::test(start_paused = true)]
    async fn a_caller_who_goes_away_does_not_take_the_lookup_along() {
        let (names, resolver) = names(Scripted::new(secs(2), secs(10)));
        let first = tokio::spawn({
            let names = names.clone();
            async move { names.lookup("h").await }
        });
        sleep(secs(1)).await;
        let second = tokio::spawn({
            let names = names.clone();
            async move { names.lookup("h").await }
        });
        tokio::task::yield_now().await;
        first.abort();
        assert!(second.await.unwrap().is_ok());
        assert_eq!(resolver.asked(), 1);
    }

    #[tokio::test(start_paused = true)]
    async fn a_lookup_nobody_waits_for_ends_and_is_made_anew_for_the_next() {
        let (names, resolver) = names(Scripted::new(secs(2), secs(10)));
        assert!(timeout(secs(1), names.lookup("h")).await.is_err());
        sleep(secs(5)).await;
        assert_eq!(resolver.answered.load(Ordering::SeqCst), 0);
        names.lookup("h").await.unwrap();
        assert_eq!(resolver.asked(), 2);
    }

    #[tokio::test(start_paused = true)]
    async fn a_lookup_that_never_ends_does_not_hold_back_the_next() {
        let (names, resolver) = names(Scripted::new(secs(3_600), secs(10)));
        let first = tokio::spawn({
            let names = names.clone();
            async move { names.lookup("h").await }
        });
        sleep(secs(29)).await;
        let error = names.lookup("h").await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);
        assert!(first.await.unwrap().is_err());
        assert!(timeout(secs(1), names.lookup("h")).await.is_err());
        assert_eq!(resolver.asked(), 2);
    }

    #[tokio::test(start_paused = true)]
    async fn a_failure_is_not_kept() {
        let (names, resolver) = names(Scripted {
            fails: true,
            ..Scripted::new(Duration::ZERO, secs(10))
        });
        for asked in 1..=2 {
            let error = names.lookup("h").await.unwrap_err();
            assert_eq!(error.kind(), io::ErrorKind::NotFound);
            assert_eq!(resolver.asked(), asked);
        }
    }

    #[tokio::test(start_paused = true)]
    async fn an_answer_of_no_use_is_asked_for_again() {
        let (names, resolver) = names(Scripted::new(Duration::ZERO, secs(10)));
        names.lookup("h").await.unwrap();
        names.forget("h");
        names.lookup("h").await.unwrap();
        assert_eq!(resolver.asked(), 2);
    }

    #[tokio::test(start_paused = true)]
    async fn no_more_names_are_held_than_there_is_room_for() {
        let (names, resolver) = names(Scripted::new(Duration::ZERO, secs(10)));
        for number in 0..CAPACITY + 10 {
            names.lookup(&number.to_string()).await.unwrap();
            advance(Duration::from_millis(1)).await;
        }
        assert_eq!(names.lock().len(), CAPACITY);
        // The oldest went first.
        let asked = resolver.asked();
        names.lookup(&(CAPACITY + 9).to_string()).await.unwrap();
        assert_eq!(resolver.asked(), asked);
        names.lookup("0").await.unwrap();
        assert_eq!(resolver.asked(), asked + 1);
    }
}
