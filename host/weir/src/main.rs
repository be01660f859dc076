//! The program `weir`.

#![forbid(unsafe_code)]

use std::io::Write as _;
use std::process::ExitCode;

use clap::Parser as _;
use weir::cli::{Cli, Context, ExitStatus, error_message, log_to_stderr};
use weir::commands;
use weir::telemetry::otlp::Otlp;

/// For the C of the syntax trees, too: the crate's feature `unprefixed_malloc_on_supported_platforms` gives the program its
/// `malloc`.
#[cfg(target_os = "linux")]
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

fn main() -> ExitCode {
    let cli = Cli::parse();
    let json = cli.global.json;
    let status = execute(cli).unwrap_or_else(|error| {
        if let Some(message) = error_message(&error, json) {
            // Where standard error is closed, the exit status has to say it all.
            let _ = writeln!(std::io::stderr(), "{message}");
        }
        ExitStatus::of(&error)
    });
    ExitCode::from(status.code())
}

fn execute(cli: Cli) -> anyhow::Result<ExitStatus> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let otlp = Otlp::start(runtime.handle());
    log_to_stderr(&cli.global, cli.command.usual_log_level(), &otlp);
    for problem in otlp.problems() {
        tracing::warn!("{problem}");
    }
    let context = Context::new(&cli.global)?;
    let result = runtime.block_on(async {
        let interruptible = !cli.command.ends_on_signals();
        let result = tokio::select! {
            result = commands::run(cli.command, &context) => result.map(|()| ExitStatus::Done),
            // Dropping the command cancels its calls, and with them their requests.
            _ = tokio::signal::ctrl_c(), if interruptible => Ok(ExitStatus::Interrupted),
        };
        let status = result.as_ref().map_or_else(ExitStatus::of, |status| *status);
        context.close(&status).await;
        result
    });
    otlp.end();
    // A blocking read of standard input would hold the program up.
    runtime.shutdown_background();
    result
}
