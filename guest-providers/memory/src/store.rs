//! The operations of the contract's `vector-store`, over any storage.
//!
//! The storage is read once, by the first operation. From then on RAM mirrors it: an operation that changes something
//! writes one batch first, and changes RAM only when that is durable.

use std::collections::{HashMap, TryReserveError};
use std::hint::black_box;

use weir_guest::Error;
use weir_guest::types::SparseVector;

use crate::codec;
use crate::collection::Collection;
use crate::error::{self, invalid, not_found};
use crate::filter;
use crate::fusion;
use crate::layout::{self, Collections};
use crate::point::{self, Id, Point, Schema};
use crate::rank::Candidate;
use crate::sparse::SparseQuery;
use crate::storage::Storage;
use crate::vector_store::{self, Distance, Filter, QueryRequest, ScoredPoint, Selection};

/// The most dimensions a collection may have: Qdrant's limit, so that a collection can move there.
const MAX_DIMENSIONS: u32 = 65_536;

/// The bytes a collection's name may have.
const MAX_NAME: usize = 255;

/// How many candidates each half of a hybrid query finds for each point that is asked for, and at least: a point that
/// is far down in one ranking and high in the other should not be missed.
const CANDIDATES_PER_POINT: usize = 4;
const MIN_CANDIDATES: usize = 100;

/// Bytes that an upsert leaves free for the operations after it: for a query's hits, and for the keys when all is read
/// again. Without them a full instance could store points and then answer nothing.
const HEADROOM: usize = 8 << 20;

/// The collections and where they are kept.
pub struct Store<S> {
    storage: S,
    /// None until the storage was read.
    collections: Option<Collections>,
}

impl<S: Storage> Store<S> {
    /// The store of what `storage` has. Nothing is read yet.
    pub fn new(storage: S) -> Self {
        Self {
            storage,
            collections: None,
        }
    }

    /// See the contract.
    pub fn ensure_collection(&mut self, collection: vector_store::Collection) -> Result<bool, Error> {
        let vector_store::Collection {
            name,
            dimensions,
            distance,
            sparse,
        } = collection;
        check_name(&name)?;
        if !(1..=MAX_DIMENSIONS).contains(&dimensions) {
            return Err(invalid(format!(
                "`dimensions` is {dimensions}; it must be from 1 to {MAX_DIMENSIONS}"
            )));
        }
        let wanted = Schema {
            dimensions,
            distance,
            sparse,
        };
        let (storage, collections) = self.loaded()?;
        if let Some(existing) = collections.get(&name) {
            return check_same(&name, existing.schema(), &wanted).map(|()| false);
        }
        storage.write(&[
            (layout::FORMAT_KEY.to_owned(), layout::FORMAT.into()),
            (layout::collection_key(&name), codec::encode_schema(&wanted)),
        ])?;
        collections.insert(name, Collection::new(wanted));
        Ok(true)
    }

    /// See the contract. Returns how many points were written: of several with one id the last.
    pub fn upsert(&mut self, collection: &str, points: Vec<vector_store::Point>) -> Result<u64, Error> {
        let (storage, collections) = self.loaded()?;
        let kept = find_mut(collections, collection)?;
        let points = points
            .into_iter()
            .map(|point| Point::check(point, kept.schema()))
            .collect::<Result<_, _>>()?;
        let points = last_of_each_id(points);
        if points.is_empty() {
            return Ok(0);
        }
        let record = |point: &Point| {
            let record =
                codec::encode_point(point).ok_or_else(|| invalid(format!("point {} is too long", point.id)))?;
            Ok((layout::point_key(collection, point.id), record))
        };
        let records = points.iter().map(record).collect::<Result<Vec<_>, Error>>()?;
        // Before anything is durable: what is stored must fit into RAM.
        kept.try_reserve(points.len()).and_then(|()| try_headroom()).map_err(|_| {
            error::storage(format!(
                "no memory is left for {} more points beside the {} of `{collection}`; raise the provider's `limits.memory`",
                points.len(),
                kept.len()
            ))
        })?;
        storage.write(&records)?;
        let written = points.len() as u64;
        points.into_iter().for_each(|point| kept.put(point));
        Ok(written)
    }

