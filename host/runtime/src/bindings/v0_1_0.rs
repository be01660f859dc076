//! `weir:provider@0.1.0`.

/// The version of the contract that these bindings speak.
pub const VERSION: &str = "0.1.0";

#[allow(
    missing_docs,
    clippy::all,
    reason = "generated from the contract, which carries the documentation"
)]
mod generated {
    wasmtime::component::bindgen!({
        path: "../../wit/v0.1.0",
        inline: "
            package weir:host;
            world host {
                include weir:provider/stateful-provider@0.1.0;
                include weir:provider/embedding-provider@0.1.0;
                include weir:provider/sparse-embedding-provider@0.1.0;
                include weir:provider/reranking-provider@0.1.0;
                include weir:provider/vector-store-provider@0.1.0;
                include weir:provider/web-search-provider@0.1.0;
                include weir:provider/chat-provider@0.1.0;
                include weir:provider/models-provider@0.1.0;
            }
        ",
        imports: {
            "wasi:keyvalue": async | trappable,
            default: trappable,
        },
        exports: { default: async },
        with: { "wasi:keyvalue/store.bucket": crate::storage::Bucket },
    });
}

pub use generated::exports::weir::provider::{
    chat, embedding, metadata, models, reranking, sparse_embedding, vector_store, web_search,
};
pub use generated::wasi::keyvalue;
pub use generated::weir::provider::{pooled_http, types};
