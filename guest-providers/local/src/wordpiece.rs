//! Words to WordPieces: the longest entry of the vocabulary that a word begins with, and again for what is left.
//!
//! The vocabulary is a hash table laid out by the build script. FNV-1a goes byte by byte, so one pass over a word gives
//! the hashes of all its beginnings, and each of them costs a look into one slot.

use crate::fnv;

/// How many WordPieces the vocabulary has.
pub const VOCABULARY: usize = 30_522;

/// The place of `[UNK]` in the vocabulary: what stands for a word that it can't spell.
const UNKNOWN: u16 = 100;

/// The bytes of the vocabulary's longest entry ("telecommunications"): no longer beginning need be looked for.
const LONGEST: usize = 18;

/// Longer words are unknown as a whole, as in BERT's tokeniser: they are data, not language.
const LONGEST_WORD: usize = 100;

/// What marks an entry that continues a word, and its hash.
const CONTINUES: &[u8] = b"##";
const CONTINUES_HASH: u32 = fnv::hash(CONTINUES);

const EMPTY_SLOT: u32 = u32::MAX;

static TEXT: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/pieces.bin"));
static ENDS: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/piece_ends.bin"));
static SLOTS: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/slots.bin"));

/// Adds the WordPieces of one word, folded and without white space, to `pieces`.
pub fn split(word: &str, pieces: &mut Vec<u16>) {
    let before = pieces.len();
    let mut rest = word.as_bytes();
    let mut spelled = word.len() <= LONGEST_WORD || word.chars().count() <= LONGEST_WORD;
    let mut marker: &[u8] = b"";
    while spelled && !rest.is_empty() {
        match longest_beginning(rest, marker) {
            Some((piece, after)) => {
                pieces.push(piece);
                rest = after;
                marker = CONTINUES;
            }
            None => spelled = false,
        }
    }
    if !spelled {
        pieces.truncate(before);
        pieces.push(UNKNOWN);
    }
}

/// The longest entry that is `marker` and a beginning of `word`, and what of the word comes after it.
fn longest_beginning<'a>(word: &'a [u8], marker: &[u8]) -> Option<(u16, &'a [u8])> {
    let mut hash = if marker.is_empty() {
        fnv::OFFSET_BASIS
    } else {
        CONTINUES_HASH
    };
    let mut hashes = [0; LONGEST];
    for (slot, byte) in hashes.iter_mut().zip(word) {
        hash = fnv::push(hash, *byte);
        *slot = hash;
    }
    hashes
        .iter()
        .enumerate()
        .take(word.len())
        .rev()
        .find_map(|(last, hash)| {
            let (beginning, after) = word.split_at_checked(last + 1)?;
            Some((find(*hash, marker, beginning)?, after))
        })
}

fn find(hash: u32, marker: &[u8], beginning: &[u8]) -> Option<u16> {
    let (mut slot, tag) = fnv::slot_and_tag(hash);
    loop {
        let entry = number(SLOTS, usize::from(slot))?;
        if entry == EMPTY_SLOT {
            return None;
        }
        let [tag_and_id @ .., _, _] = entry.to_be_bytes();
        let piece = (entry & 0xffff) as u16;
        if u16::from_be_bytes(tag_and_id) == tag && text(piece)?.strip_prefix(marker) == Some(beginning) {
            return Some(piece);
        }
        slot = slot.wrapping_add(1);
    }
}

fn text(piece: u16) -> Option<&'static [u8]> {
    let piece = usize::from(piece);
    let start = if piece == 0 { 0 } else { number(ENDS, piece - 1)? };
    TEXT.get(start as usize..number(ENDS, piece)? as usize)
}

/// The little-endian number at a place of a table.
fn number(table: &[u8], index: usize) -> Option<u32> {
    table.as_chunks().0.get(index).map(|bytes| u32::from_le_bytes(*bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pieces(word: &str) -> Vec<&'static str> {
        let mut pieces = Vec::new();
        split(word, &mut pieces);
        pieces
            .into_iter()
            .map(|piece| str::from_utf8(text(piece).unwrap()).unwrap())
            .collect()
    }

    #[test]
    fn every_entry_of_the_vocabulary_is_found_under_its_own_number() {
        let vocabulary = include_str!("../data/vocab.txt");
        assert_eq!(vocabulary.lines().count(), VOCABULARY);
        for (id, entry) in vocabulary.lines().enumerate() {
            let found = match entry.strip_prefix("##").filter(|rest| !rest.is_empty()) {
                Some(rest) => find(fnv::hash(entry.as_bytes()), CONTINUES, rest.as_bytes()),
                None => find(fnv::hash(entry.as_bytes()), b"", entry.as_bytes()),
            };
            assert_eq!(found.map(usize::from), Some(id), "{entry}");
            assert!(entry.len() <= LONGEST, "{entry}");
        }
    }

    #[test]
    fn a_word_outside_the_vocabulary_is_spelled_by_its_longest_parts() {
        assert_eq!(pieces("connection"), ["connection"]);
        assert_eq!(pieces("tokenizer"), ["token", "##izer"]);
        assert_eq!(pieces("wasmtime"), ["was", "##mt", "##ime"]);
    }

    #[test]
    fn a_word_that_can_not_be_spelled_is_unknown_as_a_whole() {
        assert_eq!(pieces("ab\u{1F980}"), ["[UNK]"]);
        assert_eq!(pieces(&"a".repeat(LONGEST_WORD + 1)), ["[UNK]"]);
        assert_ne!(pieces(&"a".repeat(LONGEST_WORD)), ["[UNK]"]);
    }
}
