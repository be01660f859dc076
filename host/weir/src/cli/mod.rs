//! The command line: what it takes, what every command has at hand, and what the program's exit says.

mod context;
mod exit;
mod interrupt;
mod logging;
mod output;

use std::path::PathBuf;

use clap::{ArgAction, Args, Parser, Subcommand, ValueEnum};

use crate::commands;

pub use context::Context;
pub use exit::{ExitStatus, Failed, Interrupted, Misconfigured, NotLoaded, UsageError, message as error_message};
pub use interrupt::Interrupt;
pub use logging::log_to_stderr;
pub use output::Output;

/// Pooled HTTP for sandboxed provider adapters: gateway, indexer and search.
#[derive(Debug, Parser)]
#[command(name = "weir", version, propagate_version = true, max_term_width = 100)]
pub struct Cli {
    /// What holds for every command.
    #[command(flatten)]
    pub global: Global,
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// Flags of every command.
#[derive(Debug, Clone, Args)]
pub struct Global {
    /// The configuration file [default: $WEIR_CONFIG, ./weir.toml, the user's configuration folder].
    #[arg(long, global = true, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// Print results, and errors, as JSON.
    #[arg(long, global = true)]
    pub json: bool,
    /// Log more; twice for still more.
    #[arg(short, long, global = true, action = ArgAction::Count, conflicts_with = "quiet")]
    pub verbose: u8,
    /// Log errors only.
    #[arg(short, long, global = true)]
    pub quiet: bool,
    /// When to use colours.
    #[arg(long, global = true, value_name = "WHEN", default_value = "auto")]
    pub color: Color,
}

/// When to use colours.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Color {
    /// On a terminal, unless NO_COLOR is set.
    Auto,
    /// Always.
    Always,
    /// Never.
    Never,
}

impl Color {
    /// Whether colours are wanted where the output is a terminal, or is none.
    pub fn applies(self, terminal: bool) -> bool {
        match self {
            Color::Always => true,
            Color::Never => false,
            Color::Auto => terminal && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty()),
        }
    }
}

/// The commands.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Serve the HTTP API, health and metrics.
    ///
    /// The configuration, the components and the secrets are read again when their files change, and on SIGHUP. What is
    /// no good is refused, with a line in the log and a reason in /health, and changes nothing.
    Serve(commands::serve::Args),
    /// Index a tree of files into a vector store; a second run sends only what changed.
    Index(commands::index::Args),
    /// Search an index: dense and sparse vectors, then a reranker where one is configured.
    Search(commands::search::Args),
    /// Offer an index to coding assistants: an MCP server on standard input and output, with the tool `find_code`.
    Mcp(commands::mcp::Args),
    /// Run one operation of one provider: JSON in, JSON out.
    Call(commands::call::Args),
    /// Put a load on a provider, or on a URL through a pool, and show latency, connections and processor time.
    Bench(commands::bench::Args),
    /// List the configured providers.
    Providers(commands::providers::Args),
    /// Show what a component exports, imports and wants, and whether it would be admitted.
    Inspect(commands::inspect::Args),
    /// Write the crate of a new adapter, ready to be built.
    New(commands::new::Args),
    /// Show the pools of a running server.
    Pools(commands::pools::Args),
    /// Ask a running server whether requests should be sent to it: for health checks.
    Ready(commands::ready::Args),
    /// Check the configuration, the keys, the components, the network and this machine's limits.
    Doctor,
    /// Check or show the configuration.
    #[command(subcommand)]
    Config(commands::config::Command),
    /// Print a shell's completion script.
    Completions(commands::completions::Args),
    /// Write the manual's pages to a folder, one a command.
    Man(commands::man::Args),
}

impl Command {
    /// The level of logs where no flag asks for another.
    pub fn usual_log_level(&self) -> &'static str {
        match self {
            Command::Serve(_) => "info",
            _ => "warn",
        }
    }

    /// Whether the command ends in an orderly way by itself on Ctrl-C, instead of being dropped.
    pub fn ends_on_signals(&self) -> bool {
        matches!(self, Command::Serve(_) | Command::Index(_) | Command::Bench(_))
    }
}
