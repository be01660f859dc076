//! `weir serve`: the HTTP API, until a signal ends it.

use std::io::{self, Write as _};
use std::sync::{Arc, OnceLock};

use serde_json::json;
use tokio_util::sync::CancellationToken;
use tokio_util::task::AbortOnDropHandle;

use crate::cli::{Context, Interrupted, UsageError};
use crate::config::load;
use crate::host::{Look, Watch};
use crate::server::{Reloader, ServeError, Server};

/// What `weir serve` takes.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Address and port [default: server.listen, 127.0.0.1:8787]. Port 0 takes a free one.
    #[arg(long, value_name = "ADDRESS")]
    listen: Option<String>,
    /// Load every provider at the start, not each at its first request.
    #[arg(long)]
    eager: bool,
}

pub(super) async fn run(args: Args, context: &Context) -> anyhow::Result<()> {
    let listen = args
        .listen
        .map(|text| (vec!["server".to_owned(), "listen".to_owned()], text));
    let sources = context.sources_with_flag("--listen", listen);
    let config = load(&sources)?;
    let signals = Signals::watch()?;
    let hang_ups = HangUps::watch()?;
    let host = Arc::new(context.open(config).await?);
    let server = Server::bind(host).await.map_err(|error| match error {
        ServeError::Config(error) => anyhow::Error::new(error),
        ServeError::MissingKey(_) | ServeError::EmptyKey(_) => UsageError(error.to_string()).into(),
        ServeError::Bind { .. } => error.into(),
    })?;

    let reloader = server.reloader(sources, args.eager);
    let _reloading = AbortOnDropHandle::new(tokio::spawn(keep_current(reloader, hang_ups)));

    // Where standard error is closed, the server serves all the same.
    let _ = writeln!(io::stderr(), "listening on {}", server.url());
    if context.output.is_json() {
        context
            .output
            .json_line(&json!({"event": "listening", "url": server.url()}))?;
    }

    let cut_off = server
        .run(args.eager, signals.first.cancelled(), signals.second.cancelled())
        .await;

    let _ = writeln!(io::stderr(), "stopped; requests cut off: {cut_off}");
    if context.output.is_json() {
        context
            .output
            .json_line(&json!({"event": "stopped", "cut_off": cut_off}))?;
    }
    if signals.was_interrupt() {
        Err(Interrupted.into())
    } else {
        Ok(())
    }
}

/// Looks at the configuration and what it names whenever a file of it changes, and at all of it again on SIGHUP.
async fn keep_current(mut reloader: Reloader, mut hang_ups: HangUps) {
    let mut watch = Watch::start("SIGHUP has them looked at")
        .inspect_err(|error| tracing::warn!(%error, "changed files are not noticed; SIGHUP has them looked at"))
        .ok();
    loop {
        while let Some(watch) = &mut watch
            && watch.follow(&reloader.files())
        {
            reloader.look(Look::ForChanges).await;
        }
        let changed = async {
            match &mut watch {
                Some(watch) => watch.changed().await,
                None => std::future::pending().await,
            }
        };
        let look = tokio::select! {
            () = hang_ups.next() => Look::Again,
            () = changed => Look::ForChanges,
        };
        reloader.look(look).await;
    }
}

/// The first signal ends the server in an orderly way; the second at once.
struct Signals {
    first: CancellationToken,
    second: CancellationToken,
    /// Whether the first was SIGINT.
    interrupt: Arc<OnceLock<bool>>,
    _watcher: AbortOnDropHandle<()>,
}

impl Signals {
    /// Takes SIGINT and SIGTERM over from now on.
    fn watch() -> io::Result<Self> {
        let (first, second) = (CancellationToken::new(), CancellationToken::new());
        let interrupt = Arc::new(OnceLock::new());
        let mut source = SignalSource::new()?;
        let watcher = tokio::spawn({
            let (first, second, interrupt) = (first.clone(), second.clone(), interrupt.clone());
            async move {
                let _ = interrupt.set(source.next_is_interrupt().await);
                first.cancel();
                source.next_is_interrupt().await;
                second.cancel();
            }
        });
        Ok(Self {
            first,
            second,
            interrupt,
            _watcher: AbortOnDropHandle::new(watcher),
        })
    }

    fn was_interrupt(&self) -> bool {
        self.interrupt.get().copied().unwrap_or(false)
    }
}

#[cfg(unix)]
struct SignalSource {
    interrupt: tokio::signal::unix::Signal,
    terminate: tokio::signal::unix::Signal,
}

#[cfg(unix)]
impl SignalSource {
    fn new() -> io::Result<Self> {
        use tokio::signal::unix::{SignalKind, signal};
        Ok(Self {
            interrupt: signal(SignalKind::interrupt())?,
            terminate: signal(SignalKind::terminate())?,
        })
    }

    async fn next_is_interrupt(&mut self) -> bool {
        tokio::select! {
            _ = self.interrupt.recv() => true,
            _ = self.terminate.recv() => false,
        }
    }
}

#[cfg(not(unix))]
struct SignalSource;

#[cfg(not(unix))]
impl SignalSource {
    fn new() -> io::Result<Self> {
        Ok(Self)
    }

    async fn next_is_interrupt(&mut self) -> bool {
        // An error means that no signal can ever come.
        if tokio::signal::ctrl_c().await.is_err() {
            std::future::pending::<()>().await;
        }
        true
    }
}

/// SIGHUP, which never comes where there is none.
struct HangUps {
    #[cfg(unix)]
    signal: tokio::signal::unix::Signal,
}

impl HangUps {
    /// Takes SIGHUP over from now on.
    fn watch() -> io::Result<Self> {
        Ok(Self {
            #[cfg(unix)]
            signal: tokio::signal::unix::signal(tokio::signal::unix::SignalKind::hangup())?,
        })
    }

    async fn next(&mut self) {
        #[cfg(unix)]
        if self.signal.recv().await.is_some() {
            return;
        }
        std::future::pending().await
    }
}
