//! `weir search QUERY`: the chunks of an indexed tree that answer a question.

use std::io::Write as _;

use anyhow::Context as _;

use crate::cli::{Context, UsageError};
use crate::pool_use;
use crate::search::{self, PathFilter, Rerank, SearchError, SearchOptions};

/// What `weir search` takes.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// What to look for: words, a question, code.
    query: String,
    /// The collection [default: that of the working folder, or the only one].
    #[arg(long, value_name = "NAME")]
    collection: Option<String>,
    /// Most hits.
    #[arg(long, value_name = "N", default_value_t = 10, value_parser = clap::value_parser!(u32).range(1..=1_000))]
    limit: u32,
    /// The provider that puts the hits in order [default: index.rerank].
    #[arg(long, value_name = "PROVIDER", conflicts_with = "no_rerank")]
    rerank: Option<String>,
    /// Leave the hits in the store's order.
    #[arg(long)]
    no_rerank: bool,
    /// Only files whose path contains this, or matches it: `*.rs`, `src/**/mod.rs`.
    #[arg(long, value_name = "TEXT|GLOB")]
    path: Option<PathFilter>,
    /// Only this language: rust, python, markdown, ….
    #[arg(long, value_name = "NAME")]
    language: Option<String>,
    /// Only items of this kind: function, struct, class, section, ….
    #[arg(long, value_name = "NAME")]
    kind: Option<String>,
    /// Tell what the pools did, too.
    #[arg(long)]
    pools: bool,
}

pub(super) async fn run(args: Args, context: &Context) -> anyhow::Result<()> {
    if args.query.trim().is_empty() {
        return Err(UsageError("the query is empty".to_owned()).into());
    }
    let host = context.host().await?;
    let options = SearchOptions {
        query: args.query,
        collection: args.collection,
        folder: std::env::current_dir().context("the working folder can't be used")?,
        limit: args.limit,
        rerank: match (args.no_rerank, args.rerank) {
            (true, _) => Rerank::Off,
            (false, Some(name)) => Rerank::By(name),
            (false, None) => Rerank::Configured,
        },
        path: args.path,
        language: args.language,
        kind: args.kind,
    };
    let result = search::run(&host, &options).await.map_err(explain)?;
    for warning in &result.warnings {
        // Where standard error is closed, nobody wants to be warned.
        let _ = writeln!(std::io::stderr(), "warning: {warning}");
    }
    if context.output.is_json() {
        context.output.json(&result)?;
    } else {
        context
            .output
            .text(&search::show(&result, &options.query, context.output.is_colored()))?;
    }
    if args.pools {
        let pools = pool_use::used(host.runtime().pools());
        let _ = writeln!(std::io::stderr(), "\n{}", pool_use::show(&pools));
    }
    Ok(())
}

/// Errors that the command line or the configuration is to blame for end with the status for that.
fn explain(error: SearchError) -> anyhow::Error {
    match error {
        SearchError::Host(error) => error.into(),
        error if error.is_usage() => UsageError(error.to_string()).into(),
        error => error.into(),
    }
}
