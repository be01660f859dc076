//! Names for points that come out the same on every run, so that an upsert repeated is harmless.

use std::collections::HashMap;
use std::fmt;

use weir_runtime::vector_store;

/// Domain separation (`blake3::derive_key`): no other hash of this program can be a point's id.
const CONTEXT: &str = "weir index 2026 point id";

/// A point's id: a UUID of version 8 (RFC 9562, 5.8) whose free bits are a hash of the chunk's path, its text, and its
/// place among equal chunks of the file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ChunkId([u8; 16]);

impl ChunkId {
    /// The id of the `ordinal`th chunk of this text in the file.
    pub fn new(path: &str, text: &str, ordinal: u32) -> ChunkId {
        let mut hasher = blake3::Hasher::new_derive_key(CONTEXT);
        // The length keeps a path's end and a text's beginning apart.
        hasher.update(&(path.len() as u64).to_le_bytes());
        hasher.update(path.as_bytes());
        hasher.update(&ordinal.to_le_bytes());
        hasher.update(text.as_bytes());
        let mut bytes = [0; 16];
        hasher.finalize_xof().fill(&mut bytes);
        bytes[6] = (bytes[6] & 0x0f) | 0x80; // version 8
        bytes[8] = (bytes[8] & 0x3f) | 0x80; // variant 10
        ChunkId(bytes)
    }

    /// One it was before, from [`ChunkId::as_bytes`].
    pub fn from_bytes(bytes: [u8; 16]) -> ChunkId {
        ChunkId(bytes)
    }

    /// In network order.
    pub fn as_bytes(&self) -> &[u8; 16] {
        &self.0
    }
}

/// The hyphenated form, as stores take it.
impl fmt::Display for ChunkId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (place, byte) in self.0.iter().enumerate() {
            if matches!(place, 4 | 6 | 8 | 10) {
                f.write_str("-")?;
            }
            write!(f, "{byte:02x}")?;
        }
        Ok(())
    }
}

impl From<ChunkId> for vector_store::PointId {
    fn from(id: ChunkId) -> Self {
        vector_store::PointId::Uuid(id.to_string())
    }
}

/// The ids of a file's chunks, in their order.
pub fn chunk_ids<'a>(path: &str, texts: impl IntoIterator<Item = &'a str>) -> Vec<ChunkId> {
    let mut seen: HashMap<&str, u32> = HashMap::new();
    let ids = texts.into_iter().map(|text| {
        let ordinal = seen.entry(text).or_insert(0);
        let id = ChunkId::new(path, text, *ordinal);
        *ordinal += 1;
        id
    });
    ids.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_is_the_same_on_every_run_and_every_machine() {
        assert_eq!(
            ChunkId::new("src/a.rs", "fn a() {}\n", 0).to_string(),
            "2f74116e-4eb3-8207-8e67-df41f867d8e1"
        );
    }

    #[test]
    fn an_id_is_a_uuid_of_version_8() {
        for text in ["", "a", "b", "ü"] {
            let id = ChunkId::new("p", text, 0).to_string();
            let groups: Vec<usize> = id.split('-').map(str::len).collect();
            assert_eq!(groups, [8, 4, 4, 4, 12]);
            assert_eq!(&id[14..15], "8");
            assert!(matches!(&id[19..20], "8" | "9" | "a" | "b"));
        }
    }

    #[test]
    fn path_text_and_ordinal_all_tell_chunks_apart() {
        let ids = [
            ChunkId::new("a", "text", 0),
            ChunkId::new("a", "text", 1),
            ChunkId::new("a", "texts", 0),
            ChunkId::new("b", "text", 0),
            ChunkId::new("at", "ext", 0),
        ];
        let distinct: std::collections::HashSet<ChunkId> = ids.into_iter().collect();
        assert_eq!(distinct.len(), ids.len());
    }

    #[test]
    fn equal_chunks_of_a_file_are_told_apart_and_a_chunk_before_them_changes_no_id() {
        let before = chunk_ids("p", ["x", "y", "x"]);
        let after = chunk_ids("p", ["new", "x", "y", "x"]);
        assert_ne!(before[0], before[2]);
        assert_eq!(before, after[1..]);
    }
}
