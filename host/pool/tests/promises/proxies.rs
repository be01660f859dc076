//! The way through a proxy: which one is taken, what it is told, and what comes of its refusal.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use rustls::RootCertStore;
use weir_pool::{
    AddressFilter, ConnectStage, PoolConfig, PoolError, PoolManager, PoolSettings, Proxies, ProxyError, SendError,
};

use crate::peers::{Connection, Peer, at_rest, config, eventually, fetch, manager, until};
use crate::proxy_peers::{Asked, http, pass_on, socks5, through};
use crate::resolving::{Fixed, manager_with};
use crate::tls_peers::{NAME, TlsPeer};

/// "me:secret" in Base64.
const AUTHORIZATION: &str = "Basic bWU6c2VjcmV0";
const WANTED: &str =
    "HTTP/1.1 407 Proxy Authentication Required\r\nproxy-authenticate: Basic\r\ncontent-length: 0\r\n\r\n";

async fn secure_server() -> TlsPeer {
    TlsPeer::telling(None, |_| "from the server".to_owned()).await
}

fn named(peer: &TlsPeer) -> String {
    format!("https://{NAME}:{}/", peer.address.port())
}

/// Why there was no way through a proxy, and what was said of it.
fn no_way(error: SendError) -> (ProxyError, String) {
    let told = format!("{error} {error:?}");
    match error {
        SendError::Proxy { source, .. } => (source, told),
        error => panic!("not a proxy's error: {error:?}"),
    }
}

/// Permits no address.
#[derive(Debug)]
struct Nowhere;

impl AddressFilter for Nowhere {
    fn permits(&self, _address: IpAddr) -> bool {
        false
    }
}

#[tokio::test]
async fn an_https_origin_is_reached_through_one_tunnel_kept_for_it() {
    let server = secure_server().await;
    let (proxy, asked) = http(server.address, Some(AUTHORIZATION), WANTED).await;
    let settings = through(&format!("http://me:secret@{}", proxy.address));
    let pool = server.manager().pool("test", settings).unwrap();
    for _ in 0..2 {
        assert_eq!(fetch(&pool, &named(&server)).await.unwrap(), "from the server");
    }
    let asked = asked.all();
    let port = server.address.port();
    assert_eq!(asked.len(), 1);
    assert!(
        asked[0].starts_with(&format!("CONNECT {NAME}:{port} HTTP/1.1\r\n")),
        "{asked:?}"
    );
    assert!(asked[0].contains(&format!("host: {NAME}:{port}\r\n")), "{asked:?}");
    let stats = until(&pool, at_rest).await;
    assert_eq!((stats.connections_opened, stats.idle, proxy.seen.open()), (1, 1, 1));
}

#[tokio::test]
async fn http2_goes_through_a_tunnel_too() {
    let server = TlsPeer::http2(10, |exchange| async move { exchange.answer() }).await;
    let (proxy, asked) = http(server.address, None, WANTED).await;
    let pool = server
        .manager()
        .pool("test", through(&format!("http://{}", proxy.address)))
        .unwrap();
    assert_eq!(fetch(&pool, &named(&server)).await.unwrap(), "0");
    assert_eq!(asked.all().len(), 1);
}

#[tokio::test]
async fn a_proxy_that_asks_for_a_password_is_named_and_the_password_is_not() {
    let server = secure_server().await;
    let (proxy, _) = http(server.address, Some(AUTHORIZATION), WANTED).await;
    for (user, wrong) in [("", false), ("me:wr0ng@", true)] {
        let settings = through(&format!("http://{user}{}", proxy.address));
        let pool = server.manager().pool("test", settings).unwrap();
        let (error, told) = no_way(fetch(&pool, &named(&server)).await.unwrap_err());
        assert!(told.contains(&format!("http://{}", proxy.address)), "{told}");
        assert!(!told.contains("wr0ng") && !told.contains("Basic"), "{told}");
        match error {
            ProxyError::AuthenticationRequired => assert!(!wrong),
            ProxyError::AuthenticationFailed => assert!(wrong),
            error => panic!("{error:?}"),
        }
        until(&pool, |stats| at_rest(stats) && stats.idle == 0).await;
    }
    assert_eq!(server.seen.accepted(), 0);
}

