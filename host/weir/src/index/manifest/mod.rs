//! What of a tree is in the store: one redb file a collection.
//!
//! | table | key | value |
//! |---|---|---|
//! | `meta` | `format` | the version of this layout |
//! | | `description` | whose vectors the collection holds ([`Description`], JSON) |
//! | | `dropping` | there while the collection is dropped to be built anew |
//! | `files` | path | the content's hash, then the ids of all the points of the file in the store |
//! | `pending` | path | the file is being changed in the store: the ids of points that may have come, though `files` does not know them |
//!
//! A file is `pending` before the first of its points is sent or deleted, and moves to `files`, or away, when all is
//! acknowledged. So whatever moment a run ends at, the next one knows every point that can be in the store, sends what
//! may be missing, and removes what is stale.

#[cfg(test)]
mod tests;

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use redb::{
    Builder, Database, DatabaseError, ReadOnlyDatabase, ReadableDatabase, ReadableTable, TableDefinition, TableError,
};
use serde::{Deserialize, Serialize};

use crate::index::ids::ChunkId;

/// The layout this program reads and writes. Any other is refused.
const FORMAT: &str = "1";

const META: TableDefinition<'static, &str, &str> = TableDefinition::new("meta");
const FILES: TableDefinition<'static, &str, &[u8]> = TableDefinition::new("files");
const PENDING: TableDefinition<'static, &str, &[u8]> = TableDefinition::new("pending");

/// redb's own default is 1 GiB; a manifest is looked up once a file.
const CACHE_BYTES: usize = 4 << 20;

const HASH_BYTES: usize = 32;
const ID_BYTES: usize = 16;

/// The manifest can't be used.
#[derive(Debug, thiserror::Error)]
pub enum ManifestError {
    /// Another run holds it.
    #[error("the collection is being indexed by a run of `weir index` ({} is locked); wait until it has finished", .file.display())]
    InUse {
        /// The manifest's file.
        file: PathBuf,
    },
    /// It is of another version of this program.
    #[error("{} has format {found:?}, and this program knows {FORMAT:?} only; it was left as it is. Use the program \
             that wrote it, or another collection", .file.display())]
    UnknownFormat {
        /// The manifest's file.
        file: PathBuf,
        /// The version it has.
        found: String,
    },
    /// It is no manifest, or damaged.
    #[error("{} can't be read as an index manifest: {reason}. It was left as it is; if it can go, delete it and index \
             again with --rebuild", .file.display())]
    Damaged {
        /// The manifest's file.
        file: PathBuf,
        /// What is wrong.
        reason: String,
    },
    /// Reading or writing failed.
    #[error("{}: {reason}", .file.display())]
    Storage {
        /// The manifest's file.
        file: PathBuf,
        /// What failed.
        reason: String,
    },
}

/// A model, and the provider that runs it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Model {
    /// The provider's name in the configuration.
    pub provider: String,
    /// The model's name, as the provider answers it.
    pub model: String,
}

/// Whose vectors a collection holds. Vectors of another model can't be compared with them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Description {
    /// The tree, for people.
    pub root: String,
    /// The provider of the vector store.
    pub store: String,
    /// Dense vectors.
    pub embedding: Model,
    /// The dense model as the configuration or the provider's manifest named it.
    pub configured_model: Option<String>,
    /// Length of the dense vectors.
    pub dimensions: u32,
    /// Sparse vectors, where the collection has them.
    pub sparse: Option<Model>,
}

/// A file's content, by its hash.
pub type ContentHash = [u8; HASH_BYTES];

/// What is known of a file.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct FileState {
    /// The content whose points are all in the store.
    pub indexed: Option<ContentHash>,
    /// The points of that content.
    pub points: Vec<ChunkId>,
    /// The file is being changed in the store, where some of `points` may be gone, and these may have come.
    pub pending: Option<Vec<ChunkId>>,
}

impl FileState {
    /// Whether the store has exactly this content of the file.
    pub fn is_indexed(&self, hash: &ContentHash) -> bool {
        self.indexed.as_ref() == Some(hash) && self.pending.is_none()
    }

    /// Every point of the file that may be in the store.
    pub fn all_points(self) -> BTreeSet<ChunkId> {
        self.points
            .into_iter()
            .chain(self.pending.unwrap_or_default())
            .collect()
    }
}

/// A file whose points are all in the store.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IndexedFile {
    /// Its path.
    pub path: String,
    /// Its content.
    pub hash: ContentHash,
    /// Its points.
    pub points: Vec<ChunkId>,
}

/// An open manifest. While it is open, no other run can open it.
#[derive(Debug)]
pub struct Manifest {
    database: Database,
    file: PathBuf,
}

