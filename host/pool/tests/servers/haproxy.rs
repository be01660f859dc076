//! haproxy, which answers by itself: HTTP/1.1 at one port and HTTP/2 over TLS at another.

use std::fs;

use rustix::process::Signal;
use rustls::RootCertStore;
use tempfile::TempDir;
use weir_pool::PoolConfig;

use super::certificate::Certificate;
use super::process::{Process, free_port};
use super::rest::{Subject, eventually};
use super::{Over, sockets};

/// A running haproxy, its master and its worker.
pub struct Haproxy {
    process: Process,
    _folder: TempDir,
    roots: RootCertStore,
    http1: u16,
    http2: u16,
}

impl Haproxy {
    /// Starts it with these lines in its `defaults` section. It answers every request with 200.
    pub fn with(defaults: &str) -> Self {
        let folder = TempDir::new().unwrap();
        let certificate = Certificate::made_in(folder.path());
        let (http1, http2) = (free_port(), free_port());
        let path = folder.path();
        // Through the socket of statistics a new worker is handed the listeners of the old one, so that no connection
        // is lost between them.
        let text = format!(
            "global\n    \
                 stats socket {socket} mode 600 level admin expose-fd listeners\n    \
                 log stderr format raw daemon\n\
             defaults\n    \
                 mode http\n    \
                 timeout connect 5s\n    \
                 timeout client 30s\n    \
                 timeout server 30s\n    \
                 {defaults}\n\
             frontend front\n    \
                 bind 127.0.0.1:{http1}\n    \
                 bind 127.0.0.1:{http2} ssl crt {bundle} alpn h2\n    \
                 http-request return status 200 content-type text/plain string ok\n",
            socket = path.join("statistics").display(),
            bundle = certificate.bundle.display(),
        );
        let configuration = path.join("haproxy.cfg");
        fs::write(&configuration, text).unwrap();
        let arguments = ["-W", "-db", "-f", configuration.to_str().unwrap()];
        Self {
            process: Process::start("haproxy", &arguments, path, http1),
            _folder: folder,
            roots: certificate.roots,
            http1,
            http2,
        }
    }

    pub fn port(&self, over: Over) -> u16 {
        match over {
            Over::Http1 => self.http1,
            Over::Http2 => self.http2,
        }
    }

    pub fn uri(&self, over: Over, path: &str) -> String {
        format!("{}://127.0.0.1:{}{path}", over.scheme(), self.port(over))
    }

    /// A pool that trusts this server, for requests over one of its ports.
    pub fn pool(&self, over: Over, config: PoolConfig) -> Subject {
        Subject::new(self.roots.clone(), config, self.port(over))
    }

    /// The connections that are open at one of its ports.
    pub fn open(&self, over: Over) -> usize {
        sockets::established_at(self.port(over))
    }

    /// Starts a new worker and waits until it serves; the old one finishes what it has begun and goes.
    pub async fn reload(&self) {
        // A master that is still busy with the last reload does not hear of the next.
        let loaded = || self.process.log().matches("Loading success").count();
        eventually(|| loaded() > 0).await;
        let before = loaded();
        self.process.signal(Signal::USR2);
        eventually(|| loaded() > before).await;
    }
}
