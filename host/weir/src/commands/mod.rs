//! The commands, one file each: arguments, and what is done with them.

pub mod bench;
pub mod call;
pub mod completions;
pub mod config;
pub mod doctor;
pub mod index;
mod input;
pub mod inspect;
pub mod man;
pub mod mcp;
pub mod new;
pub mod pools;
pub mod providers;
pub mod ready;
pub mod search;
pub mod serve;

use crate::cli::{Command, Context};

/// Runs a command.
///
/// # Errors
/// One that says what happened and what to do. [`crate::cli::ExitStatus::of`] tells what it means for the exit.
pub async fn run(command: Command, context: &Context) -> anyhow::Result<()> {
    match command {
        Command::Serve(args) => serve::run(args, context).await,
        Command::Index(args) => index::run(args, context).await,
        Command::Search(args) => search::run(args, context).await,
        Command::Mcp(args) => mcp::run(args, context).await,
        Command::Call(args) => call::run(args, context).await,
        Command::Bench(args) => bench::run(args, context).await,
        Command::Providers(args) => providers::run(&args, context).await,
        Command::Inspect(args) => inspect::run(&args, context).await,
        Command::New(args) => new::run(args, context),
        Command::Pools(args) => pools::run(&args, context).await,
        Command::Ready(args) => ready::run(&args, context).await,
        Command::Doctor => doctor::run(context).await,
        Command::Config(command) => config::run(command, context),
        Command::Completions(args) => completions::run(&args, context),
        Command::Man(args) => man::run(&args),
    }
}
