//! nginx, which speaks HTTP/1.1 at one port and HTTP/2 over TLS at another.

use std::collections::BTreeMap;
use std::fs::{self, File, Permissions};
use std::io::{Read, Write};
use std::net::TcpStream;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use rustix::process::Signal;
use rustls::RootCertStore;
use tempfile::{Builder, TempDir};
use weir_pool::PoolSettings;

use super::Over;
use super::certificate::Certificate;
use super::process::{Process, free_port};
use super::rest::Subject;

/// The length of the body at `/large`: more than the buffers between it and a caller that does not read.
pub const LARGE: u64 = 8 * 1024 * 1024;

/// A running nginx. Its log and configuration go with it.
pub struct Nginx {
    process: Process,
    folder: TempDir,
    roots: RootCertStore,
    http1: u16,
    http2: u16,
    status: u16,
}

impl Nginx {
    /// Starts it with these directives in its `server` block, which answers 200 everywhere and has [`LARGE`] bytes at
    /// `/large`.
    pub fn with(directives: &str) -> Self {
        // Its workers are other users.
        let folder = Builder::new()
            .permissions(Permissions::from_mode(0o755))
            .tempdir()
            .unwrap();
        File::create(folder.path().join("large"))
            .unwrap()
            .set_len(LARGE)
            .unwrap();
        let certificate = Certificate::made_in(folder.path());
        let (http1, http2, status) = (free_port(), free_port(), free_port());
        let path = folder.path();
        let text = format!(
            "daemon off;
            worker_processes 2;
            pid {pid};
            error_log stderr notice;
            events {{ worker_connections 1024; }}
            http {{
                log_format exchange '$connection $status $uri';
                client_body_temp_path {temporary}; proxy_temp_path {temporary}; fastcgi_temp_path {temporary};
                uwsgi_temp_path {temporary}; scgi_temp_path {temporary};
                server {{
                    listen 127.0.0.1:{http1};
                    listen 127.0.0.1:{http2} ssl http2;
                    ssl_certificate {certificate};
                    ssl_certificate_key {key};
                    access_log {log} exchange;
                    {directives}
                    location / {{ return 200 ok; }}
                    location = /large {{ root {root}; }}
                }}
                server {{
                    listen 127.0.0.1:{status};
                    access_log off;
                    keepalive_timeout 0;
                    location / {{ stub_status; }}
                }}
            }}",
            pid = path.join("pid").display(),
            root = path.display(),
            temporary = path.join("temporary").display(),
            certificate = certificate.certificate.display(),
            key = certificate.key.display(),
            log = path.join("access.log").display(),
        );
        fs::write(path.join("nginx.conf"), text).unwrap();
        Self {
            process: start(path, status),
            roots: certificate.roots,
            folder,
            http1,
            http2,
            status,
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
    pub fn pool(&self, over: Over, settings: impl Into<PoolSettings>) -> Subject {
        Subject::new(self.roots.clone(), settings, self.port(over))
    }

    /// The connections that nginx has open, by its own account.
    pub fn open(&self) -> usize {
        let mut stream = TcpStream::connect(("127.0.0.1", self.status)).unwrap();
        stream.write_all(b"GET / HTTP/1.0\r\n\r\n").unwrap();
        let mut text = String::new();
        stream.read_to_string(&mut text).unwrap();
        let active = text.split_once("Active connections: ").unwrap().1;
        let active: usize = active.lines().next().unwrap().trim().parse().unwrap();
        // The one that asks is counted too.
        active - 1
    }

    /// Starts new workers with the same configuration; the old ones finish what they have begun and go.
    pub fn reload(&self) {
        self.process.signal(Signal::HUP);
    }

    /// How many requests each connection has brought, by the access log.
    pub fn requests_by_connection(&self) -> BTreeMap<String, usize> {
        self.logged_by(0)
    }

    /// How many requests came for each path, by the access log.
    pub fn requests_by_path(&self) -> BTreeMap<String, usize> {
        self.logged_by(2)
    }

    fn logged_by(&self, field: usize) -> BTreeMap<String, usize> {
        let mut requests = BTreeMap::new();
        for line in fs::read_to_string(self.folder.path().join("access.log"))
            .unwrap()
            .lines()
        {
            let name = line.split(' ').nth(field).unwrap();
            *requests.entry(name.to_owned()).or_default() += 1;
        }
        requests
    }
}

fn start(folder: &Path, port: u16) -> Process {
    let configuration = folder.join("nginx.conf");
    let arguments = ["-p", folder.to_str().unwrap(), "-c", configuration.to_str().unwrap()];
    Process::start("nginx", &arguments, folder, port)
}
