//! The adapter that keeps points itself and searches them exactly: no server, no index to build, for collections of
//! some hundred thousand points.
//!
//! The host's storage has all of it, and an upsert or deletion is answered when it is durable there. RAM has what is
//! searched, but not the payloads: a point takes 2 bytes a dimension, about 3 a term, and what is short of its payload.
//!
//! | module | does |
//! |---|---|
//! | [`store`] | the operations |
//! | [`collection`] | the points of one collection, and search over them |
//! | [`draft`] | a change to it |
//! | [`dense`], [`sparse`], [`fusion`], [`rank`] | scores, and the order they make |
//! | [`filter`], [`fields`], [`payload`] | which points pass |
//! | [`storage`], [`layout`], [`block`], [`postings`], [`codec`] | what is kept where, and as which bytes |

mod block;
mod codec;
mod collection;
mod dense;
mod draft;
mod error;
mod fields;
mod filter;
mod fusion;
mod layout;
mod payload;
mod point;
mod postings;
mod rank;
mod sparse;
mod storage;
mod store;

use std::cell::RefCell;

use weir_guest::{Error, Manifest};

use storage::HostStorage;
use store::Store;
use vector_store::{Collection, Filter, Point, QueryRequest, ScoredPoint, Selection};

thread_local! {
    static STORE: RefCell<Store<HostStorage>> = RefCell::new(Store::new(HostStorage::default()));
}

struct Memory;

weir_guest::provider!(
    stateful Memory,
    "
    package weir:memory;

    world adapter {
        include weir:provider/stateful-provider@0.1.0;
        include weir:provider/vector-store-provider@0.1.0;
    }
    "
);

impl metadata::Guest for Memory {
    fn describe() -> Manifest {
        Manifest::new(
            "memory",
            env!("CARGO_PKG_VERSION"),
            "Keeps points in memory and in a file, and searches them exactly: dense, sparse and hybrid.",
        )
        .stateful()
    }
}

impl vector_store::Guest for Memory {
    async fn ensure_collection(collection: Collection) -> Result<bool, Error> {
        STORE.with_borrow_mut(|store| store.ensure_collection(collection))
    }

    async fn upsert(collection: String, points: Vec<Point>) -> Result<u64, Error> {
        STORE.with_borrow_mut(|store| store.upsert(&collection, points))
    }

    async fn query(request: QueryRequest) -> Result<Vec<ScoredPoint>, Error> {
        STORE.with_borrow_mut(|store| store.query(request))
    }

    async fn delete(collection: String, selection: Selection) -> Result<Option<u64>, Error> {
        STORE
            .with_borrow_mut(|store| store.delete(&collection, selection))
            .map(Some)
    }

    async fn count(collection: String, filter: Option<Filter>) -> Result<u64, Error> {
        STORE.with_borrow_mut(|store| store.count(&collection, filter.as_ref()))
    }

    async fn list_collections() -> Result<Vec<String>, Error> {
        STORE.with_borrow_mut(|store| store.list_collections())
    }

    async fn drop_collection(name: String) -> Result<bool, Error> {
        STORE.with_borrow_mut(|store| store.drop_collection(&name))
    }
}
