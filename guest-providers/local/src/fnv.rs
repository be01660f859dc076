//! FNV-1a of 32 bits (RFC 9923): one hash for the vocabulary's table and for the sparse terms' indices.
//!
//! It takes a byte at a time, so the hashes of all prefixes of a word cost one pass over it. The build script includes
//! this file, too: the table is laid out by the hash it is searched with.

/// The hash of no bytes.
pub const OFFSET_BASIS: u32 = 0x811c_9dc5;

/// The hash of what `hash` is the hash of, and `byte` after it.
pub const fn push(hash: u32, byte: u8) -> u32 {
    (hash ^ byte as u32).wrapping_mul(0x0100_0193)
}

/// The hash of `bytes`.
pub const fn hash(bytes: &[u8]) -> u32 {
    let mut hash = OFFSET_BASIS;
    let mut rest = bytes;
    while let [first, tail @ ..] = rest {
        hash = push(hash, *first);
        rest = tail;
    }
    hash
}

/// Where the search for `hash` begins in a table of 65,536 slots, and the 16 bits that tell its entry from most others.
pub const fn slot_and_tag(hash: u32) -> (u16, u16) {
    ((hash ^ (hash >> 16)) as u16, (hash >> 16) as u16)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_published_test_vectors_hold() {
        // Of the test vectors in RFC 9923.
        assert_eq!(hash(b""), 0x811c_9dc5);
        assert_eq!(hash(b"a"), 0xe40c_292c);
        assert_eq!(hash(b"foobar"), 0xbf9c_f968);
    }
}