#[tokio::test]
async fn a_refused_tunnel_tells_its_status() {
    let refusals = [
        ("HTTP/1.1 403 Forbidden\r\ncontent-length: 2\r\n\r\nno", 403),
        ("HTTP/1.1 503 Service Unavailable\r\n\r\n", 503),
    ];
    for (refusal, expected) in refusals {
        let server = secure_server().await;
        let (proxy, _) = http(server.address, Some("never given"), refusal).await;
        let pool = server
            .manager()
            .pool("test", through(&format!("http://{}", proxy.address)))
            .unwrap();
        let (error, _) = no_way(fetch(&pool, &named(&server)).await.unwrap_err());
        assert!(
            matches!(error, ProxyError::Refused { status } if status == expected),
            "{error:?}"
        );
        until(&pool, at_rest).await;
    }
}

#[tokio::test]
async fn what_is_no_proxy_breaks_off() {
    for answer in ["", "SSH-2.0-OpenSSH\r\n\r\n", "HTTP/1.1 200 OK\r\n\r\nearly"] {
        let peer = Peer::following(move |mut connection, _| async move {
            connection.head().await?;
            connection.write(answer).await
        })
        .await;
        let pool = manager()
            .pool("test", through(&format!("http://{}", peer.address)))
            .unwrap();
        let error = fetch(&pool, "https://server.test/").await.unwrap_err();
        assert!(error.is_unprocessed());
        assert_eq!(error.kind(), "proxy");
        let (error, _) = no_way(error);
        assert!(matches!(error, ProxyError::Broken(_)), "{answer}: {error:?}");
        until(&pool, at_rest).await;
    }
}

#[tokio::test]
async fn a_silent_proxy_is_given_no_more_than_the_connect_timeout() {
    let peer = Peer::following(|connection, _| connection.drain()).await;
    for scheme in ["http", "socks5h"] {
        let settings = PoolSettings {
            config: PoolConfig {
                connect_timeout: Duration::from_millis(100),
                ..config(1)
            },
            ..through(&format!("{scheme}://{}", peer.address))
        };
        let pool = manager().pool("test", settings).unwrap();
        let error = fetch(&pool, "https://server.test/").await.unwrap_err();
        assert!(
            matches!(
                error,
                SendError::ConnectTimeout {
                    stage: ConnectStage::Tunnelling,
                    ..
                }
            ),
            "{error:?}"
        );
        until(&pool, at_rest).await;
    }
}

#[tokio::test]
async fn a_pool_closed_while_its_proxy_is_silent_leaves_no_socket() {
    let peer = Peer::following(|connection, _| connection.drain()).await;
    for scheme in ["http", "socks5h"] {
        let manager = manager();
        let pool = manager
            .pool("test", through(&format!("{scheme}://{}", peer.address)))
            .unwrap();
        let fetching = tokio::spawn({
            let pool = pool.clone();
            async move { fetch(&pool, "https://server.test/").await }
        });
        until(&pool, |stats| stats.connecting == 1 && peer.seen.open() == 1).await;
        manager.close("test", Duration::ZERO).await;
        assert!(matches!(fetching.await.unwrap(), Err(SendError::Closed { .. })));
        until(&pool, at_rest).await;
        eventually(|| peer.seen.open() == 0).await;
    }
}

#[tokio::test]
async fn a_proxy_that_is_not_there_is_told_from_a_server_that_is_not() {
    let nobody = Peer::answering().await.address;
    let gone = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = gone.local_addr().unwrap();
    drop(gone);
    let pool = manager().pool("test", through(&format!("http://{address}"))).unwrap();
    let (error, _) = no_way(fetch(&pool, &format!("http://{nobody}/")).await.unwrap_err());
    assert!(matches!(error, ProxyError::Unreachable(_)), "{error:?}");
}

