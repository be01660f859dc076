//! `weir man FOLDER`.

use std::path::PathBuf;

use anyhow::Context as _;
use clap::CommandFactory as _;

use crate::cli::Cli;

/// What `weir man` takes.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The folder, `/usr/local/share/man/man1` for one; made if it is not there.
    folder: PathBuf,
}

pub(super) fn run(args: &Args) -> anyhow::Result<()> {
    let folder = &args.folder;
    let written = std::fs::create_dir_all(folder).and_then(|()| clap_mangen::generate_to(Cli::command(), folder));
    written.with_context(|| format!("the pages can't be written to {}", folder.display()))
}
