//! `weir providers`: what is configured, and how far it is.

use std::collections::BTreeMap;

use serde_json::json;

use crate::cli::Context;
use crate::inventory::{self, CallLimits, ProviderSummary};
use crate::table;

/// What `weir providers` takes.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The bundled components too that are not configured.
    #[arg(long)]
    all: bool,
}

pub(super) async fn run(args: &Args, context: &Context) -> anyhow::Result<()> {
    let host = context.host().await?;
    // Each failure is told in its provider's row.
    let _ = host.load_all().await;
    let mut summaries = inventory::configured(&host).await;
    if args.all {
        summaries.extend(inventory::unconfigured(&host));
    }
    if context.output.is_json() {
        return Ok(context.output.json(&json!({ "providers": summaries }))?);
    }
    let headings = [
        "provider",
        "component",
        "digest",
        "capabilities",
        "secrets",
        "base url",
        "pooled http",
        "pool",
        "limits of a call",
        "state",
    ];
    context
        .output
        .text(&table::render(&headings, summaries.iter().map(row)))?;
    for summary in &summaries {
        if let Some(reason) = &summary.reason {
            context.output.text(&format!("\n{}: {reason}", summary.name))?;
        }
    }
    Ok(())
}

fn row(summary: &ProviderSummary) -> Vec<String> {
    // Enough of the digest to tell components apart; `--json` has the whole.
    const DIGEST_LENGTH: usize = "blake3:".len() + 12;
    let digest: String = summary
        .digest
        .iter()
        .flat_map(|digest| digest.chars())
        .take(DIGEST_LENGTH)
        .collect();
    let pool = summary.http_pool.as_ref().map(|pool| {
        format!(
            "{} connections, {} kept {}s",
            pool.max_connections,
            pool.max_keepalive_connections,
            pool.keepalive_expiry.0.as_secs_f64()
        )
    });
    vec![
        summary.name.clone(),
        summary.component.clone(),
        digest,
        summary.capabilities.join(", "),
        or_dash(summary.secrets.join(", ")),
        or_dash(summary.base_url.clone().unwrap_or_default()),
        if summary.uses_pooled_http { "yes" } else { "no" }.to_owned(),
        or_dash(pool.unwrap_or_default()),
        or_dash(limits(&summary.limits)),
        summary.state.as_str().to_owned(),
    ]
}

fn or_dash(text: String) -> String {
    if text.is_empty() { "-".to_owned() } else { text }
}

/// `embed 128 items, 120000 tokens; rerank 1000 items`.
fn limits(limits: &BTreeMap<String, CallLimits>) -> String {
    let of_operation = |(operation, limits): (&String, &CallLimits)| {
        let items = limits.max_items.map(|items| format!("{items} items"));
        let tokens = limits.max_tokens.map(|tokens| format!("{tokens} tokens"));
        let item = limits.max_item_tokens.map(|tokens| format!("{tokens} tokens an item"));
        let stated: Vec<String> = [items, tokens, item].into_iter().flatten().collect();
        format!("{operation} {}", stated.join(", "))
    };
    limits.iter().map(of_operation).collect::<Vec<_>>().join("; ")
}