#[tokio::test]
async fn an_http_origin_is_named_in_each_request_to_the_proxy() {
    let (proxy, asked) = http("127.0.0.1:1".parse().unwrap(), Some(AUTHORIZATION), WANTED).await;
    let settings = through(&format!("http://me:secret@{}", proxy.address));
    let pool = manager().pool("test", settings).unwrap();
    for _ in 0..2 {
        assert_eq!(fetch(&pool, "http://server.test/a?b=c").await.unwrap(), "passed on");
    }
    let asked = asked.all();
    assert_eq!(asked.len(), 2);
    for head in &asked {
        assert!(head.starts_with("GET http://server.test/a?b=c HTTP/1.1\r\n"), "{head}");
        assert!(head.contains("host: server.test\r\n"), "{head}");
    }
    assert_eq!((pool.stats().connections_opened, proxy.seen.accepted()), (1, 1));
}

#[tokio::test]
async fn a_tunnel_may_lead_through_a_proxy_behind_tls() {
    let server = secure_server().await;
    let (address, asked) = (server.address, Asked::default());
    let noted = asked.clone();
    let proxy = TlsPeer::serving(&[b"http/1.1"], move |tls, _, open| {
        let asked = noted.clone();
        async move {
            let _ = pass_on(Connection::over(tls), address, Some(AUTHORIZATION), WANTED, &asked).await;
            drop(open);
        }
    })
    .await;
    let mut roots = RootCertStore::empty();
    for peer in [&server, &proxy] {
        roots.add(peer.certificate()).unwrap();
    }
    let manager = PoolManager::with_roots(roots).unwrap();
    let pool = manager
        .pool("test", through(&format!("https://me:secret@{}", proxy.address)))
        .unwrap();
    assert_eq!(fetch(&pool, &named(&server)).await.unwrap(), "from the server");
    assert_eq!(fetch(&pool, "http://server.test/").await.unwrap(), "passed on");
    assert_eq!(asked.all().len(), 2);

    let suspicious = server
        .manager()
        .pool("test", through(&format!("https://{}", proxy.address)))
        .unwrap();
    let (error, _) = no_way(fetch(&suspicious, &named(&server)).await.unwrap_err());
    assert!(matches!(error, ProxyError::Tls(_)), "{error:?}");
}

#[tokio::test]
async fn socks5_is_sent_an_address_and_socks5h_the_name() {
    let server = secure_server().await;
    let (proxy, asked) = socks5(server.address, Some(("me", "secret")), 0).await;
    let manager = server.builder().resolver(Fixed::new(&["192.0.2.7"])).build().unwrap();
    for scheme in ["socks5", "socks5h"] {
        let settings = through(&format!("{scheme}://me:secret@{}", proxy.address));
        let pool = manager.pool(scheme, settings).unwrap();
        assert_eq!(fetch(&pool, &named(&server)).await.unwrap(), "from the server");
    }
    let port = server.address.port();
    assert_eq!(
        asked.all(),
        [format!("192.0.2.7 {port}"), format!("name {NAME} {port}")]
    );
}

#[tokio::test]
async fn a_socks_proxy_says_why_it_refuses() {
    let server = Peer::answering().await;
    let (asking, _) = socks5(server.address, Some(("me", "secret")), 0).await;
    for (user, wrong) in [("", false), ("me:wr0ng@", true)] {
        let settings = through(&format!("socks5h://{user}{}", asking.address));
        let pool = manager().pool("test", settings).unwrap();
        let (error, told) = no_way(fetch(&pool, "http://server.test/").await.unwrap_err());
        assert!(!told.contains("wr0ng"), "{told}");
        match error {
            ProxyError::AuthenticationRequired => assert!(!wrong),
            ProxyError::AuthenticationFailed => assert!(wrong),
            error => panic!("{error:?}"),
        }
        until(&pool, at_rest).await;
    }
    let (refusing, asked) = socks5(server.address, None, 2).await;
    let manager = manager_with(Fixed::new(&["192.0.2.7", "192.0.2.8"]));
    let pool = manager
        .pool("test", through(&format!("socks5://{}", refusing.address)))
        .unwrap();
    let (error, _) = no_way(fetch(&pool, "http://server.test/").await.unwrap_err());
    assert!(matches!(error, ProxyError::SocksRefused { .. }), "{error:?}");
    assert_eq!(asked.all(), ["192.0.2.7 80", "192.0.2.8 80"]);
    assert_eq!(server.seen.accepted(), 0);
}

