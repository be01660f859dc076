//! Logs, on standard error.

use std::io::IsTerminal as _;

use tracing_subscriber::EnvFilter;

use super::Global;

/// Starts logging. `RUST_LOG` says what in detail; else `-v` and `-q` do, from the `usual` level up or down.
pub fn log_to_stderr(global: &Global, usual: &str) {
    const LEVELS: [&str; 4] = ["warn", "info", "debug", "trace"];
    let start = LEVELS.iter().position(|level| *level == usual).unwrap_or_default();
    let raised = LEVELS
        .get(start + usize::from(global.verbose))
        .copied()
        .unwrap_or("trace");
    let level = if global.quiet { "error" } else { raised };
    // Libraries speak up only at the last stage; what they tell is rarely about the user's doing.
    let libraries = if level == "trace" { "debug" } else { "warn" };
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| {
        EnvFilter::new(format!(
            "{libraries},weir={level},weir_runtime={level},weir_pool={level}"
        ))
    });
    // They repeat what a component hands over, argument by argument: bodies, headers, paths with their queries.
    let filter = ["wasmtime_wasi_http=debug", "wasmtime_wasi_io=debug"]
        .into_iter()
        .filter_map(|directive| directive.parse().ok())
        .fold(filter, EnvFilter::add_directive);
    let colored = global.color.applies(std::io::stderr().is_terminal());
    let subscriber = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_ansi(colored)
        .finish();
    // It fails only where a subscriber is set already, which then serves.
    let _ = tracing::subscriber::set_global_default(subscriber);
}
