//! The operations of the contract's `vector-store`, over any storage.
//!
//! What there is, is read by the first operation, the points of a collection by the first that needs them. From then on
//! RAM mirrors all but the payloads: an operation that changes something writes one batch first, and changes RAM only
//! when that is durable.

use std::borrow::Cow;
use std::collections::{HashMap, TryReserveError};
use std::hint::black_box;

use weir_guest::Error;

use crate::block::Row;
use crate::codec;
use crate::collection::Collection;
use crate::dense;
use crate::draft::{Change, Draft};
use crate::error::{self, invalid, not_found};
use crate::filter;
use crate::fusion;
use crate::layout::{self, Collections, Kept};
use crate::point::{self, Id, Point, Schema};
use crate::rank::Candidate;
use crate::storage::{Entry, Storage};
use crate::vector_store::{self, Distance, Filter, QueryRequest, ScoredPoint, Selection};

/// The most dimensions a collection may have: Qdrant's limit, so that a collection can move there.
const MAX_DIMENSIONS: u32 = 65_536;

/// The bytes a collection's name may have.
const MAX_NAME: usize = 255;

/// How many candidates each half of a hybrid query finds for each point that is asked for, and at least: a point that
/// is far down in one ranking and high in the other should not be missed. Over 1,500 Rust functions the mean reciprocal
/// rank is 0.51 with 1,000, and 0.49 with 100 (`tests/tests/retrieval.rs`).
const CANDIDATES_PER_POINT: usize = 4;
const MIN_CANDIDATES: usize = 1_000;

