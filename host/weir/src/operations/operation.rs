//! The operations by name.

/// What a provider can be asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Operation {
    Embed,
    EmbedSparse,
    Rerank,
    EnsureCollection,
    Upsert,
    Query,
    Delete,
    Count,
    ListCollections,
    DropCollection,
    WebSearch,
    Chat,
    Models,
}

impl Operation {
    const ALL: [Operation; 13] = [
        Operation::Embed,
        Operation::EmbedSparse,
        Operation::Rerank,
        Operation::EnsureCollection,
        Operation::Upsert,
        Operation::Query,
        Operation::Delete,
        Operation::Count,
        Operation::ListCollections,
        Operation::DropCollection,
        Operation::WebSearch,
        Operation::Chat,
        Operation::Models,
    ];

    /// The operation of this name.
    pub(super) fn of(name: &str) -> Option<Operation> {
        Self::ALL.into_iter().find(|operation| operation.name() == name)
    }

    /// The name that commands, routes and metrics use.
    pub(super) fn name(self) -> &'static str {
        match self {
            Operation::Embed => "embed",
            Operation::EmbedSparse => "embed-sparse",
            Operation::Rerank => "rerank",
            Operation::EnsureCollection => "ensure-collection",
            Operation::Upsert => "upsert",
            Operation::Query => "query",
            Operation::Delete => "delete",
            Operation::Count => "count",
            Operation::ListCollections => "list-collections",
            Operation::DropCollection => "drop-collection",
            Operation::WebSearch => "web-search",
            Operation::Chat => "chat",
            Operation::Models => "models",
        }
    }
}

#[cfg(test)]
mod tests {
    use weir_runtime::Capability;

    use super::*;

    #[test]
    fn every_operation_of_a_capability_is_known() {
        let offered: Vec<&str> = Capability::ALL
            .into_iter()
            .flat_map(|capability| capability.operations())
            .copied()
            .collect();
        assert_eq!(Operation::ALL.map(Operation::name).as_slice(), offered);
        for name in offered {
            assert_eq!(Operation::of(name).map(Operation::name), Some(name));
        }
        assert_eq!(Operation::of("embedd"), None);
    }
}