#[tokio::test]
async fn the_environment_names_the_proxy_and_the_hosts_that_need_none() {
    let server = Peer::answering().await;
    let (proxy, asked) = http(server.address, None, WANTED).await;
    let builder = PoolManager::builder().roots(RootCertStore::empty());
    let url = format!("http://{}", proxy.address);
    let manager = builder
        .resolver(Fixed::new(&["127.0.0.1"]))
        .environment(|name| match name {
            "http_proxy" => Some(url.clone()),
            "NO_PROXY" => Some("direct.test".to_owned()),
            _ => None,
        })
        .build()
        .unwrap();
    let pool = manager.pool("test", config(4).into()).unwrap();
    let port = server.address.port();
    assert_eq!(
        fetch(&pool, &format!("http://server.test:{port}/")).await.unwrap(),
        "passed on"
    );
    for direct in ["direct.test", "localhost", "127.0.0.1"] {
        let answer = fetch(&pool, &format!("http://{direct}:{port}/")).await.unwrap();
        assert_ne!(answer, "passed on", "{direct}");
    }
    assert_eq!(asked.all().len(), 1);
    let none = PoolSettings {
        proxies: Proxies::none(),
        ..PoolSettings::from(config(4))
    };
    let pool = manager.pool("none", none).unwrap();
    assert_ne!(
        fetch(&pool, &format!("http://server.test:{port}/")).await.unwrap(),
        "passed on"
    );
}

#[tokio::test]
async fn a_misspelt_variable_does_not_lead_around_the_proxy() {
    let builder = PoolManager::builder().roots(RootCertStore::empty());
    let manager = builder
        .environment(|name| (name == "HTTPS_PROXY").then(|| "ftp://me:secret@proxy".to_owned()))
        .build()
        .unwrap();
    let pool = manager.pool("test", config(4).into()).unwrap();
    let (error, told) = no_way(fetch(&pool, "https://server.test/").await.unwrap_err());
    assert!(matches!(error, ProxyError::Invalid { .. }), "{error:?}");
    assert!(told.contains("HTTPS_PROXY") && !told.contains("secret"), "{told}");
}

#[tokio::test]
async fn the_filter_sees_every_address_that_is_known_on_this_side_of_a_proxy() {
    let server = Peer::answering().await;
    let (speaks_http, _) = http(server.address, None, WANTED).await;
    let (speaks_socks, _) = socks5(server.address, None, 0).await;
    let manager = manager_with(Fixed::new(&["127.0.0.1"]));
    let filtered = |name: &str, url: String| {
        let settings = PoolSettings {
            address_filter: Some(Arc::new(Nowhere)),
            ..through(&url)
        };
        manager.pool(name, settings).unwrap()
    };
    let by_http = filtered("http", format!("http://{}", speaks_http.address));
    let by_address = filtered("socks5", format!("socks5://{}", speaks_socks.address));
    let by_name = filtered("socks5h", format!("socks5h://{}", speaks_socks.address));
    for (pool, host) in [
        (&by_http, "127.0.0.1"),
        (&by_http, "127.1"),
        (&by_http, "[::1]"),
        (&by_name, "10.0.0.1"),
        (&by_address, "server.test"),
    ] {
        let error = fetch(pool, &format!("http://{host}/")).await.unwrap_err();
        assert!(matches!(error, SendError::AddressDenied { .. }), "{host}: {error:?}");
    }
    assert_eq!((speaks_http.seen.accepted(), speaks_socks.seen.accepted()), (0, 0));
    // What these find for a name is theirs to judge.
    assert!(fetch(&by_http, "http://server.test/").await.is_ok());
    assert!(fetch(&by_name, "http://server.test/").await.is_ok());
}

#[tokio::test]
async fn pools_of_one_name_go_the_same_way() {
    let manager = manager();
    let url = "http://me:secret@proxy:3128";
    manager.pool("test", through(url)).unwrap();
    manager.pool("test", through(url)).unwrap();
    for other in [through("http://me:other@proxy:3128"), config(4).into()] {
        let error = manager.pool("test", other).unwrap_err();
        assert!(!error.to_string().contains("secret"));
        assert!(matches!(error, PoolError::SettingsDiffer { differing, .. } if differing == ["proxies"]));
    }
}
