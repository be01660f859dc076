//! A stateful provider's storage: one file, each write of which is atomic and on disk before it is acknowledged.

mod keyvalue;

use std::path::Path;
use std::sync::Arc;

use redb::{Builder, Database, ReadableDatabase, ReadableTable, TableDefinition};

/// The table that holds a provider's bucket.
const BUCKET: TableDefinition<&str, &[u8]> = TableDefinition::new("bucket");

/// The table that tells how many bytes the bucket holds, changed in one transaction with it.
const USAGE: TableDefinition<&str, u64> = TableDefinition::new("usage");

/// The one entry of [`USAGE`]: bytes of keys and values.
const BYTES: &str = "bytes";

/// Keys in one page of a listing.
const PAGE: usize = 1_000;

/// Bytes of a key: room for a name and an id, so that a page of them is small.
const LONGEST_KEY: usize = 1 << 10;

/// Bytes of the values that one reading brings, so that no guest makes the host hold the same value a million times.
const MOST_READ: usize = 64 << 20;

/// Bytes of the file that are kept in RAM. A guest that reads often what it has stored keeps it itself, as the bundled
/// `memory` does, and redb's own default of 1 GiB would hold all of it a second time.
const CACHE: usize = 32 << 20;

/// A provider's open storage.
#[derive(Debug, Clone)]
pub(crate) struct Storage {
    database: Arc<Database>,
    /// Bytes of keys and values that it may hold.
    quota: u64,
}

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
    pub(crate) fn open(file: &Path, quota: u64) -> Result<Storage, String> {
        if let Some(folder) = file.parent() {
            std::fs::create_dir_all(folder).map_err(|error| error.to_string())?;
        }
        let opened = Builder::new().set_cache_size(CACHE).create(file);
        let database = opened.map_err(|error| match error {
            redb::DatabaseError::DatabaseAlreadyOpen => {
                "another process has it open; stop that one, or use another data folder".to_owned()
            }
            other => other.to_string(),
        })?;
        Ok(Storage {
            database: Arc::new(database),
            quota,
        })
    }

    /// The same, for one that may keep so many bytes.
    pub(crate) fn within(&self, quota: u64) -> Storage {
        Storage {
            database: self.database.clone(),
            quota,
        }
    }

    pub(crate) fn get_many(&self, keys: &[String]) -> Result<Vec<Option<Vec<u8>>>, redb::Error> {
        let transaction = self.database.begin_read()?;
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

    /// Writes and deletes, all or nothing. `None` deletes. What would leave more than the quota is refused, unless it
    /// leaves less than there was.
    pub(crate) fn write(&self, changes: &[(String, Option<Vec<u8>>)]) -> Result<(), redb::Error> {
        if let Some((key, _)) = changes.iter().find(|(key, _)| key.len() > LONGEST_KEY) {
            return Err(refused(format!(
                "a key of {} bytes, more than {LONGEST_KEY}",
                key.len()
            )));
        }
        let transaction = self.database.begin_write()?;
        {
            let mut table = transaction.open_table(BUCKET)?;
            let mut usage = transaction.open_table(USAGE)?;
            let counted = usage.get(BYTES)?.map(|bytes| bytes.value());
            let before = match counted {
                Some(bytes) => bytes,
                // A file that was made before its bytes were counted.
                None => count_bytes(&table)?,
            };
            let mut after = before;
            for (key, value) in changes {
                let replaced = match value {
                    Some(value) => {
                        after += entry_bytes(key, value);
                        table.insert(key.as_str(), value.as_slice())?
                    }
                    None => table.remove(key.as_str())?,
                };
                if let Some(old) = replaced {
                    after = after.saturating_sub(entry_bytes(key, old.value()));
                }
            }
            if after > self.quota && after > before {
                // The transaction ends without having been.
                return Err(refused(format!(
                    "this would keep {after} bytes, more than {} (limits.storage)",
                    self.quota
                )));
            }
            usage.insert(BYTES, after)?;
        }
        transaction.commit()?;
        Ok(())
    }

    /// The page of keys that begins at `cursor`, in order.
    pub(crate) fn list_keys(&self, cursor: Option<u64>) -> Result<Page, redb::Error> {
        let begin = usize::try_from(cursor.unwrap_or_default()).unwrap_or(usize::MAX);
        let transaction = self.database.begin_read()?;
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

fn entry_bytes(key: &str, value: &[u8]) -> u64 {
    (key.len() + value.len()) as u64
}

fn count_bytes(bucket: &impl ReadableTable<&'static str, &'static [u8]>) -> Result<u64, redb::Error> {
    let mut bytes = 0;
    for entry in bucket.iter()? {
        let (key, value) = entry?;
        bytes += entry_bytes(key.value(), value.value());
    }
    Ok(bytes)
}

fn refused(what: String) -> redb::Error {
    redb::Error::Io(std::io::Error::other(what))
}

#[cfg(test)]
mod tests {
    use super::*;

    const QUOTA: u64 = 1 << 30;

    fn storage() -> (tempfile::TempDir, Storage) {
        let folder = tempfile::tempdir().unwrap();
        let storage = Storage::open(&folder.path().join("new/acme.redb"), QUOTA).unwrap();
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
        let _open = Storage::open(&file, QUOTA).unwrap();
        assert!(Storage::open(&file, QUOTA).unwrap_err().contains("another process"));
    }

    /// A write of `bytes` in all under a key of one byte.
    fn put(key: &str, bytes: usize) -> (String, Option<Vec<u8>>) {
        (key.to_owned(), Some(vec![0; bytes - key.len()]))
    }

    #[test]
    fn a_write_past_the_quota_names_it_and_leaves_everything_as_it_was() {
        let folder = tempfile::tempdir().unwrap();
        let storage = Storage::open(&folder.path().join("acme.redb"), 100).unwrap();
        storage.write(&[put("a", 60)]).unwrap();
        let error = storage
            .write(&[("a".into(), None), put("b", 50), put("c", 51)])
            .unwrap_err();
        assert!(error.to_string().contains("limits.storage"), "{error}");
        let keys = ["a", "b", "c"].map(String::from);
        let sizes: Vec<_> = storage
            .get_many(&keys)
            .unwrap()
            .into_iter()
            .map(|value| value.map(|v| v.len()))
            .collect();
        assert_eq!(sizes, [Some(59), None, None]);
        storage.write(&[put("b", 40)]).unwrap();
    }

    #[test]
    fn the_bytes_kept_are_counted_exactly_across_restarts() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("acme.redb");
        let open = || Storage::open(&file, 100).unwrap();
        open().write(&[put("a", 60), put("b", 30)]).unwrap();
        // Written over, then deleted: each counts for what it is.
        open().write(&[put("a", 10)]).unwrap();
        open()
            .write(&[("b".into(), None), ("never there".into(), None)])
            .unwrap();
        assert!(open().write(&[put("c", 91)]).is_err());
        open().write(&[put("c", 90)]).unwrap();
        assert!(open().write(&[put("d", 1)]).is_err());
    }

    #[test]
    fn a_file_from_before_its_bytes_were_counted_is_counted_first() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("acme.redb");
        let storage = Storage::open(&file, 100).unwrap();
        storage.write(&[put("a", 90)]).unwrap();
        let transaction = storage.database.begin_write().unwrap();
        transaction.delete_table(USAGE).unwrap();
        transaction.commit().unwrap();
        assert!(storage.write(&[put("b", 11)]).is_err());
        storage.write(&[put("b", 10)]).unwrap();
    }

    #[test]
    fn a_bucket_over_a_lowered_quota_can_be_made_smaller() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("acme.redb");
        Storage::open(&file, 100)
            .unwrap()
            .write(&[put("a", 50), put("b", 50)])
            .unwrap();
        let storage = Storage::open(&file, 10).unwrap();
        assert!(storage.write(&[put("c", 1)]).is_err());
        storage.write(&[("a".into(), None)]).unwrap();
        storage.write(&[put("b", 49)]).unwrap();
    }
}
