//! Proxies: tinyproxy, which asks for a password before it makes a tunnel, and dante, which speaks SOCKS5.

use std::fs;

use tempfile::TempDir;

use super::process::{Process, free_port};

/// A running tinyproxy that knows one user.
pub struct Tinyproxy {
    pub port: u16,
    _process: Process,
    _folder: TempDir,
}

impl Tinyproxy {
    pub fn asking_for(user: &str, password: &str) -> Self {
        let folder = TempDir::new().unwrap();
        let port = free_port();
        let configuration = folder.path().join("tinyproxy.conf");
        let text = format!("Port {port}\nListen 127.0.0.1\nTimeout 60\nBasicAuth {user} {password}\n");
        fs::write(&configuration, text).unwrap();
        let arguments = ["-d", "-c", configuration.to_str().unwrap()];
        Self {
            _process: Process::start("tinyproxy", &arguments, folder.path(), port),
            _folder: folder,
            port,
        }
    }
}

/// A running dante that lets everybody through to this machine.
pub struct Dante {
    pub port: u16,
    _process: Process,
    _folder: TempDir,
}

impl Dante {
    pub fn start() -> Self {
        let folder = TempDir::new().unwrap();
        let port = free_port();
        let configuration = folder.path().join("danted.conf");
        let text = format!(
            "logoutput: stderr\n\
             internal: 127.0.0.1 port = {port}\n\
             external: 127.0.0.1\n\
             clientmethod: none\n\
             socksmethod: none\n\
             client pass {{ from: 127.0.0.0/8 to: 0.0.0.0/0 }}\n\
             socks pass {{ from: 127.0.0.0/8 to: 127.0.0.0/8 }}\n"
        );
        fs::write(&configuration, text).unwrap();
        let pid = folder.path().join("pid");
        let arguments = ["-f", configuration.to_str().unwrap(), "-p", pid.to_str().unwrap()];
        Self {
            _process: Process::start("danted", &arguments, folder.path(), port),
            _folder: folder,
            port,
        }
    }
}
