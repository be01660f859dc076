//! Servers behind TLS, speaking HTTP/2 stream by stream.

use std::future::Future;
use std::net::SocketAddr;
use std::sync::Arc;

use bytes::Bytes;
use h2::RecvStream;
use h2::server::SendResponse;
use http::{Request, Response};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};
use rustls::server::WebPkiClientVerifier;
use rustls::{RootCertStore, ServerConfig, ServerConnection};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Notify, Semaphore};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;
use weir_pool::{Pool, PoolConfig, PoolManager, PoolManagerBuilder};

use crate::peers::{Connection, Open, Seen};

/// A request as the peer sees it, with the way to answer it and the number of its connection.
pub struct Exchange {
    pub request: Request<RecvStream>,
    pub respond: SendResponse<Bytes>,
    pub connection: usize,
}

impl Exchange {
    /// Answers with the number of the connection.
    pub fn answer(mut self) -> Result<(), h2::Error> {
        let mut body = self.respond.send_response(Response::new(()), false)?;
        body.send_data(Bytes::from(self.connection.to_string()), true)
    }
}

/// A name that stands in every peer's certificate beside its address; for resolvers and proxies that lead it there.
pub const NAME: &str = "server.test";

/// A server behind TLS whose certificate its own [`TlsPeer::pool`] trusts.
pub struct TlsPeer {
    pub address: SocketAddr,
    pub seen: Arc<Seen>,
    /// Handshakes wait for a permit of this gate.
    pub door: Arc<Semaphore>,
    /// Its certificate in PEM.
    pub pem: String,
    roots: RootCertStore,
    leaving: Arc<Notify>,
}

impl TlsPeer {
    /// Serves HTTP/2 with this many streams a connection at once.
    pub async fn http2<F>(streams: u32, serve: impl Fn(Exchange) -> F + Clone + Send + Sync + 'static) -> Self
    where
        F: Future<Output = Result<(), h2::Error>> + Send + 'static,
    {
        let leaving = Arc::new(Notify::new());
        let left = leaving.clone();
        let serve_connection = move |tls, number, open| {
            let (serve, leaving) = (serve.clone(), left.clone());
            async move {
                let _open: Open = open;
                let mut builder = h2::server::Builder::new();
                let Ok(mut connection) = builder.max_concurrent_streams(streams).handshake::<_, Bytes>(tls).await
                else {
                    return;
                };
                loop {
                    tokio::select! {
                        accepted = connection.accept() => {
                            let Some(Ok((request, respond))) = accepted else { return };
                            tokio::spawn(serve(Exchange { request, respond, connection: number }));
                        }
                        () = leaving.notified() => connection.graceful_shutdown(),
                    }
                }
            }
        };
        Self {
            leaving,
            ..Self::serving(&[b"h2"], serve_connection).await
        }
    }

    /// Hands every connection, after its handshake, to `serve`, with its number.
    pub async fn serving<F>(
        alpn: &[&[u8]],
        serve: impl Fn(TlsStream<TcpStream>, usize, Open) -> F + Send + Sync + 'static,
    ) -> Self
    where
        F: Future<Output = ()> + Send + 'static,
    {
        Self::admitting(None, alpn, serve).await
    }

    /// Answers every HTTP/1.1 request with what `tell` makes of its connection. Whoever connects must show a certificate
    /// that `clients` vouches for, if that is given.
    pub async fn telling(
        clients: Option<RootCertStore>,
        tell: impl Fn(&ServerConnection) -> String + Clone + Send + Sync + 'static,
    ) -> Self {
        Self::admitting(clients, &[b"http/1.1"], move |tls, _, open| {
            let told = tell(tls.get_ref().1);
            async move {
                let _open: Open = open;
                let mut connection = Connection::over(tls);
                while let Ok(Some(_)) = connection.request().await {
                    if connection.answer(&told).await.is_err() {
                        return;
                    }
                }
            }
        })
        .await
    }

    async fn admitting<F>(
        clients: Option<RootCertStore>,
        alpn: &[&[u8]],
        serve: impl Fn(TlsStream<TcpStream>, usize, Open) -> F + Send + Sync + 'static,
    ) -> Self
    where
        F: Future<Output = ()> + Send + 'static,
    {
        let made = rcgen::generate_simple_self_signed(["127.0.0.1".to_owned(), NAME.to_owned()]).unwrap();
        let mut roots = RootCertStore::empty();
        roots.add(made.cert.der().clone()).unwrap();
        let key = PrivateKeyDer::from(PrivatePkcs8KeyDer::from(made.signing_key.serialize_der()));
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let verifier = clients.map(|clients| {
            let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(clients), provider.clone());
            verifier.build().unwrap()
        });
        let mut config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_client_cert_verifier(verifier.unwrap_or_else(WebPkiClientVerifier::no_client_auth))
            .with_single_cert(vec![made.cert.der().clone()], key)
            .unwrap();
        config.alpn_protocols = alpn.iter().map(|name| name.to_vec()).collect();
        let acceptor = TlsAcceptor::from(Arc::new(config));

        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (seen, door) = (
            Arc::new(Seen::default()),
            Arc::new(Semaphore::new(Semaphore::MAX_PERMITS)),
        );
        let (counting, gate) = (seen.clone(), door.clone());
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                stream.set_nodelay(true).unwrap();
                let (number, open) = counting.enter();
                gate.acquire().await.unwrap().forget();
                if let Ok(tls) = acceptor.accept(stream).await {
                    tokio::spawn(serve(tls, number, open));
                }
            }
        });
        Self {
            address,
            seen,
            door,
            pem: made.cert.pem(),
            roots,
            leaving: Arc::default(),
        }
    }

    /// Says goodbye on a connection: what is under way is finished, nothing new is taken.
    pub fn leave(&self) {
        self.leaving.notify_one();
    }

    pub fn uri(&self, path: &str) -> String {
        format!("https://{}{path}", self.address)
    }

    /// A manager that trusts this peer alone.
    pub fn manager(&self) -> PoolManager {
        self.builder().build().unwrap()
    }

    /// The beginning of a manager that trusts this peer alone.
    pub fn builder(&self) -> PoolManagerBuilder {
        PoolManager::builder().roots(self.roots.clone())
    }

    pub fn certificate(&self) -> CertificateDer<'static> {
        CertificateDer::from_pem_slice(self.pem.as_bytes()).unwrap()
    }

    pub fn pool(&self, config: PoolConfig) -> Pool {
        self.manager().pool("test", config.into()).unwrap()
    }
}
