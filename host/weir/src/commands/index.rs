//! `weir index PATH`: a tree of files into a vector store.

use std::io::{self, IsTerminal as _};
use std::path::PathBuf;

use crate::cli::{Context, Failed, Interrupt, UsageError};
use crate::index::pipeline::End;
use crate::index::progress::{self, Bar, Json, Lines};
use crate::index::report::{Outcome, Reporter, Summary};
use crate::index::{self, IndexError, IndexOptions, watch};

/// What `weir index` takes.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The folder, or a single file. Ignored files are left out, as git would.
    path: PathBuf,
    /// The collection [default: named after the folder].
    #[arg(long, value_name = "NAME")]
    collection: Option<String>,
    /// The provider of dense vectors [default: index.embedding].
    #[arg(long, value_name = "PROVIDER")]
    embedding: Option<String>,
    /// The provider of sparse vectors, or `none` [default: index.sparse_embedding].
    #[arg(long, value_name = "PROVIDER")]
    sparse: Option<String>,
    /// The provider that keeps the vectors [default: index.store].
    #[arg(long, value_name = "PROVIDER")]
    store: Option<String>,
    /// Count files, chunks and estimated tokens, and send nothing.
    #[arg(long)]
    dry_run: bool,
    /// Drop the collection first, and index everything anew.
    #[arg(long, conflicts_with = "dry_run")]
    rebuild: bool,
    /// Go on, and index again whenever files change, until interrupted.
    #[arg(long, conflicts_with_all = ["dry_run", "rebuild"])]
    watch: bool,
}

pub(super) async fn run(args: Args, context: &Context) -> anyhow::Result<()> {
    let host = context.host().await?;
    let options = IndexOptions {
        path: args.path,
        collection: args.collection,
        embedding: args.embedding,
        sparse: args.sparse,
        store: args.store,
        dry_run: args.dry_run,
        rebuild: args.rebuild,
    };
    let interrupt = Interrupt::listen()?;
    let mut reporter: Box<dyn Reporter> = match (context.output.is_json(), io::stderr().is_terminal()) {
        (true, _) => Box::new(Json::new(io::stdout())),
        (false, true) => Box::new(Bar::new()),
        (false, false) => Box::new(Lines::default()),
    };
    let told = |summary: &Summary| match context.output.is_json() {
        true => Ok(()),
        false => context.output.text(&progress::summary(summary)),
    };
    if args.watch {
        // Where nobody reads it any more, the index is still of use.
        let told = |summary: &Summary| drop(told(summary));
        let ended = watch::run(&host, &options, reporter.as_mut(), &interrupt.cancel, told).await;
        return match ended.map_err(explain)? {
            End::Complete => Ok(()),
            End::Interrupted => Err(IndexError::Interrupted.into()),
        };
    }
    let result = index::run(&host, &options, reporter.as_mut(), &interrupt.cancel).await;
    drop(interrupt);

    let summary = result.map_err(explain)?;
    told(&summary)?;
    if summary.outcome == Outcome::Interrupted {
        return Err(IndexError::Interrupted.into());
    }
    if summary.counts.failed + summary.counts.sparse_only > 0 {
        return Err(Failed.into());
    }
    Ok(())
}

/// Errors that the command line or the configuration is to blame for end with the status for that.
fn explain(error: IndexError) -> anyhow::Error {
    match error {
        IndexError::Host(error) => error.into(),
        error if error.is_usage() => UsageError(error.to_string()).into(),
        error => error.into(),
    }
}
