//! `weir call PROVIDER OPERATION`: one operation, JSON in, JSON out.

use std::io::Read as _;

use futures::StreamExt as _;
use serde_json::Value;

use crate::cli::{Context, UsageError};
use crate::operations;

/// What `weir call` takes.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The provider's name.
    provider: String,
    /// embed, embed-sparse, rerank, chat, web-search, models, upsert, query, delete, ensure-collection, count,
    /// list-collections or drop-collection.
    operation: String,
    /// The input: JSON, `@FILE` for a file that holds it, `-` for standard input.
    #[arg(
        long,
        short,
        value_name = "JSON|@FILE|-",
        default_value = "{}",
        hide_default_value = true
    )]
    input: String,
}

pub(super) async fn run(args: Args, context: &Context) -> anyhow::Result<()> {
    let input = read(&args.input)?;
    let host = context.host().await?;
    let provider = host.provider(&args.provider).await?;
    if operations::wants_stream(&args.operation, &input) {
        let mut events = operations::stream(&provider, &args.operation, input).await?;
        while let Some(event) = events.next().await {
            context.output.json_line(&event?)?;
        }
        return Ok(());
    }
    let output = operations::run(&provider, &args.operation, input).await?;
    Ok(context.output.json(&output)?)
}

fn read(input: &str) -> Result<Value, UsageError> {
    let (text, place) = if input == "-" {
        let mut text = String::new();
        std::io::stdin()
            .read_to_string(&mut text)
            .map_err(|error| UsageError(format!("can't read standard input: {error}")))?;
        (text, "standard input".to_owned())
    } else if let Some(path) = input.strip_prefix('@') {
        let text = std::fs::read_to_string(path).map_err(|error| UsageError(format!("can't read {path}: {error}")))?;
        (text, path.to_owned())
    } else {
        (input.to_owned(), "--input".to_owned())
    };
    serde_json::from_str(&text).map_err(|error| UsageError(format!("{place} is not JSON: {error}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn input_comes_as_text_or_from_a_file() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("input.json");
        std::fs::write(&path, r#"{"inputs": ["a"]}"#).unwrap();
        assert_eq!(
            read(&format!("@{}", path.display())).unwrap(),
            read(r#"{"inputs":["a"]}"#).unwrap()
        );
    }

    #[test]
    fn input_that_is_no_json_is_named_with_its_place() {
        assert_eq!(
            read("{inputs").unwrap_err().to_string(),
            "--input is not JSON: key must be a string at line 1 column 2"
        );
        assert!(
            read("@/no/such/file")
                .unwrap_err()
                .to_string()
                .starts_with("can't read /no/such/file: ")
        );
    }
}
