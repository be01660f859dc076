//! Where in the storage things are, and reading them.
//!
//! | key | value |
//! |---|---|
//! | `format` | the version of all of this, as text |
//! | `collections` | the names of the collections, a line each; one without a record of its own was dropped |
//! | `c/COLLECTION` | the collection's schema, and how many points there are |
//! | `b/COLLECTION/NUMBER` | a block of points, but for their payloads; those past the last point are left-overs |
//! | `p/COLLECTION/ID` | a point's payload; that of no point in a block is a left-over |
//!
//! A change is one batch of writes, and durable with it. What it leaves over is removed after it, so that a crash
//! between the two costs nothing but room. A storage of another format is refused and left as it is: guessing at it
//! could destroy it.

use weir_guest::Error;

use crate::block::{self, Block};
use crate::codec;
use crate::collection::Collection;
use crate::error;
use crate::point::{Id, Schema};
use crate::storage::{Entry, Storage};

/// The key of the format.
pub const FORMAT_KEY: &str = "format";
/// The format that is read and written.
pub const FORMAT: &str = "3";
const COLLECTIONS_KEY: &str = "collections";

/// Bytes that are read at once, about: an eighth of what the host gives at most.
const PAGE: usize = 8 << 20;

/// Payloads that are read at once: of a megabyte each, they are no more than the host gives.
const PAYLOADS: usize = 64;

/// What is known of the collections, in the order of their names.
pub type Collections = Vec<Kept>;

/// A collection, its points read or not yet.
pub struct Kept {
    /// Its name.
    pub name: String,
    /// What its points share.
    pub schema: Schema,
    /// How many there are.
    pub points: usize,
    /// The points, once they were needed.
    pub read: Option<Collection>,
}

/// The key of a collection's record.
pub fn collection_key(collection: &str) -> String {
    format!("c/{collection}")
}

/// The key of a block.
pub fn block_key(collection: &str, number: usize) -> String {
    format!("b/{collection}/{number}")
}

/// The key of a payload.
pub fn payload_key(collection: &str, id: Id) -> String {
    format!("p/{collection}/{id}")
}

/// The entries that make these the collections there are.
pub fn collections_entries<'a>(names: impl Iterator<Item = &'a str>) -> [Entry; 2] {
    let names: Vec<&str> = names.collect();
    [
        (FORMAT_KEY.to_owned(), FORMAT.into()),
        (COLLECTIONS_KEY.to_owned(), names.join("\n").into_bytes()),
    ]
}

/// Reads which collections there are.
///
/// # Errors
/// `storage` where that can't be read, is of another format, or a record is damaged: the record's key is named.
pub fn load(storage: &mut impl Storage) -> Result<Collections, Error> {
    let found = storage.read(&[FORMAT_KEY.to_owned(), COLLECTIONS_KEY.to_owned()])?;
    let [format, names] = found.try_into().unwrap_or_default();
    if !check_format(storage, format)? {
        return Ok(Collections::new());
    }
    let names = String::from_utf8(names.unwrap_or_default()).map_err(|_| damaged(COLLECTIONS_KEY))?;
    let keys: Vec<String> = names.lines().map(collection_key).collect();
    // They are written in order.
    let mut collections = Collections::new();
    for ((name, key), record) in names.lines().zip(&keys).zip(storage.read(&keys)?) {
        let Some(record) = record else { continue };
        let (schema, points) = codec::decode_collection(&record).ok_or_else(|| damaged(key))?;
        collections.push(Kept {
            name: name.to_owned(),
            schema,
            points,
            read: None,
        });
    }
    Ok(collections)
}

/// Reads the points of a collection.
///
/// # Errors
/// `storage` where one can't be read or is damaged: the record's key is named.
pub fn read_points(
    storage: &mut impl Storage,
    name: &str,
    schema: &Schema,
    points: usize,
) -> Result<Collection, Error> {
    let count = points.div_ceil(block::rows_per_block(schema));
    let mut blocks = Vec::with_capacity(count);
    let mut at_once = 1;
    while blocks.len() < count {
        let numbers = blocks.len()..count.min(blocks.len() + at_once);
        let keys: Vec<String> = numbers.map(|number| block_key(name, number)).collect();
        let mut largest = 1;
        for (key, record) in present(storage, &keys)? {
            largest = largest.max(record.len());
            blocks.push(Block::new(record, schema).ok_or_else(|| damaged(key))?);
        }
        at_once = (PAGE / largest).max(1);
    }
    let collection = Collection::new(*schema, blocks);
    match collection.len() == points {
        true => Ok(collection),
        false => Err(damaged(&collection_key(name))),
    }
}

/// Reads the payloads of points.
///
/// # Errors
/// `storage` where one can't be read or is damaged: the record's key is named.
pub fn read_payloads(
    storage: &mut impl Storage,
    name: &str,
    ids: impl Iterator<Item = Id>,
) -> Result<Vec<String>, Error> {
    let keys: Vec<String> = ids.map(|id| payload_key(name, id)).collect();
    let mut payloads = Vec::with_capacity(keys.len());
    for keys in keys.chunks(PAYLOADS) {
        for (key, record) in present(storage, keys)? {
            payloads.push(codec::decode_payload(record).ok_or_else(|| damaged(key))?);
        }
    }
    Ok(payloads)
}

/// Whether there is anything of this format.
fn check_format(storage: &mut impl Storage, format: Option<Vec<u8>>) -> Result<bool, Error> {
    let found = match format {
        Some(format) if format == FORMAT.as_bytes() => return Ok(true),
        Some(format) => format!("format `{}`", format.escape_ascii()),
        None if storage.is_empty()? => return Ok(false),
        None => format!("keys but no `{FORMAT_KEY}`"),
    };
    Err(error::storage(format!(
        "the storage has {found}, this adapter reads and writes format `{FORMAT}`: it was left as it is; move the file \
         away and index again"
    )))
}

fn present<'k>(storage: &mut impl Storage, keys: &'k [String]) -> Result<Vec<(&'k str, Vec<u8>)>, Error> {
    let values = storage.read(keys)?;
    let missing = |key: &str| error::storage(format!("the record `{key}` should be there and is not"));
    keys.iter()
        .zip(values)
        .map(|(key, value)| Ok((key.as_str(), value.ok_or_else(|| missing(key))?)))
        .collect()
}

fn damaged(key: &str) -> Error {
    error::storage(format!(
        "the record `{key}` is damaged; restore the storage from a copy, or delete it and index again"
    ))
}
