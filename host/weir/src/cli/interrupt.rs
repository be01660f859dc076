//! Ctrl-C for commands that end in good order when they are asked to.

use std::io;

use tokio::signal::unix::{SignalKind, signal};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

/// Listens for an interrupt as long as it lives.
#[derive(Debug)]
pub struct Interrupt {
    /// Cancelled by the first interrupt.
    pub cancel: CancellationToken,
    listening: JoinHandle<()>,
}

impl Interrupt {
    /// Listens from here on: an interrupt that comes right after is heard, however late the task that waits for it has
    /// its turn.
    ///
    /// # Errors
    /// Where the system lets no handler be set.
    pub fn listen() -> io::Result<Self> {
        let mut interrupts = signal(SignalKind::interrupt())?;
        let cancel = CancellationToken::new();
        let told = cancel.clone();
        let listening = tokio::spawn(async move {
            if interrupts.recv().await.is_some() {
                told.cancel();
            }
        });
        Ok(Self { cancel, listening })
    }
}

impl Drop for Interrupt {
    fn drop(&mut self) {
        self.listening.abort();
    }
}