    /// See the contract.
    pub fn query(&mut self, request: QueryRequest) -> Result<Vec<ScoredPoint>, Error> {
        let QueryRequest {
            collection,
            vector,
            sparse,
            filter,
            limit,
            fusion,
        } = request;
        let (_, collections) = self.loaded()?;
        let kept = find(collections, &collection)?;
        let filter = filter.as_ref();
        filter.map_or(Ok(()), filter::check)?;
        let limit = match limit {
            0 => return Err(invalid("`limit` is 0; ask for at least one point")),
            limit => limit as usize,
        };
        let vector = vector
            .map(|vector| point::dense(vector, kept.schema()))
            .transpose()
            .map_err(invalid)?;
        let sparse = sparse.map(|sparse| sparse_query(sparse, kept.schema())).transpose()?;
        let found = match (vector, sparse) {
            (Some(vector), None) => return Ok(present_nearest(kept, kept.nearest(&vector, filter, limit))),
            (None, Some(sparse)) => kept.matching(&sparse, filter, limit),
            (Some(vector), Some(sparse)) => {
                let candidates = limit.saturating_mul(CANDIDATES_PER_POINT).max(MIN_CANDIDATES);
                let rankings = [
                    kept.nearest(&vector, filter, candidates),
                    kept.matching(&sparse, filter, candidates),
                ];
                fusion::fuse(fusion.unwrap_or(fusion::DEFAULT), rankings, limit)
            }
            (None, None) => return Err(invalid("a query needs `vector`, `sparse`, or both")),
        };
        Ok(present(kept, found))
    }

    /// See the contract. Returns how many of the points were there.
    pub fn delete(&mut self, collection: &str, selection: Selection) -> Result<u64, Error> {
        let (storage, collections) = self.loaded()?;
        let kept = find_mut(collections, collection)?;
        let ids: Vec<Id> = match selection {
            Selection::Ids(ids) => ids.into_iter().map(Id::try_from).collect::<Result<_, _>>()?,
            Selection::Filter(filter) if filter::is_empty(&filter) => {
                return Err(invalid(
                    "the filter is empty: it would delete every point; drop the collection for that",
                ));
            }
            Selection::Filter(filter) => {
                filter::check(&filter)?;
                kept.passing(&filter).collect()
            }
        };
        let there = ids.iter().filter(|id| kept.contains(**id));
        let keys: Vec<String> = there.map(|id| layout::point_key(collection, *id)).collect();
        if keys.is_empty() {
            return Ok(0);
        }
        storage.remove(&keys)?;
        let before = kept.len();
        ids.into_iter().for_each(|id| kept.remove(id));
        Ok((before - kept.len()) as u64)
    }

    /// See the contract.
    pub fn count(&mut self, collection: &str, filter: Option<&Filter>) -> Result<u64, Error> {
        let (_, collections) = self.loaded()?;
        let kept = find(collections, collection)?;
        let count = match filter {
            None => kept.len(),
            Some(filter) => {
                filter::check(filter)?;
                kept.passing(filter).count()
            }
        };
        Ok(count as u64)
    }

    /// The names of the collections, in order.
    pub fn list_collections(&mut self) -> Result<Vec<String>, Error> {
        Ok(self.loaded()?.1.keys().cloned().collect())
    }

    /// See the contract.
    pub fn drop_collection(&mut self, name: &str) -> Result<bool, Error> {
        let (storage, collections) = self.loaded()?;
        let Some(kept) = collections.get(name) else {
            return Ok(false);
        };
        let mut keys = vec![layout::collection_key(name)];
        keys.extend(kept.ids().map(|id| layout::point_key(name, id)));
        storage.remove(&keys)?;
        collections.remove(name);
        Ok(true)
    }

