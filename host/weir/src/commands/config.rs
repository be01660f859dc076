//! `weir config check|show|schema`.

use serde_json::json;

use crate::cli::Context;
use crate::config::{json_schema, show};

/// What `weir config` takes.
#[derive(Debug, Clone, Copy, clap::Subcommand)]
pub enum Command {
    /// Check the configuration; nothing is loaded or connected to.
    Check,
    /// Show every setting in force and where it comes from.
    Show,
    /// Print the JSON Schema of weir.toml.
    Schema,
}

pub(super) fn run(command: Command, context: &Context) -> anyhow::Result<()> {
    let output = context.output;
    match command {
        Command::Schema => return Ok(output.text(&serde_json::to_string_pretty(&json_schema())?)?),
        Command::Check => {
            let config = context.config()?;
            config.check_server()?;
            let names: Vec<&String> = config.config.providers.keys().collect();
            if output.is_json() {
                output.json(&json!({ "valid": true, "file": config.file, "providers": names }))?;
            } else {
                let file = config
                    .file
                    .as_ref()
                    .map_or_else(|| "no file".to_owned(), |file| file.display().to_string());
                let names: Vec<&str> = names.into_iter().map(String::as_str).collect();
                output.text(&format!(
                    "configuration is valid: {file}; providers: {}",
                    names.join(", ")
                ))?;
            }
        }
        Command::Show => {
            let config = context.config()?;
            if output.is_json() {
                output.json(&json!({ "file": config.file, "settings": show::settings(&config) }))?;
            } else {
                output.text(&show::render(&config))?;
            }
        }
    }
    Ok(())
}