/// Bytes that an upsert leaves free for the operations after it, a query's hits above all. Without them a full instance
/// could store points and then answer nothing.
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
        let place = match place_of(collections, &name) {
            Ok(place) => {
                let existing = collections.get(place).map(|kept| &kept.schema);
                return existing
                    .map_or(Ok(()), |existing| check_same(&name, existing, &wanted))
                    .map(|()| false);
            }
            Err(place) => place,
        };
        let (before, after) = collections.split_at(place);
        let named = before.iter().map(|kept| kept.name.as_str());
        let named = named
            .chain([name.as_str()])
            .chain(after.iter().map(|kept| kept.name.as_str()));
        let mut entries = Vec::from(layout::collections_entries(named));
        entries.push((layout::collection_key(&name), codec::encode_collection(&wanted, 0)));
        storage.write(&entries)?;
        let kept = Kept {
            name,
            schema: wanted,
            points: 0,
            read: None,
        };
        collections.insert(place, kept);
        Ok(true)
    }

    /// See the contract. Returns how many points were written: of several with one id the last.
    pub fn upsert(&mut self, collection: &str, points: Vec<vector_store::Point>) -> Result<u64, Error> {
        let (storage, kept) = self.points_mut(collection)?;
        let points = points
            .into_iter()
            .map(|point| Point::check(point, kept.schema()))
            .collect::<Result<_, _>>()?;
        let points = last_of_each_id(points);
        if points.is_empty() {
            return Ok(0);
        }
        let written = points.len();
        let mut entries: Vec<Entry> = points
            .iter()
            .map(|point| {
                let key = layout::payload_key(collection, point.id);
                (key, codec::encode_payload(&point.payload))
            })
            .collect();
        let vectors: Vec<Vec<u8>> = points
            .iter()
            .map(|point| point.vector.as_deref().map(dense::encode).unwrap_or_default())
            .collect();
        // Before anything is durable: what is stored must fit into RAM.
        let change = kept.try_reserve(written).and_then(|()| {
            let mut draft = Draft::new(kept);
            for (point, vector) in points.iter().zip(&vectors) {
                draft.put(Row {
                    id: point.id,
                    vector,
                    terms: Cow::Borrowed(&point.terms),
                    fields: &point.fields,
                });
            }
            let change = draft.finish();
            try_headroom().and(change)
        });
        let change = change.map_err(|_| {
            error::storage(format!(
                "no memory is left for {written} more points beside the {} of `{collection}`; raise the provider's \
                 `limits.memory`",
                kept.len()
            ))
        })?;
        drop((points, vectors));
        commit(storage, collection, kept, change, &mut entries)?;
        self.counted(collection);
        Ok(written as u64)
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
        let (storage, kept) = self.points_mut(&collection)?;
        let kept = &*kept;
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
        let sparse = sparse
            .map(|sparse| point::terms(sparse, kept.schema()))
            .transpose()
            .map_err(invalid)?;
        let is_distance = sparse.is_none() && kept.schema().distance == Distance::Euclid;
        let mut passes = |place| passes(filter, storage, &collection, kept, place);
        let found = match (vector, sparse) {
            (Some(vector), None) => kept.nearest(&vector, limit, passes)?,
            (None, Some(sparse)) => kept.matching(&sparse, limit, passes)?,
            (Some(vector), Some(sparse)) => {
                let candidates = limit.saturating_mul(CANDIDATES_PER_POINT).max(MIN_CANDIDATES);
                let rankings = [
                    kept.nearest(&vector, candidates, &mut passes)?,
                    kept.matching(&sparse, candidates, &mut passes)?,
                ];
                fusion::fuse(fusion.unwrap_or(fusion::DEFAULT), rankings, limit)
            }
            (None, None) => return Err(invalid("a query needs `vector`, `sparse`, or both")),
        };
        let payloads = layout::read_payloads(storage, &collection, found.iter().map(|candidate| candidate.id))?;
        let present = |(candidate, payload): (Candidate, String)| ScoredPoint {
            id: candidate.id.into(),
            // The contract has the euclidean distance as it is: lower is better.
            score: if is_distance { -candidate.score } else { candidate.score },
            payload,
        };
        Ok(found.into_iter().zip(payloads).map(present).collect())
    }

    /// See the contract. Returns how many of the points were there.
    pub fn delete(&mut self, collection: &str, selection: Selection) -> Result<u64, Error> {
        let (storage, kept) = self.points_mut(collection)?;
        let ids: Vec<Id> = match selection {
            Selection::Ids(ids) => ids.into_iter().map(Id::try_from).collect::<Result<_, _>>()?,
            Selection::Filter(filter) if filter::is_empty(&filter) => {
                return Err(invalid(
                    "the filter is empty: it would delete every point; drop the collection for that",
                ));
            }
            Selection::Filter(filter) => {
                filter::check(&filter)?;
                passing(&filter, storage, collection, kept)?
            }
        };
        let (before, blocks) = (kept.len(), kept.blocks());
        let mut draft = Draft::new(kept);
        ids.iter().for_each(|id| draft.remove(*id));
        let change = draft
            .finish()
            .map_err(|_| error::storage("no memory is left to delete; raise the provider's `limits.memory`"))?;
        if change.len == before {
            return Ok(0);
        }
        commit(storage, collection, kept, change, &mut Vec::new())?;
        let mut left_over: Vec<String> = ids.iter().map(|id| layout::payload_key(collection, *id)).collect();
        left_over.extend((kept.blocks()..blocks).map(|number| layout::block_key(collection, number)));
        let removed = storage.remove(&left_over);
        let deleted = before - kept.len();
        self.counted(collection);
        removed.map(|()| deleted as u64)
    }

    /// See the contract.
    pub fn count(&mut self, collection: &str, filter: Option<&Filter>) -> Result<u64, Error> {
        let count = match filter {
            None => find(self.loaded()?.1, collection)?.points,
            Some(filter) => {
                filter::check(filter)?;
                let (storage, kept) = self.points_mut(collection)?;
                passing(filter, storage, collection, kept)?.len()
            }
        };
        Ok(count as u64)
    }

    /// The names of the collections, in order.
    pub fn list_collections(&mut self) -> Result<Vec<String>, Error> {
        Ok(self.loaded()?.1.iter().map(|kept| kept.name.clone()).collect())
    }

    /// See the contract.
    pub fn drop_collection(&mut self, name: &str) -> Result<bool, Error> {
        let (storage, collections) = self.loaded()?;
        let Ok(place) = place_of(collections, name) else {
            return Ok(false);
        };
        let points = points_of(storage, collections, name)?;
        let mut keys = vec![layout::collection_key(name)];
        keys.extend((0..points.blocks()).map(|number| layout::block_key(name, number)));
        let ids = (0..points.len() as u32).filter_map(|place| points.id(place));
        keys.extend(ids.map(|id| layout::payload_key(name, id)));
        storage.remove(&keys)?;
        collections.remove(place);
        let names = collections.iter().map(|kept| kept.name.as_str());
        storage.write(&layout::collections_entries(names))?;
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

    /// The storage, and the points of a collection, read now if they were not yet.
    fn points_mut(&mut self, name: &str) -> Result<(&mut S, &mut Collection), Error> {
        let (storage, collections) = self.loaded()?;
        let points = points_of(storage, collections, name)?;
        Ok((storage, points))
    }

    /// Takes down how many points a collection has after a change.
    fn counted(&mut self, name: &str) {
        if let Some(Ok(kept)) = self.collections.as_mut().map(|all| find(all, name))
            && let Some(read) = &kept.read
        {
            kept.points = read.len();
        }
    }
}

