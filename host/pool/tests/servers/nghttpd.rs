//! nghttpd, the server of the HTTP/2 library nghttp2: HTTP/2 over TLS and nothing else.

use std::fs;

use rustls::RootCertStore;
use tempfile::TempDir;
use weir_pool::PoolConfig;

use super::certificate::Certificate;
use super::process::{Process, free_port};
use super::rest::Subject;
use super::sockets;

/// A running nghttpd, which serves one small file.
pub struct Nghttpd {
    process: Process,
    folder: TempDir,
    arguments: Vec<String>,
    roots: RootCertStore,
    port: u16,
}

impl Nghttpd {
    /// Starts it with these options.
    pub fn with(options: &[&str]) -> Self {
        let folder = TempDir::new().unwrap();
        let certificate = Certificate::made_in(folder.path());
        let port = free_port();
        fs::write(folder.path().join("index.html"), "ok").unwrap();
        let own = [
            "-a",
            "127.0.0.1",
            "-d",
            folder.path().to_str().unwrap(),
            &port.to_string(),
            certificate.key.to_str().unwrap(),
            certificate.certificate.to_str().unwrap(),
        ]
        .map(str::to_owned);
        let arguments: Vec<_> = options.iter().map(ToString::to_string).chain(own).collect();
        Self {
            process: start(&arguments, &folder, port),
            folder,
            arguments,
            roots: certificate.roots,
            port,
        }
    }

    pub fn uri(&self, path: &str) -> String {
        format!("https://127.0.0.1:{}{path}", self.port)
    }

    /// A pool that trusts this server.
    pub fn pool(&self, config: PoolConfig) -> Subject {
        Subject::new(self.roots.clone(), config, self.port)
    }

    /// The connections that are open at its port.
    pub fn open(&self) -> usize {
        sockets::established_at(self.port)
    }

    /// Stops it, whatever it is doing, and starts another in its place.
    pub fn replace(&mut self) {
        self.process.stop();
        self.process = start(&self.arguments, &self.folder, self.port);
    }
}

fn start(arguments: &[String], folder: &TempDir, port: u16) -> Process {
    let arguments: Vec<_> = arguments.iter().map(String::as_str).collect();
    Process::start("nghttpd", &arguments, folder.path(), port)
}
