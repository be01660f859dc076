//! From a file's path to the chunks of it that have to be sent, if any.

use std::path::Path;

use super::chunk::{self, Chunk};
use super::ids::{ChunkId, chunk_ids};
use super::manifest::{ContentHash, Manifest, ManifestError};
use super::source::{self, Skip, Source};
use weir_runtime::estimate;

/// Domain separation of content hashes. Raise its number when chunks are cut otherwise: every file then counts as
/// changed.
const CONTEXT: &str = "weir index 2026 content 2";

/// What there is to do about a file.
#[derive(Debug)]
pub enum Prepared {
    /// The store has it as it is.
    Unchanged {
        /// Its path.
        path: String,
    },
    /// It has to be sent.
    Changed(ChangedFile),
    /// It is not indexed.
    Skipped {
        /// Its path.
        path: String,
        /// Why.
        reason: Skip,
    },
    /// It could not be read.
    Unreadable {
        /// Its path.
        path: String,
        /// The system's words.
        message: String,
    },
    /// It was deleted since the walk.
    Gone {
        /// Its path.
        path: String,
    },
}

impl Prepared {
    /// The file's path.
    pub fn path(&self) -> &str {
        match self {
            Prepared::Changed(file) => &file.path,
            Prepared::Unchanged { path }
            | Prepared::Skipped { path, .. }
            | Prepared::Unreadable { path, .. }
            | Prepared::Gone { path } => path,
        }
    }
}

/// A file that the store does not have, or not as it is now.
#[derive(Debug)]
pub struct ChangedFile {
    /// Its path.
    pub path: String,
    /// Its content's hash.
    pub hash: ContentHash,
    /// What to send.
    pub chunks: Vec<Part>,
    /// Points to remove from the store once those are in it.
    pub stale: Vec<ChunkId>,
}

/// A chunk of a file that is to be sent.
#[derive(Debug)]
pub struct Part {
    /// Its point's id.
    pub id: ChunkId,
    /// The chunk.
    pub chunk: Chunk,
    /// Estimated tokens of what is embedded of it.
    pub tokens: u32,
}

impl ChangedFile {
    /// The ids of its points.
    pub fn ids(&self) -> Vec<ChunkId> {
        self.chunks.iter().map(|part| part.id).collect()
    }

    /// Estimated tokens of all its chunks.
    pub fn tokens(&self) -> u64 {
        self.chunks.iter().map(|part| u64::from(part.tokens)).sum()
    }
}

/// Reads a file, and cuts it unless the manifest knows its content. Without a manifest every file is new.
pub fn prepare(
    base: &Path,
    path: String,
    manifest: Option<&Manifest>,
    max_characters: usize,
) -> Result<Prepared, ManifestError> {
    let text = match source::read(&base.join(&path), &path) {
        Ok(Source::Text(text)) => text,
        Ok(Source::Skipped(reason)) => return Ok(Prepared::Skipped { path, reason }),
        Ok(Source::Gone) => return Ok(Prepared::Gone { path }),
        Err(error) => {
            return Ok(Prepared::Unreadable {
                path,
                message: error.to_string(),
            });
        }
    };
    let hash = content_hash(&text, max_characters);
    let state = manifest
        .map(|manifest| manifest.file(&path))
        .transpose()?
        .unwrap_or_default();
    if state.is_indexed(&hash) {
        return Ok(Prepared::Unchanged { path });
    }
    let chunks = chunk::chunks(&path, &text, max_characters);
    let ids = chunk_ids(&path, chunks.iter().map(|chunk| chunk.text.as_str()));
    let mut stale = state.all_points();
    ids.iter().for_each(|id| {
        stale.remove(id);
    });
    let stale = stale.into_iter().collect();
    Ok(Prepared::Changed(ChangedFile {
        path,
        hash,
        chunks: ids.into_iter().zip(chunks).map(part).collect(),
        stale,
    }))
}

fn part((id, chunk): (ChunkId, Chunk)) -> Part {
    let tokens = estimate::tokens(&chunk.embedded_text());
    Part { id, chunk, tokens }
}

fn content_hash(text: &str, max_characters: usize) -> ContentHash {
    let mut hasher = blake3::Hasher::new_derive_key(CONTEXT);
    hasher.update(&(max_characters as u64).to_le_bytes());
    hasher.update(text.as_bytes());
    *hasher.finalize().as_bytes()
}
