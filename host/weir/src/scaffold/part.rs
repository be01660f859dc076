//! What a new adapter has for each capability.

use weir_runtime::Capability;

/// One capability's share of a crate.
#[derive(Debug, Clone, Copy)]
pub(super) struct Part {
    /// The module that exports it: no interface of the contract has that name.
    pub module: &'static str,
    /// What the manifest says of it.
    pub manifest: &'static [&'static str],
    /// An operation to try.
    pub operation: &'static str,
    /// Its input.
    pub input: &'static str,
}

pub(super) fn of(capability: Capability) -> Part {
    match capability {
        Capability::Embedding => Part {
            module: "embed",
            manifest: &[
                r#".default_model("embed", DEFAULT_MODEL)"#,
                r#".limits("embed", embed::LIMITS)"#,
            ],
            operation: "embed",
            input: r#"{"inputs": ["hello"]}"#,
        },
        Capability::SparseEmbedding => Part {
            module: "embed_sparse",
            manifest: &[r#".default_model("embed-sparse", DEFAULT_MODEL)"#],
            operation: "embed-sparse",
            input: r#"{"inputs": ["hello"]}"#,
        },
        Capability::Reranking => Part {
            module: "rerank",
            manifest: &[r#".default_model("rerank", DEFAULT_MODEL)"#],
            operation: "rerank",
            input: r#"{"query": "hello", "documents": ["good morning", "a stone"]}"#,
        },
        Capability::VectorStore => Part {
            module: "store",
            manifest: &[],
            operation: "list-collections",
            input: "{}",
        },
        Capability::WebSearch => Part {
            module: "search",
            manifest: &[],
            operation: "web-search",
            input: r#"{"query": "hello"}"#,
        },
        Capability::Chat => Part {
            module: "talk",
            manifest: &[r#".default_model("chat", DEFAULT_MODEL)"#],
            operation: "chat",
            input: r#"{"messages": [{"role": "user", "content": "hello"}]}"#,
        },
        Capability::Models => Part {
            module: "list",
            manifest: &[],
            operation: "models",
            input: "{}",
        },
    }
}