    /// The storage, and what is in it, read now if it was not yet.
    fn loaded(&mut self) -> Result<(&mut S, &mut Collections), Error> {
        let Self { storage, collections } = self;
        let loaded = match collections.take() {
            Some(loaded) => loaded,
            None => layout::load(storage)?,
        };
        Ok((storage, collections.insert(loaded)))
    }
}

fn find<'a>(collections: &'a Collections, name: &str) -> Result<&'a Collection, Error> {
    collections.get(name).ok_or_else(|| missing(name))
}

fn find_mut<'a>(collections: &'a mut Collections, name: &str) -> Result<&'a mut Collection, Error> {
    collections.get_mut(name).ok_or_else(|| missing(name))
}

fn missing(name: &str) -> Error {
    not_found(format!(
        "there is no collection `{name}`; make it with `ensure-collection`"
    ))
}

fn check_name(name: &str) -> Result<(), Error> {
    let wrong = match name {
        _ if name.is_empty() => "is empty".to_owned(),
        _ if name.len() > MAX_NAME => format!("has {} bytes; at most {MAX_NAME} are taken", name.len()),
        _ if name.contains('/') || name.contains(char::is_control) => "has a `/` or a control character".to_owned(),
        _ => return Ok(()),
    };
    Err(invalid(format!(
        "the collection's name `{}` {wrong}",
        name.escape_debug()
    )))
}

fn check_same(name: &str, existing: &Schema, wanted: &Schema) -> Result<(), Error> {
    let told = |schema: &Schema| {
        let distance = match schema.distance {
            Distance::Cosine => "cosine",
            Distance::Dot => "dot",
            Distance::Euclid => "euclid",
        };
        let sparse = if schema.sparse {
            "sparse vectors too"
        } else {
            "no sparse vectors"
        };
        format!("{} dimensions, distance {distance}, {sparse}", schema.dimensions)
    };
    // A collection that can hold sparse vectors serves a caller that has none.
    let serves = Schema {
        sparse: existing.sparse || wanted.sparse,
        ..*wanted
    };
    if *existing == serves {
        return Ok(());
    }
    let (existing, wanted) = (told(existing), told(wanted));
    Err(invalid(format!(
        "the collection `{name}` is there with {existing}; asked for were {wanted}"
    )))
}

fn try_headroom() -> Result<(), TryReserveError> {
    // The optimiser may take an allocation that nobody looks at for granted.
    black_box(&mut Vec::<u8>::new()).try_reserve_exact(HEADROOM)
}

fn last_of_each_id(mut points: Vec<Point>) -> Vec<Point> {
    let last: HashMap<Id, u32> = (0..).zip(&points).map(|(place, point)| (point.id, place)).collect();
    let mut places = 0..;
    points.retain(|point| last.get(&point.id).copied() == places.next());
    points
}

fn sparse_query(sparse: SparseVector, schema: &Schema) -> Result<SparseQuery, Error> {
    point::terms(sparse, schema).map(SparseQuery::new).map_err(invalid)
}

fn present(collection: &Collection, candidates: Vec<Candidate>) -> Vec<ScoredPoint> {
    let present = |candidate: Candidate| {
        let (id, payload) = collection.at(candidate.point)?;
        Some(ScoredPoint {
            id: id.into(),
            score: candidate.score,
            payload: payload.to_owned(),
        })
    };
    candidates.into_iter().filter_map(present).collect()
}

/// As [`present`], with the euclidean distance as the contract has it: lower is better.
fn present_nearest(collection: &Collection, candidates: Vec<Candidate>) -> Vec<ScoredPoint> {
    let mut points = present(collection, candidates);
    if collection.schema().distance == Distance::Euclid {
        points.iter_mut().for_each(|point| point.score = -point.score);
    }
    points
}

#[cfg(test)]
mod tests;
