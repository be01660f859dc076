//! Whom a pool trusts and who it is itself: its own roots, a client certificate, sessions resumed by those alone who
//! have the same.

use std::path::Path;
use std::process::Command;

use rustls::RootCertStore;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use rustls::server::ServerConnection;
use weir_pool::{
    Certificates, ClientCertificate, PoolConfig, PoolError, PoolManager, PoolSettings, Roots, SendError, TlsSettings,
};

use crate::peers::{config, fetch, manager};
use crate::tls_peers::TlsPeer;

/// The variable that tells the test with an environment of its own what to fetch.
const URI: &str = "WEIR_POOL_TEST_URI";

fn settings(tls: TlsSettings) -> PoolSettings {
    PoolSettings {
        tls,
        // A connection a request, so that each shakes hands.
        ..PoolSettings::from(PoolConfig {
            enabled: false,
            ..config(1)
        })
    }
}

fn trusting(roots: Roots) -> PoolSettings {
    settings(TlsSettings {
        roots,
        ..TlsSettings::default()
    })
}

fn certificate_of(peer: &TlsPeer) -> Certificates {
    Certificates::from_pem(peer.pem.as_bytes()).unwrap()
}

/// Tells whether the handshake was shortened.
fn resumed(connection: &ServerConnection) -> String {
    let kind = connection.handshake_kind().unwrap();
    if kind == rustls::HandshakeKind::Resumed {
        "resumed"
    } else {
        "full"
    }
    .to_owned()
}

struct Client {
    chain: String,
    key: String,
}

impl Client {
    fn new(name: &str) -> Self {
        let made = rcgen::generate_simple_self_signed([name.to_owned()]).unwrap();
        Self {
            chain: made.cert.pem(),
            key: made.signing_key.serialize_pem(),
        }
    }

    fn settings(&self) -> PoolSettings {
        let certificate = ClientCertificate::from_pem(self.chain.as_bytes(), self.key.as_bytes()).unwrap();
        settings(TlsSettings {
            client_certificate: Some(certificate),
            ..TlsSettings::default()
        })
    }
}

#[tokio::test]
async fn a_pool_trusts_the_roots_it_is_given() {
    let (shared, own) = (
        TlsPeer::telling(None, resumed).await,
        TlsPeer::telling(None, resumed).await,
    );
    let manager = shared.manager();
    let cases = [
        ("shared", Roots::Shared, true, false),
        ("added", Roots::Added(certificate_of(&own)), true, true),
        ("only", Roots::Only(certificate_of(&own)), false, true),
    ];
    for (name, roots, trusts_shared, trusts_own) in cases {
        let pool = manager.pool(name, trusting(roots)).unwrap();
        for (peer, trusted) in [(&shared, trusts_shared), (&own, trusts_own)] {
            match fetch(&pool, &peer.uri("/")).await {
                Ok(_) => assert!(trusted, "{name}"),
                Err(SendError::Tls { .. }) => assert!(!trusted, "{name}"),
                Err(error) => panic!("{name}: {error:?}"),
            }
        }
    }
}

#[tokio::test]
async fn a_server_that_asks_for_a_certificate_is_shown_the_pools() {
    let (known, unknown) = (Client::new("known"), Client::new("unknown"));
    let mut clients = RootCertStore::empty();
    clients
        .add(CertificateDer::from_pem_slice(known.chain.as_bytes()).unwrap())
        .unwrap();
    let peer = TlsPeer::telling(Some(clients), |connection| {
        connection.peer_certificates().map_or(0, <[_]>::len).to_string()
    })
    .await;
    let manager = peer.manager();
    let pool = manager.pool("known", known.settings()).unwrap();
    assert_eq!(fetch(&pool, &peer.uri("/")).await.unwrap(), "1");
    for (name, settings) in [("unknown", unknown.settings()), ("nobody", trusting(Roots::Shared))] {
        let pool = manager.pool(name, settings).unwrap();
        assert!(fetch(&pool, &peer.uri("/")).await.is_err(), "{name}");
    }
}