impl Manifest {
    /// Opens a collection's manifest, or begins one.
    pub fn open(file: &Path) -> Result<Manifest, ManifestError> {
        let storage = |error: std::io::Error| ManifestError::Storage {
            file: file.to_owned(),
            reason: error.to_string(),
        };
        if let Some(folder) = file.parent() {
            fs::create_dir_all(folder).map_err(storage)?;
        }
        let database = Builder::new()
            .set_cache_size(CACHE_BYTES)
            .create(file)
            .map_err(|error| open_error(file, error))?;
        let manifest = Manifest {
            database,
            file: file.to_owned(),
        };
        match manifest.meta("format")? {
            Some(format) => check_format(file, &format)?,
            None => manifest.write(|transaction| {
                transaction.open_table(FILES)?;
                transaction.open_table(PENDING)?;
                transaction.open_table(META)?.insert("format", FORMAT)?;
                Ok(())
            })?,
        }
        Ok(manifest)
    }

    /// The description in a manifest that may be in nobody's hands. None if there is no manifest, or nothing in it.
    pub fn peek(file: &Path) -> Result<Option<Description>, ManifestError> {
        if !file.exists() {
            return Ok(None);
        }
        let database = ReadOnlyDatabase::open(file).map_err(|error| open_error(file, error))?;
        match read_meta(&database, "format").map_err(|error| storage_error(file, &error))? {
            Some(format) => check_format(file, &format)?,
            None => return Ok(None),
        }
        let description = read_meta(&database, "description").map_err(|error| storage_error(file, &error))?;
        description.map(|json| parse_description(file, &json)).transpose()
    }

    /// Whose vectors the collection holds. None before the first were made.
    pub fn description(&self) -> Result<Option<Description>, ManifestError> {
        self.meta("description")?
            .map(|json| parse_description(&self.file, &json))
            .transpose()
    }

    /// Notes whose vectors the collection holds.
    pub fn describe(&self, description: &Description) -> Result<(), ManifestError> {
        let json = serde_json::to_string(description).map_err(|error| self.damaged(error.to_string()))?;
        self.write(|transaction| {
            transaction.open_table(META)?.insert("description", json.as_str())?;
            Ok(())
        })
    }

    /// What is known of a file; nothing of a new one.
    pub fn file(&self, path: &str) -> Result<FileState, ManifestError> {
        let (indexed, pending) = self.read(|transaction| {
            let indexed = transaction
                .open_table(FILES)?
                .get(path)?
                .map(|value| value.value().to_vec());
            let pending = transaction
                .open_table(PENDING)?
                .get(path)?
                .map(|value| value.value().to_vec());
            Ok((indexed, pending))
        })?;
        let mut state = FileState::default();
        if let Some(value) = indexed {
            let (hash, points) = value
                .split_first_chunk()
                .ok_or_else(|| self.damaged(format!("{path} is cut off")))?;
            state.indexed = Some(*hash);
            state.points = self.decode(path, points)?;
        }
        state.pending = pending.map(|ids| self.decode(path, &ids)).transpose()?;
        Ok(state)
    }

    /// The files that have, or may have, points in the store, and are `wanted`, sorted.
    pub fn paths(&self, wanted: impl Fn(&str) -> bool) -> Result<BTreeSet<String>, ManifestError> {
        self.read(|transaction| {
            let mut paths = BTreeSet::new();
            for table in [FILES, PENDING] {
                for entry in transaction.open_table(table)?.iter()? {
                    let path = entry?.0;
                    if wanted(path.value()) {
                        paths.insert(path.value().to_owned());
                    }
                }
            }
            Ok(paths)
        })
    }

