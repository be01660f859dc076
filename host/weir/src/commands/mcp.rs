//! `weir mcp`: an index for coding assistants, over standard input and output.

use anyhow::Context as _;
use rmcp::ServiceExt as _;

use crate::cli::Context;
use crate::mcp::{Defaults, FindCode};

/// What `weir mcp` takes.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The collection, where a call names none [default: that of the working folder, or the only one].
    #[arg(long, value_name = "NAME")]
    collection: Option<String>,
    /// Leave the hits in the store's order.
    #[arg(long)]
    no_rerank: bool,
}

pub(super) async fn run(args: Args, context: &Context) -> anyhow::Result<()> {
    let defaults = Defaults {
        collection: args.collection,
        folder: std::env::current_dir().context("the working folder can't be used")?,
        rerank: !args.no_rerank,
    };
    let tool = FindCode::new(context.host().await?, defaults);
    let server = match tool.serve((tokio::io::stdin(), tokio::io::stdout())).await {
        Ok(server) => server,
        // Who closes its end before it said anything wants nothing.
        Err(rmcp::service::ServerInitializeError::ConnectionClosed(_)) => return Ok(()),
        Err(error) => return Err(error).context("the client does not speak MCP"),
    };
    server.waiting().await.context("the server failed")?;
    Ok(())
}