#[tokio::test]
async fn sessions_are_resumed_by_pools_of_one_identity_and_by_no_others() {
    let peer = TlsPeer::telling(None, resumed).await;
    let manager = peer.manager();
    let client = Client::new("client");
    let told = async |name: &str, settings: PoolSettings| {
        let pool = manager.pool(name, settings).unwrap();
        fetch(&pool, &peer.uri("/")).await.unwrap()
    };
    assert_eq!(told("one", trusting(Roots::Shared)).await, "full");
    assert_eq!(told("one", trusting(Roots::Shared)).await, "resumed");
    assert_eq!(told("other", trusting(Roots::Shared)).await, "resumed");
    assert_eq!(told("client", client.settings()).await, "full");
    assert_eq!(told("same client", client.settings()).await, "resumed");
    assert_eq!(
        told("rooted", trusting(Roots::Added(certificate_of(&peer)))).await,
        "full"
    );
}

#[tokio::test]
async fn pools_of_one_name_have_one_identity() {
    let peer = TlsPeer::telling(None, resumed).await;
    let manager = manager();
    let (one, other) = (Client::new("one"), Client::new("other"));
    manager.pool("test", one.settings()).unwrap();
    manager.pool("test", one.settings()).unwrap();
    let rooted = trusting(Roots::Only(certificate_of(&peer)));
    for (settings, expected) in [
        (other.settings(), vec!["tls.client_certificate"]),
        (rooted, vec!["tls.roots", "tls.client_certificate"]),
    ] {
        let error = manager.pool("test", settings).unwrap_err();
        assert!(matches!(error, PoolError::SettingsDiffer { differing, .. } if differing == expected));
    }
}

#[tokio::test]
async fn a_file_or_a_folder_of_roots_is_named_by_the_environment() {
    let peer = TlsPeer::telling(None, resumed).await;
    let folder = std::env::temp_dir().join(format!("weir-pool-roots-{}", peer.address.port()));
    std::fs::create_dir_all(&folder).unwrap();
    let file = folder.join("root.pem");
    std::fs::write(&file, &peer.pem).unwrap();
    let uri = peer.uri("/");
    let outcomes = tokio::task::spawn_blocking(move || {
        let outcomes = [
            trusted_with("SSL_CERT_FILE", &file, &uri),
            trusted_with("SSL_CERT_DIR", &folder, &uri),
            trusted_with("SSL_CERT_FILE", &folder.join("none.pem"), &uri),
        ];
        std::fs::remove_dir_all(&folder).unwrap();
        outcomes
    })
    .await
    .unwrap();
    assert_eq!(outcomes, [true, true, false]);
}

/// Whether a process whose environment names `path` can fetch `uri`.
fn trusted_with(variable: &str, path: &Path, uri: &str) -> bool {
    let mut process = Command::new(std::env::current_exe().unwrap());
    process.args([
        "--ignored",
        "--exact",
        "identity::fetches_with_the_roots_of_its_environment",
    ]);
    process.env_remove("SSL_CERT_FILE").env_remove("SSL_CERT_DIR");
    process.env(variable, path).env(URI, uri);
    let output = process.output().unwrap();
    let told = String::from_utf8_lossy(&output.stdout);
    assert!(told.contains("running 1 test"), "{told}");
    output.status.success()
}

#[tokio::test]
#[ignore = "run by a_file_or_a_folder_of_roots_is_named_by_the_environment in a process of its own"]
async fn fetches_with_the_roots_of_its_environment() {
    let Ok(uri) = std::env::var(URI) else { return };
    let pool = PoolManager::new().unwrap().pool("test", config(1).into()).unwrap();
    assert_eq!(fetch(&pool, &uri).await.unwrap(), "full");
}
