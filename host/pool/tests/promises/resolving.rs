//! From a name to a connection: the resolver that was given, its answers kept, several addresses raced.

use std::io;
use std::net::{IpAddr, Ipv6Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use futures::FutureExt;
use futures::future::{BoxFuture, join_all};
use rustls::RootCertStore;
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::sync::Semaphore;
use weir_pool::{AddressFilter, PoolManager, PoolSettings, Resolve, Resolved, SendError};

use crate::peers::{Peer, at_rest, config, fetch, until};

/// Knows one list of addresses for every name, and counts how often it is asked.
#[derive(Debug)]
pub struct Fixed {
    addresses: Vec<IpAddr>,
    pub asked: AtomicUsize,
    /// Answers wait for a permit of this gate.
    gate: Semaphore,
}

impl Fixed {
    pub fn new(addresses: &[&str]) -> Arc<Self> {
        Arc::new(Self {
            addresses: addresses.iter().map(|address| address.parse().unwrap()).collect(),
            asked: AtomicUsize::new(0),
            gate: Semaphore::new(Semaphore::MAX_PERMITS),
        })
    }

    pub fn asked(&self) -> usize {
        self.asked.load(Ordering::SeqCst)
    }
}

impl Resolve for Fixed {
    fn resolve<'a>(&'a self, _host: &'a str) -> BoxFuture<'a, io::Result<Resolved>> {
        async {
            self.asked.fetch_add(1, Ordering::SeqCst);
            self.gate.acquire().await.unwrap().forget();
            Ok(Resolved {
                addresses: self.addresses.clone(),
                valid_for: Duration::from_secs(30),
            })
        }
        .boxed()
    }
}

pub fn manager_with(resolver: Arc<dyn Resolve>) -> PoolManager {
    let builder = PoolManager::builder().roots(RootCertStore::empty());
    builder.resolver(resolver).environment(|_| None).build().unwrap()
}

/// Permits 127.0.0.1 alone.
#[derive(Debug)]
struct OnlyOne;

impl AddressFilter for OnlyOne {
    fn permits(&self, address: IpAddr) -> bool {
        address == IpAddr::from([127, 0, 0, 1])
    }
}

/// A listener that answers no more: its queue is full, so what else is sent to it is dropped.
struct Silent {
    _listener: TcpListener,
    _queued: Vec<TcpStream>,
}

impl Silent {
    async fn at(address: SocketAddr) -> Self {
        let socket = TcpSocket::new_v6().unwrap();
        socket.bind(address).unwrap();
        let listener = socket.listen(0).unwrap();
        let mut queued = Vec::new();
        while let Ok(connected) = tokio::time::timeout(Duration::from_millis(200), TcpStream::connect(address)).await {
            queued.push(connected.unwrap());
            assert!(queued.len() < 100, "the queue has an end");
        }
        Self {
            _listener: listener,
            _queued: queued,
        }
    }
}

#[tokio::test]
async fn a_burst_of_dials_in_several_pools_costs_one_lookup() {
    let peer = Peer::answering().await;
    let resolver = Fixed::new(&["127.0.0.1"]);
    let manager = manager_with(resolver.clone());
    let uri = format!("http://server.test:{}/", peer.address.port());
    let (one, other) = (
        manager.pool("one", config(8).into()).unwrap(),
        manager.pool("other", config(8).into()).unwrap(),
    );
    let answers = join_all((0..16).map(|number| fetch(if number % 2 == 0 { &one } else { &other }, &uri))).await;
    assert!(answers.iter().all(Result::is_ok), "{answers:?}");
    assert!(peer.seen.accepted() > 1);
    assert_eq!(resolver.asked(), 1);
}

#[tokio::test]
async fn an_address_nobody_listens_at_is_passed_over() {
    let peer = Peer::answering().await;
    let manager = manager_with(Fixed::new(&["::1", "127.0.0.1"]));
    let pool = manager.pool("test", config(2).into()).unwrap();
    let uri = format!("http://server.test:{}/", peer.address.port());
    assert_eq!(fetch(&pool, &uri).await.unwrap(), "0");
    assert_eq!(pool.stats().connections_opened, 1);
}

#[tokio::test]
async fn an_address_that_never_answers_does_not_hold_up_the_others() {
    let peer = Peer::answering().await;
    let _silent = Silent::at(SocketAddr::from((Ipv6Addr::LOCALHOST, peer.address.port()))).await;
    let manager = manager_with(Fixed::new(&["::1", "127.0.0.1"]));
    let pool = manager.pool("test", config(2).into()).unwrap();
    let uri = format!("http://server.test:{}/", peer.address.port());
    assert_eq!(fetch(&pool, &uri).await.unwrap(), "0");
    let stats = until(&pool, at_rest).await;
    assert_eq!((stats.connections_opened, stats.idle, peer.seen.open()), (1, 1, 1));
}

#[tokio::test]
async fn a_name_is_dialled_at_its_permitted_addresses_alone() {
    let peer = Peer::answering().await;
    let uri = format!("http://server.test:{}/", peer.address.port());
    let settings = || PoolSettings {
        address_filter: Some(Arc::new(OnlyOne)),
        ..PoolSettings::from(config(2))
    };
    let elsewhere = TcpListener::bind((Ipv6Addr::LOCALHOST, peer.address.port()))
        .await
        .unwrap();
    let mixed = manager_with(Fixed::new(&["::1", "127.0.0.1"]));
    assert!(fetch(&mixed.pool("test", settings()).unwrap(), &uri).await.is_ok());
    assert!(elsewhere.accept().now_or_never().is_none());

    let denied = manager_with(Fixed::new(&["::1", "127.0.0.2"]));
    let error = fetch(&denied.pool("test", settings()).unwrap(), &uri)
        .await
        .unwrap_err();
    assert!(
        matches!(error, SendError::AddressDenied { address, .. } if address == IpAddr::from(Ipv6Addr::LOCALHOST)),
        "{error}"
    );
    assert!(elsewhere.accept().now_or_never().is_none());
    assert_eq!(peer.seen.accepted(), 1);
}

#[tokio::test]
async fn a_pool_closed_during_a_lookup_leaves_nothing_behind() {
    let resolver = Arc::new(Fixed {
        gate: Semaphore::new(0),
        ..Arc::into_inner(Fixed::new(&["127.0.0.1"])).unwrap()
    });
    let manager = manager_with(resolver.clone());
    let pool = manager.pool("test", config(2).into()).unwrap();
    let fetching = tokio::spawn({
        let pool = pool.clone();
        async move { fetch(&pool, "http://server.test/").await }
    });
    until(&pool, |stats| stats.connecting == 1 && resolver.asked() == 1).await;
    manager.close("test", Duration::ZERO).await;
    assert!(matches!(fetching.await.unwrap(), Err(SendError::Closed { .. })));
    until(&pool, at_rest).await;
}

#[tokio::test]
async fn the_old_ways_to_write_an_address_are_seen_by_the_filter() {
    let manager = manager_with(Fixed::new(&["127.0.0.1"]));
    let settings = PoolSettings {
        address_filter: Some(Arc::new(OnlyOne)),
        ..PoolSettings::from(config(2))
    };
    let pool = manager.pool("test", settings).unwrap();
    for host in ["10.1", "0xa9fea9fe", "2130706434"] {
        let error = fetch(&pool, &format!("http://{host}/")).await.unwrap_err();
        assert!(matches!(error, SendError::AddressDenied { .. }), "{host}: {error}");
    }
}