    /// Notes files that are about to be changed in the store, see [`Manifest::note`].
    pub fn begin<'a>(&self, files: impl IntoIterator<Item = (&'a str, &'a [ChunkId])>) -> Result<(), ManifestError> {
        self.note(files, &[], &[])
    }

    /// Notes in one transaction: files that are `begun`, which is that they are about to be changed in the store, with the
    /// points that will be sent, beside those noted before; files that are `finished`, whose points are all in the store,
    /// and no others of theirs; and files that are `gone`, of which nothing is in the store any more.
    pub fn note<'a>(
        &self,
        begun: impl IntoIterator<Item = (&'a str, &'a [ChunkId])>,
        finished: &[IndexedFile],
        gone: &[String],
    ) -> Result<(), ManifestError> {
        self.write(|transaction| {
            let mut indexed = transaction.open_table(FILES)?;
            let mut pending = transaction.open_table(PENDING)?;
            for file in finished {
                let mut value = Vec::with_capacity(HASH_BYTES + file.points.len() * ID_BYTES);
                value.extend_from_slice(&file.hash);
                file.points
                    .iter()
                    .for_each(|point| value.extend_from_slice(point.as_bytes()));
                indexed.insert(file.path.as_str(), value.as_slice())?;
                pending.remove(file.path.as_str())?;
            }
            for path in gone {
                indexed.remove(path.as_str())?;
                pending.remove(path.as_str())?;
            }
            for (path, points) in begun {
                let mut value = pending
                    .get(path)?
                    .map(|value| value.value().to_vec())
                    .unwrap_or_default();
                for point in points {
                    if !value.chunks_exact(ID_BYTES).any(|known| known == point.as_bytes()) {
                        value.extend_from_slice(point.as_bytes());
                    }
                }
                pending.insert(path, value.as_slice())?;
            }
            Ok(())
        })
    }

    /// Notes that the collection is about to be dropped.
    pub fn begin_drop(&self) -> Result<(), ManifestError> {
        self.write(|transaction| {
            transaction.open_table(META)?.insert("dropping", "")?;
            Ok(())
        })
    }

    /// Whether a run ended between [`Manifest::begin_drop`] and [`Manifest::clear`].
    pub fn is_dropping(&self) -> Result<bool, ManifestError> {
        Ok(self.meta("dropping")?.is_some())
    }

    /// Forgets everything: the collection is gone.
    pub fn clear(&self) -> Result<(), ManifestError> {
        self.write(|transaction| {
            transaction.delete_table(FILES)?;
            transaction.delete_table(PENDING)?;
            transaction.open_table(FILES)?;
            transaction.open_table(PENDING)?;
            let mut meta = transaction.open_table(META)?;
            meta.remove("description")?;
            meta.remove("dropping")?;
            Ok(())
        })
    }

    fn meta(&self, key: &str) -> Result<Option<String>, ManifestError> {
        read_meta(&self.database, key).map_err(|error| storage_error(&self.file, &error))
    }

    fn read<T>(&self, act: impl FnOnce(&redb::ReadTransaction) -> Result<T, redb::Error>) -> Result<T, ManifestError> {
        let run = || act(&self.database.begin_read()?);
        run().map_err(|error| storage_error(&self.file, &error))
    }

    /// One transaction, durable when this returns.
    fn write(&self, act: impl FnOnce(&redb::WriteTransaction) -> Result<(), redb::Error>) -> Result<(), ManifestError> {
        let run = || -> Result<(), redb::Error> {
            let transaction = self.database.begin_write()?;
            act(&transaction)?;
            Ok(transaction.commit()?)
        };
        run().map_err(|error| storage_error(&self.file, &error))
    }

    fn decode(&self, path: &str, value: &[u8]) -> Result<Vec<ChunkId>, ManifestError> {
        let (ids, rest) = value.as_chunks::<ID_BYTES>();
        if !rest.is_empty() {
            return Err(self.damaged(format!("the ids of {path} are cut off")));
        }
        Ok(ids.iter().map(|id| ChunkId::from_bytes(*id)).collect())
    }

    fn damaged(&self, reason: String) -> ManifestError {
        ManifestError::Damaged {
            file: self.file.clone(),
            reason,
        }
    }
}

fn read_meta(database: &impl ReadableDatabase, key: &str) -> Result<Option<String>, redb::Error> {
    match database.begin_read()?.open_table(META) {
        Ok(table) => Ok(table.get(key)?.map(|value| value.value().to_owned())),
        Err(TableError::TableDoesNotExist(_)) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

fn check_format(file: &Path, found: &str) -> Result<(), ManifestError> {
    if found == FORMAT {
        return Ok(());
    }
    Err(ManifestError::UnknownFormat {
        file: file.to_owned(),
        found: found.to_owned(),
    })
}

fn parse_description(file: &Path, json: &str) -> Result<Description, ManifestError> {
    serde_json::from_str(json).map_err(|error| ManifestError::Damaged {
        file: file.to_owned(),
        reason: format!("description: {error}"),
    })
}

fn open_error(file: &Path, error: DatabaseError) -> ManifestError {
    let file = file.to_owned();
    match error {
        DatabaseError::DatabaseAlreadyOpen | DatabaseError::LockProtocolMismatch => ManifestError::InUse { file },
        DatabaseError::UpgradeRequired(version) => ManifestError::UnknownFormat {
            file,
            found: format!("redb {version}"),
        },
        DatabaseError::Storage(redb::StorageError::Io(error)) if error.kind() != std::io::ErrorKind::InvalidData => {
            ManifestError::Storage {
                file,
                reason: error.to_string(),
            }
        }
        other => ManifestError::Damaged {
            file,
            reason: other.to_string(),
        },
    }
}

fn storage_error(file: &Path, error: &redb::Error) -> ManifestError {
    let (file, reason) = (file.to_owned(), error.to_string());
    match error {
        redb::Error::Corrupted(_) | redb::Error::TableTypeMismatch { .. } => ManifestError::Damaged { file, reason },
        _ => ManifestError::Storage { file, reason },
    }
}
