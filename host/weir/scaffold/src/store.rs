//! A vector store: yet to be written. weir's own adapter `qdrant` is a whole one.

use weir_guest::types::Error;

use crate::Adapter;
use crate::vector_store::{Collection, Filter, Guest, Point, QueryRequest, ScoredPoint, Selection};

impl Guest for Adapter {
    async fn ensure_collection(_collection: Collection) -> Result<bool, Error> {
        Err(yet_to_be_written("ensure-collection"))
    }

    async fn upsert(_collection: String, _points: Vec<Point>) -> Result<u64, Error> {
        Err(yet_to_be_written("upsert"))
    }

    async fn query(_request: QueryRequest) -> Result<Vec<ScoredPoint>, Error> {
        Err(yet_to_be_written("query"))
    }

    async fn delete(_collection: String, _selection: Selection) -> Result<Option<u64>, Error> {
        Err(yet_to_be_written("delete"))
    }

    async fn count(_collection: String, _filter: Option<Filter>) -> Result<u64, Error> {
        Err(yet_to_be_written("count"))
    }

    async fn list_collections() -> Result<Vec<String>, Error> {
        Err(yet_to_be_written("list-collections"))
    }

    async fn drop_collection(_name: String) -> Result<bool, Error> {
        Err(yet_to_be_written("drop-collection"))
    }
}

fn yet_to_be_written(what: &str) -> Error {
    Error::Unsupported(format!("{what} is yet to be written"))
}