/// Where the collection is among the others, or where it belongs.
fn place_of(collections: &Collections, name: &str) -> Result<usize, usize> {
    collections.binary_search_by(|kept| kept.name.as_str().cmp(name))
}

fn find<'a>(collections: &'a mut Collections, name: &str) -> Result<&'a mut Kept, Error> {
    let place = place_of(collections, name).ok();
    let kept = place.and_then(|place| collections.get_mut(place));
    kept.ok_or_else(|| missing(name))
}

/// The points of a collection, read now if they were not yet.
fn points_of<'a>(
    storage: &mut impl Storage,
    collections: &'a mut Collections,
    name: &str,
) -> Result<&'a mut Collection, Error> {
    let kept = find(collections, name)?;
    let read = match kept.read.take() {
        Some(read) => read,
        None => layout::read_points(storage, name, &kept.schema, kept.points)?,
    };
    Ok(kept.read.insert(read))
}

/// Writes a change with further entries as one batch, and then makes it in RAM.
fn commit(
    storage: &mut impl Storage,
    name: &str,
    kept: &mut Collection,
    mut change: Change,
    entries: &mut Vec<Entry>,
) -> Result<(), Error> {
    let record = codec::encode_collection(kept.schema(), change.len);
    entries.push((layout::collection_key(name), record));
    let before = entries.len();
    let records = change.records.drain(..);
    let (numbers, records): (Vec<usize>, Vec<Entry>) = records
        .map(|(number, record)| (number, (layout::block_key(name, number), record)))
        .unzip();
    entries.extend(records);
    storage.write(entries)?;
    let records = entries.drain(before..).map(|(_, record)| record);
    change.records = numbers.into_iter().zip(records).collect();
    kept.apply(change);
    Ok(())
}

fn passes(
    filter: Option<&Filter>,
    storage: &mut impl Storage,
    name: &str,
    kept: &Collection,
    place: u32,
) -> Result<bool, Error> {
    let Some(filter) = filter else { return Ok(true) };
    filter::passes(filter, kept.fields(place), &mut || {
        let payloads = layout::read_payloads(storage, name, kept.id(place).into_iter())?;
        Ok(payloads.into_iter().next().unwrap_or_default())
    })
}

/// The ids of the points that pass.
#[inline(never)]
fn passing(filter: &Filter, storage: &mut impl Storage, name: &str, kept: &Collection) -> Result<Vec<Id>, Error> {
    let mut ids = Vec::new();
    for place in 0..kept.len() as u32 {
        if passes(Some(filter), storage, name, kept, place)? {
            ids.extend(kept.id(place));
        }
    }
    Ok(ids)
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

#[cfg(test)]
mod tests;
