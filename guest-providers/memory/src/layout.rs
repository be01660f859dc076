//! Where in the storage things are, and reading all of it.
//!
//! | key | value |
//! |---|---|
//! | `format` | the version of all of this, as text |
//! | `c/COLLECTION` | the collection's schema |
//! | `p/COLLECTION/ID` | a point |
//!
//! A storage of another format is refused and left as it is: guessing at it could destroy it.

use std::collections::BTreeMap;

use weir_guest::Error;

use crate::codec;
use crate::collection::Collection;
use crate::error;
use crate::point::Id;
use crate::storage::Storage;

/// The key of the format.
pub const FORMAT_KEY: &str = "format";
/// The format that is read and written.
pub const FORMAT: &str = "1";

/// Points read at once: some hundreds of kilobytes.
const PAGE: usize = 256;

/// The collections by their names.
pub type Collections = BTreeMap<String, Collection>;

/// The key of a collection's schema.
pub fn collection_key(collection: &str) -> String {
    format!("c/{collection}")
}

/// The key of a point.
pub fn point_key(collection: &str, id: Id) -> String {
    format!("p/{collection}/{id}")
}

/// Reads everything there is.
///
/// # Errors
/// `storage` where it can't be read, is of another format, or a record is damaged: the record's key is named.
pub fn load(storage: &mut impl Storage) -> Result<Collections, Error> {
    let keys = storage.keys()?;
    check_format(storage, &keys)?;

    let mut collections = Collections::new();
    let schemas: Vec<String> = keys.iter().filter(|key| key.starts_with("c/")).cloned().collect();
    for (key, record) in read(storage, &schemas)? {
        let schema = codec::decode_schema(&record).ok_or_else(|| damaged(key))?;
        let name = key.strip_prefix("c/").unwrap_or_default();
        collections.insert(name.to_owned(), Collection::new(schema));
    }
    let points: Vec<String> = keys.into_iter().filter(|key| key.starts_with("p/")).collect();
    for page in points.chunks(PAGE) {
        for (key, record) in read(storage, page)? {
            let (collection, id) = point_of(key).ok_or_else(|| damaged(key))?;
            let collection = collections.get_mut(collection).ok_or_else(|| {
                error::storage(format!(
                    "the record `{key}` is of no collection: `{}` is missing",
                    collection_key(collection)
                ))
            })?;
            let point = codec::decode_point(id, &record, collection.schema()).ok_or_else(|| damaged(key))?;
            collection.put(point);
        }
    }
    Ok(collections)
}

fn check_format(storage: &mut impl Storage, keys: &[String]) -> Result<(), Error> {
    let [format] = storage.read(&[FORMAT_KEY.to_owned()])?.try_into().unwrap_or([None]);
    match format {
        Some(format) if format == FORMAT.as_bytes() => Ok(()),
        Some(format) => Err(error::storage(format!(
            "the storage has format `{}`, this adapter reads and writes format `{FORMAT}`: it was left as it is",
            format.escape_ascii()
        ))),
        None if keys.is_empty() => Ok(()),
        None => Err(error::storage(format!(
            "the storage has {} keys but no `{FORMAT_KEY}`, this adapter reads and writes format `{FORMAT}`: \
             it was left as it is",
            keys.len()
        ))),
    }
}

fn read<'k>(storage: &mut impl Storage, keys: &'k [String]) -> Result<Vec<(&'k str, Vec<u8>)>, Error> {
    let values = storage.read(keys)?;
    let missing = |key: &str| error::storage(format!("the record `{key}` is listed but not there"));
    keys.iter()
        .zip(values)
        .map(|(key, value)| Ok((key.as_str(), value.ok_or_else(|| missing(key))?)))
        .collect()
}

fn point_of(key: &str) -> Option<(&str, Id)> {
    let (collection, id) = key.strip_prefix("p/")?.rsplit_once('/')?;
    Some((collection, Id::parse(id)?))
}

fn damaged(key: &str) -> Error {
    error::storage(format!(
        "the record `{key}` is damaged; restore the storage from a copy, or delete it and index again"
    ))
}
