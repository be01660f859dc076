//! A server as a process of its own.

use std::fs::{self, File};
use std::net::{TcpListener, TcpStream};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU16, Ordering};
use std::thread;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process, kill_process_group};

/// How often a state is looked at while it is waited for.
const LOOKS_EVERY: Duration = Duration::from_millis(10);
/// How many looks a server has to start or to stop: 10 s.
const LOOKS: usize = 1_000;

/// Ports below those that Linux gives to outgoing connections (32768 and up), so that no connection of a test takes the
/// port a server is about to listen on.
const PORTS: std::ops::Range<u16> = 12_000..32_000;

/// A port of 127.0.0.1 that nobody listens on, another one with every call.
pub fn free_port() -> u16 {
    static NEXT: AtomicU16 = AtomicU16::new(0);
    loop {
        // Test programs that run at the same time begin at different places.
        let offset = std::process::id().wrapping_mul(61) + u32::from(NEXT.fetch_add(1, Ordering::Relaxed));
        let port = PORTS.start + u16::try_from(offset % u32::from(PORTS.end - PORTS.start)).unwrap();
        if TcpListener::bind(("127.0.0.1", port)).is_ok() {
            return port;
        }
    }
}

/// A running server. It is stopped when this is dropped, and what it wrote is shown if the test has failed.
pub struct Process {
    child: Child,
    log: PathBuf,
}

impl Process {
    /// Starts `program` and waits until it accepts connections at `port`. What it prints goes to a file in `folder`.
    pub fn start(program: &str, arguments: &[&str], folder: &Path, port: u16) -> Self {
        let log = folder.join(format!("{program}.log"));
        let output = File::options().create(true).append(true).open(&log).unwrap();
        let path = std::env::var("PATH").unwrap_or_default();
        let child = Command::new(program)
            .args(arguments)
            // Servers lie where an ordinary user's PATH may not lead.
            .env("PATH", format!("{path}:/usr/local/sbin:/usr/sbin:/sbin"))
            .current_dir(folder)
            .stdin(Stdio::null())
            .stdout(output.try_clone().unwrap())
            .stderr(output)
            // What it starts goes with it.
            .process_group(0)
            .spawn()
            .unwrap_or_else(|error| panic!("{program} cannot be started ({error}); `just peers` installs it"));
        let mut process = Self { child, log };
        for _ in 0..LOOKS {
            if let Some(status) = process.child.try_wait().unwrap() {
                panic!("{program} ended at once with {status}");
            }
            if listens(port) {
                return process;
            }
            pause();
        }
        panic!("{program} does not accept connections at port {port}");
    }

    /// Sends a signal to the process itself.
    pub fn signal(&self, signal: Signal) {
        kill_process(self.pid(), signal).unwrap();
    }

    /// Asks the server to stop, and makes it if it does not. Returns once it is gone.
    pub fn stop(&mut self) {
        if self.child.try_wait().unwrap().is_none() {
            self.signal(Signal::TERM);
        }
        for _ in 0..LOOKS {
            if self.child.try_wait().unwrap().is_some() {
                break;
            }
            pause();
        }
        // Nobody is left in the group, as a rule.
        let _ = kill_process_group(self.pid(), Signal::KILL);
        self.child.wait().unwrap();
    }

    /// What it has printed.
    pub fn log(&self) -> String {
        fs::read_to_string(&self.log).unwrap_or_default()
    }

    fn pid(&self) -> Pid {
        Pid::from_child(&self.child)
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.stop();
        if thread::panicking() {
            eprintln!("---- {}\n{}----", self.log.display(), self.log());
        }
    }
}

#[expect(
    clippy::disallowed_methods,
    reason = "a test that starts or stops its server does nothing else"
)]
fn pause() {
    thread::sleep(LOOKS_EVERY);
}

/// Whether something listens there. A connection that met itself, where nothing does yet, does not count (RFC 9293, 3.5).
fn listens(port: u16) -> bool {
    TcpStream::connect(("127.0.0.1", port))
        .is_ok_and(|stream| matches!((stream.local_addr(), stream.peer_addr()), (Ok(own), Ok(other)) if own != other))
}
