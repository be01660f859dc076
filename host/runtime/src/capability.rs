//! What a component can do for a caller, read from its exports.

use std::fmt;

/// One exported interface of the contract.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Capability {
    /// Texts to dense vectors.
    Embedding,
    /// Texts to sparse vectors.
    SparseEmbedding,
    /// Documents in order of their worth to a query.
    Reranking,
    /// Points kept and searched.
    VectorStore,
    /// The web, searched.
    WebSearch,
    /// Conversations.
    Chat,
    /// The list of a provider's models.
    Models,
}

impl Capability {
    /// All of them, in the order in which they are shown.
    pub const ALL: [Capability; 7] = [
        Capability::Embedding,
        Capability::SparseEmbedding,
        Capability::Reranking,
        Capability::VectorStore,
        Capability::WebSearch,
        Capability::Chat,
        Capability::Models,
    ];

    /// The interface's name in the contract.
    pub fn as_str(self) -> &'static str {
        match self {
            Capability::Embedding => "embedding",
            Capability::SparseEmbedding => "sparse-embedding",
            Capability::Reranking => "reranking",
            Capability::VectorStore => "vector-store",
            Capability::WebSearch => "web-search",
            Capability::Chat => "chat",
            Capability::Models => "models",
        }
    }

    /// The operations it offers, by the names that commands, routes and metrics use.
    pub fn operations(self) -> &'static [&'static str] {
        match self {
            Capability::Embedding => &["embed"],
            Capability::SparseEmbedding => &["embed-sparse"],
            Capability::Reranking => &["rerank"],
            Capability::VectorStore => &[
                "ensure-collection",
                "upsert",
                "query",
                "delete",
                "count",
                "list-collections",
                "drop-collection",
            ],
            Capability::WebSearch => &["web-search"],
            Capability::Chat => &["chat"],
            Capability::Models => &["models"],
        }
    }

    /// The name, if it is an operation's.
    pub(crate) fn operation(name: &str) -> Option<&'static str> {
        let mut operations = Self::ALL.into_iter().flat_map(Capability::operations);
        operations.find(|operation| **operation == name).copied()
    }

    /// The capability of an exported interface's name.
    pub fn of_interface(name: &str) -> Option<Capability> {
        Self::ALL.into_iter().find(|capability| capability.as_str() == name)
    }
}

impl fmt::Display for Capability {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
