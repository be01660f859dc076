//! `weir new NAME --capability C…`: the crate of a new adapter, ready to be built.

use std::path::PathBuf;

use serde_json::json;
use weir_runtime::Capability;

use crate::cli::{Context, UsageError};
use crate::scaffold::{Scaffold, ScaffoldError};
use crate::suggest;

/// What `weir new` takes.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The adapter's name: lower-case letters, digits and `-`.
    name: String,
    /// What it offers; more than one, separated by commas or named again.
    #[arg(
        long = "capability",
        value_name = "CAPABILITY",
        value_delimiter = ',',
        num_args = 1..,
        default_value = "embedding",
        value_parser = capability,
    )]
    capabilities: Vec<Capability>,
    /// The folder to write it to, which must not be there [default: ./NAME].
    #[arg(long, value_name = "FOLDER")]
    path: Option<PathBuf>,
}

pub(super) fn run(args: Args, context: &Context) -> anyhow::Result<()> {
    let scaffold = Scaffold::new(&args.name, &args.capabilities).map_err(usage)?;
    let folder = args.path.unwrap_or_else(|| PathBuf::from(&args.name));
    scaffold.write(&folder).map_err(usage)?;
    let component = folder.join(scaffold.component());
    let files: Vec<String> = scaffold.files()?.into_iter().map(|(path, _)| path).collect();
    if context.output.is_json() {
        context.output.json(&json!({
            "name": args.name, "folder": folder, "component": component, "files": files,
        }))?;
    } else {
        let (folder, component) = (folder.display(), component.display());
        context.output.text(&format!(
            "{folder}: {} files\n\nNext:\n  (cd {folder} && cargo build --release)\n  weir inspect {component}\n\
             {folder}/README.md tells more.",
            files.len()
        ))?;
    }
    Ok(())
}

fn capability(name: &str) -> Result<Capability, String> {
    let names = Capability::ALL.map(Capability::as_str);
    let found = Capability::ALL.into_iter().find(|known| known.as_str() == name);
    found.ok_or_else(|| format!("no capability{}", suggest::ending(name, &names)))
}

/// What was asked for is to blame, unless the disk is.
fn usage(error: ScaffoldError) -> anyhow::Error {
    match error {
        ScaffoldError::Name(_) | ScaffoldError::Exists(_) => UsageError(error.to_string()).into(),
        ScaffoldError::Sdk(_) | ScaffoldError::Write { .. } => error.into(),
    }
}
