//! The tool `find_code` of an MCP server (<https://modelcontextprotocol.io>): searches for coding assistants.
//!
//! What goes wrong in a call is the call's result, with what to do about it: clients show an error of the protocol to
//! nobody, but a tool's to the model, which can then ask otherwise.

use std::path::PathBuf;

use rmcp::model::{
    CallToolRequestParams, CallToolResponse, CallToolResult, ContentBlock, Implementation, JsonObject, ListToolsResult,
    PaginatedRequestParams, ServerCapabilities, ServerConfig, Tool, ToolAnnotations,
};
use rmcp::service::RequestContext;
use rmcp::{ErrorData, RoleServer, ServerHandler};
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::Value;

use crate::host::Host;
use crate::remedy;
use crate::search::{self, Hit, Rerank, SearchError, SearchOptions, SearchResult};

/// The tool's name.
const NAME: &str = "find_code";

/// What a model reads to know when to use it.
const DESCRIPTION: &str = "Searches an indexed code tree by meaning and by words, and returns the best matching pieces of \
    code or text with their paths and line numbers. Ask in words (\"where are idle connections closed\") or with names \
    from the code. Use it to find where something is done before reading files.";

/// Hits where a call names no number: what fits into a model's context without crowding it.
const DEFAULT_LIMIT: u32 = 8;
/// Most hits of one call.
const MOST: u32 = 50;

/// What holds for every call.
#[derive(Debug, Clone)]
pub struct Defaults {
    /// The collection where a call names none; by default that of `folder`.
    pub collection: Option<String>,
    /// The working folder.
    pub folder: PathBuf,
    /// Whether the configuration's reranker is used.
    pub rerank: bool,
}

/// The server: one tool over the configured providers.
pub struct FindCode {
    host: Host,
    defaults: Defaults,
    tool: Tool,
}

/// What a call takes.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Arguments {
    /// What to look for: words, a question, or code.
    query: String,
    /// Most hits, from 1 to 50. 8 where left out.
    #[schemars(range(min = 1, max = 50))]
    limit: Option<u32>,
    /// Only files whose path contains this text, or matches this glob: `src/`, `*.rs`, `src/**/mod.rs`.
    path: Option<String>,
    /// Only this language, in lower case: `rust`, `python`, `typescript`, `markdown`, ….
    language: Option<String>,
    /// Only items of this kind: `function`, `struct`, `class`, `section`, ….
    kind: Option<String>,
    /// Another index than the working folder's, by its collection's name.
    collection: Option<String>,
}

impl FindCode {
    /// The tool over these providers.
    pub fn new(host: Host, defaults: Defaults) -> Self {
        let annotations = ToolAnnotations::new().read_only(true).idempotent(true);
        let tool = Tool::new(NAME, DESCRIPTION, JsonObject::new())
            .with_title("Find code")
            .with_input_schema::<Arguments>()
            .with_output_schema::<SearchResult>()
            .with_annotations(annotations);
        Self { host, defaults, tool }
    }

    async fn find(&self, arguments: JsonObject) -> Result<CallToolResult, String> {
        let arguments: Arguments = serde_json::from_value(Value::Object(arguments)).map_err(|error| {
            format!("the arguments are wrong: {error}. `query` is needed; see the tool's schema for the others")
        })?;
        let options = self.options(arguments)?;
        let result = search::run(&self.host, &options).await.map_err(explain)?;
        let structured = serde_json::to_value(&result).map_err(|error| error.to_string())?;
        let mut answer = CallToolResult::success(vec![ContentBlock::text(show(&result))]);
        answer.structured_content = Some(structured);
        Ok(answer)
    }

    fn options(&self, arguments: Arguments) -> Result<SearchOptions, String> {
        if arguments.query.trim().is_empty() {
            return Err("`query` is empty: say what to look for".to_owned());
        }
        let limit = arguments.limit.unwrap_or(DEFAULT_LIMIT);
        if !(1..=MOST).contains(&limit) {
            return Err(format!("`limit` is {limit}; it must be from 1 to {MOST}"));
        }
        let path = arguments.path.map(|path| path.parse()).transpose();
        Ok(SearchOptions {
            query: arguments.query,
            collection: arguments.collection.or_else(|| self.defaults.collection.clone()),
            folder: self.defaults.folder.clone(),
            limit,
            rerank: if self.defaults.rerank {
                Rerank::Configured
            } else {
                Rerank::Off
            },
            path: path.map_err(|error: search::BadPattern| format!("`path` can't be read: {error}"))?,
            language: arguments.language,
            kind: arguments.kind,
        })
    }
}

