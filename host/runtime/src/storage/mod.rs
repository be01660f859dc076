//! A stateful provider's storage: one file, each write of which is atomic and on disk before it is acknowledged.

mod keyvalue;

use std::path::Path;
use std::sync::Arc;

use redb::{Database, ReadableDatabase, ReadableTable, TableDefinition};

/// The table that holds a provider's bucket.
const BUCKET: TableDefinition<&str, &[u8]> = TableDefinition::new("bucket");

/// Keys in one page of a listing.
const PAGE: usize = 1_000;

/// Bytes of a key: room for a name and an id, so that a page of them is small.
const LONGEST_KEY: usize = 1 << 10;

/// Bytes of the values that one reading brings, so that no guest makes the host hold the same value a million times.
const MOST_READ: usize = 64 << 20;

/// A provider's open storage.
#[derive(Debug, Clone)]
pub(crate) struct Storage(Arc<Database>);

/// The one bucket, as a resource in a guest's hands. It holds nothing: the storage is the provider's.
#[derive(Debug)]
pub struct Bucket;

/// A page of keys, and where the next one begins.
pub(crate) struct Page {
    pub(crate) keys: Vec<String>,
    pub(crate) cursor: Option<u64>,
}

impl Storage {
    /// Opens the file, or makes it and the folders above it. It is this process's alone until it is dropped.
    pub(crate) fn open(file: &Path) -> Result<Storage, String> {
        if let Some(folder) = file.parent() {
            std::fs::create_dir_all(folder).map_err(|error| error.to_string())?;
        }
        let database = Database::create(file).map_err(|error| match error {
            redb::DatabaseError::DatabaseAlreadyOpen => {
                "another process has it open; stop that one, or use another data folder".to_owned()
            }
            other => other.to_string(),
        })?;
        Ok(Storage(Arc::new(database)))
    }

    pub(crate) fn get_many(&self, keys: &[String]) -> Result<Vec<Option<Vec<u8>>>, redb::Error> {
        let transaction = self.0.begin_read()?;
        let table = match transaction.open_table(BUCKET) {
            Ok(table) => table,
            Err(redb::TableError::TableDoesNotExist(_)) => return Ok(vec![None; keys.len()]),
            Err(error) => return Err(error.into()),
        };
        let mut room = MOST_READ;
        let read = |key: &String| {
            let Some(value) = table.get(key.as_str())? else {
                return Ok(None);
            };
            let bytes = value.value();
            room = room
                .checked_sub(bytes.len())
                .ok_or_else(|| refused(format!("more than {MOST_READ} bytes asked for at once")))?;
            Ok(Some(bytes.to_vec()))
        };
        keys.iter().map(read).collect()
    }

    /// Writes and deletes, all or nothing. `None` deletes.
    pub(crate) fn write(&self, changes: &[(String, Option<Vec<u8>>)]) -> Result<(), redb::Error> {
        if let Some((key, _)) = changes.iter().find(|(key, _)| key.len() > LONGEST_KEY) {
            return Err(refused(format!(
                "a key of {} bytes, more than {LONGEST_KEY}",
                key.len()
            )));
        }
        let transaction = self.0.begin_write()?;
        {
            let mut table = transaction.open_table(BUCKET)?;
            for (key, value) in changes {
                match value {
                    Some(value) => drop(table.insert(key.as_str(), value.as_slice())?),
                    None => drop(table.remove(key.as_str())?),
                }
            }
        }
        transaction.commit()?;
        Ok(())
    }

    /// The page of keys that begins at `cursor`, in order.
    pub(crate) fn list_keys(&self, cursor: Option<u64>) -> Result<Page, redb::Error> {
        let begin = usize::try_from(cursor.unwrap_or_default()).unwrap_or(usize::MAX);
        let transaction = self.0.begin_read()?;
        let table = match transaction.open_table(BUCKET) {
            Ok(table) => table,
            Err(redb::TableError::TableDoesNotExist(_)) => {
                return Ok(Page {
                    keys: Vec::new(),
                    cursor: None,
                });
            }
            Err(error) => return Err(error.into()),
        };
        let mut keys = Vec::new();
        let mut rest = table.iter()?.skip(begin);
        for entry in rest.by_ref().take(PAGE) {
            keys.push(entry?.0.value().to_owned());
        }
        let more = rest.next().is_some();
        Ok(Page {
            cursor: more.then_some((begin + keys.len()) as u64),
            keys,
        })
    }
}

fn refused(what: String) -> redb::Error {
    redb::Error::Io(std::io::Error::other(what))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn storage() -> (tempfile::TempDir, Storage) {
        let folder = tempfile::tempdir().unwrap();
        let storage = Storage::open(&folder.path().join("new/acme.redb")).unwrap();
        (folder, storage)
    }

    #[test]
    fn what_was_written_is_read_and_what_was_not_is_absent() {
        let (_folder, storage) = storage();
        let keys = ["a".to_owned(), "b".to_owned()];
        assert_eq!(storage.get_many(&keys).unwrap(), [None, None]);
        storage.write(&[("a".into(), Some(b"1".to_vec()))]).unwrap();
        assert_eq!(storage.get_many(&keys).unwrap(), [Some(b"1".to_vec()), None]);
        storage
            .write(&[("a".into(), None), ("b".into(), Some(b"2".to_vec()))])
            .unwrap();
        assert_eq!(storage.get_many(&keys).unwrap(), [None, Some(b"2".to_vec())]);
    }

    #[test]
    fn pages_hold_every_key_once() {
        let (_folder, storage) = storage();
        let written: Vec<String> = (0..2_500).map(|number| format!("{number:05}")).collect();
        let changes: Vec<_> = written.iter().map(|key| (key.clone(), Some(Vec::new()))).collect();
        storage.write(&changes).unwrap();
        let (mut listed, mut cursor) = (Vec::new(), None);
        loop {
            let page = storage.list_keys(cursor).unwrap();
            listed.extend(page.keys);
            cursor = page.cursor;
            if cursor.is_none() {
                break;
            }
        }
        assert_eq!(listed, written);
    }

    #[test]
    fn one_reading_brings_no_more_than_its_bound() {
        let (_folder, storage) = storage();
        storage.write(&[("a".into(), Some(vec![0; 40 << 20]))]).unwrap();
        assert!(storage.get_many(&["a".into()]).is_ok());
        assert!(storage.get_many(&["a".into(), "a".into()]).is_err());
        assert!(storage.write(&[("k".repeat(LONGEST_KEY + 1), None)]).is_err());
    }

    #[test]
    fn a_file_that_is_open_elsewhere_says_so() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("acme.redb");
        let _open = Storage::open(&file).unwrap();
        assert!(Storage::open(&file).unwrap_err().contains("another process"));
    }
}
