//! What the store keeps beside a chunk's vectors, and gives back with a hit.

use serde::{Deserialize, Serialize};

use super::chunk::Chunk;

/// A point's payload.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Payload {
    /// The file, from the root of the tree, with `/`.
    pub path: String,
    /// Its first line, from 1.
    pub start_line: u32,
    /// Its last line.
    pub end_line: u32,
    /// The language's name.
    pub language: String,
    /// The item it belongs to or begins.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub symbol: Option<String>,
    /// What that is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kind: Option<String>,
    /// The text, as it is in the file.
    pub text: String,
    /// blake3 of the file it was cut from, in hex.
    pub hash: String,
}

impl Payload {
    /// The payload of a chunk of a file with this hash.
    pub fn new(chunk: Chunk, hash: String) -> Payload {
        Payload {
            path: chunk.path.as_ref().to_owned(),
            start_line: chunk.start_line,
            end_line: chunk.end_line,
            language: chunk.language.to_owned(),
            symbol: chunk.symbol,
            kind: chunk.kind.map(str::to_owned),
            text: chunk.text,
            hash,
        }
    }
}
