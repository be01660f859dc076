//! `weir call PROVIDER OPERATION`: one operation, JSON in, JSON out.

use futures::StreamExt as _;

use super::input;
use crate::cli::{Context, NotLoaded};
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
    let input = input::json(&args.input)?;
    let host = context.host().await?;
    let provider = host.provider(&args.provider).await.map_err(|error| NotLoaded {
        operation: args.operation.clone(),
        error,
    })?;
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