impl ServerHandler for FindCode {
    fn get_info(&self) -> ServerConfig {
        ServerConfig::new(ServerCapabilities::builder().enable_tools().build())
            .with_server_info(Implementation::new("weir", env!("CARGO_PKG_VERSION")))
    }

    async fn list_tools(
        &self,
        _: Option<PaginatedRequestParams>,
        _: RequestContext<RoleServer>,
    ) -> Result<ListToolsResult, ErrorData> {
        Ok(ListToolsResult::with_all_items(vec![self.tool.clone()]))
    }

    async fn call_tool(
        &self,
        request: CallToolRequestParams,
        context: RequestContext<RoleServer>,
    ) -> Result<CallToolResponse, ErrorData> {
        if request.name != NAME {
            let message = format!("there is no tool `{}`; the one there is, is `{NAME}`", request.name);
            return Err(ErrorData::invalid_params(message, None));
        }
        let found = tokio::select! {
            found = self.find(request.arguments.unwrap_or_default()) => found,
            // Dropping the search drops its requests; nobody reads this.
            () = context.ct.cancelled() => return Ok(CallToolResult::error(vec![ContentBlock::text("cancelled")]).into()),
        };
        let result = found.unwrap_or_else(|message| {
            tracing::warn!(%message, "find_code failed");
            CallToolResult::error(vec![ContentBlock::text(message)])
        });
        Ok(result.into())
    }
}

/// The error and what can be done about it.
fn explain(error: SearchError) -> String {
    match &error {
        SearchError::Call(call) => remedy::tell(call),
        other => other.to_string(),
    }
}

/// The hits as a model reads them: a heading with the place, then the code.
fn show(result: &SearchResult) -> String {
    let notes = result.warnings.iter();
    let notes = notes.map(|warning| format!("Note: {}.", warning.trim_end_matches('.')));
    let none = result.hits.is_empty();
    let none = none.then(|| "Nothing found. Ask with other words, or without filters.".to_owned());
    notes
        .chain(none)
        .chain(result.hits.iter().map(show_hit))
        .collect::<Vec<_>>()
        .join("\n\n")
}

fn show_hit(hit: &Hit) -> String {
    let symbol = hit
        .symbol
        .as_ref()
        .map(|symbol| format!(" {symbol}"))
        .unwrap_or_default();
    let place = format!(
        "{}:{}-{}{symbol} (score {:.3})",
        hit.path, hit.start_line, hit.end_line, hit.score
    );
    // A fence longer than any in the text: CommonMark, 4.5.
    let longest = hit
        .text
        .split(|character| character != '`')
        .map(str::len)
        .max()
        .unwrap_or_default();
    let fence = "`".repeat(longest.max(2) + 1);
    format!("{place}\n{fence}{}\n{}\n{fence}", hit.language, hit.text.trim_end())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::search::RankedBy;

    #[test]
    fn a_hit_is_shown_with_its_place_in_a_fence_that_it_can_not_close() {
        let hit = Hit {
            path: "README.md".into(),
            start_line: 3,
            end_line: 5,
            score: 0.5,
            language: "markdown".into(),
            symbol: Some("Use it".into()),
            kind: None,
            text: "```sh\nweir\n```\n".into(),
        };
        let result = SearchResult {
            hits: vec![hit],
            ranked_by: RankedBy::Sparse,
            warnings: vec!["ranked by sparse vectors alone: no key".into()],
        };
        assert_eq!(
            show(&result),
            "Note: ranked by sparse vectors alone: no key.\n\n\
             README.md:3-5 Use it (score 0.500)\n````markdown\n```sh\nweir\n```\n````"
        );
        assert_eq!(
            show(&SearchResult { hits: vec![], ..result }),
            "Note: ranked by sparse vectors alone: no key.\n\n\
             Nothing found. Ask with other words, or without filters."
        );
    }
}
