//! Sparse queries: which terms of a point they have, and what a term is worth in the collection.
//!
//! Points are scanned, not looked up in an inverted index: a scan needs no second copy of the terms, nothing to mend
//! when a point goes, and its document frequencies are always those of the points that are there.

//!
//! In a record the terms of a point are grouped by weight, since a text's terms have few different ones: the weight f32,
//! how many terms u32, their indices u32 each, ascending. By 4 bytes a term, a scan reads half of what it would by 8.

use crate::point::Term;

/// Words of 64 bits in a query's marks: a bit for each value of an index's low 16 bits, 8 KiB in all, so that they stay
/// in the processor's first cache.
const MARKS: usize = 1 << 10;

/// The terms of a query, ready to be found in points.
pub struct SparseQuery {
    /// By ascending index.
    terms: Box<[Term]>,
    /// The low bits of the indices: they rule out nearly all other terms at the cost of one look.
    marks: Box<[u64; MARKS]>,
}

impl SparseQuery {
    /// A query of terms by ascending index.
    pub fn new(terms: Box<[Term]>) -> Self {
        let mut marks = Box::new([0; MARKS]);
        for term in &terms {
            let (word, bit) = mark(term.index);
            marks[word] |= bit;
        }
        Self { terms, marks }
    }

    /// The query's own terms.
    pub fn terms(&self) -> &[Term] {
        &self.terms
    }

    /// Visits the terms of a point, as they lie in a record, that the query has too: their places in the query, and
    /// their weights in the point.
    pub fn for_each_hit(&self, mut terms: &[u8], mut visit: impl FnMut(usize, f32)) {
        while let Some((weight, indices, rest)) = split_group(terms) {
            // Four at a time: a look costs less than a turn of the loop, at which the host may interrupt.
            let (fours, rest_of_indices) = indices.as_chunks::<4>();
            for four in fours {
                if four.iter().fold(false, |any, index| any | self.is_marked(*index)) {
                    self.visit_hits(four, weight, &mut visit);
                }
            }
            self.visit_hits(rest_of_indices, weight, &mut visit);
            terms = rest;
        }
    }

    #[inline]
    fn is_marked(&self, index: Index) -> bool {
        let (word, bit) = mark(u32::from_le_bytes(index));
        self.marks[word] & bit != 0
    }

    #[inline]
    fn visit_hits(&self, indices: &[Index], weight: f32, visit: &mut impl FnMut(usize, f32)) {
        for index in indices {
            if self.is_marked(*index)
                && let Ok(place) = self
                    .terms
                    .binary_search_by_key(&u32::from_le_bytes(*index), |term| term.index)
            {
                visit(place, weight);
            }
        }
    }
}

/// An index as it lies in a record.
type Index = [u8; 4];

/// The bytes of a point's terms.
pub fn encode(terms: &[Term]) -> Vec<u8> {
    let key = |term: &Term| u64::from(term.weight.to_bits()) << 32 | u64::from(term.index);
    let mut keys: Vec<u64> = terms.iter().map(key).collect();
    keys.sort_unstable();
    let mut bytes = Vec::with_capacity(4 * terms.len() + 64);
    for group in keys.chunk_by(|a, b| a >> 32 == b >> 32) {
        if let Some(first) = group.first() {
            bytes.extend(((first >> 32) as u32).to_le_bytes());
            bytes.extend((group.len() as u32).to_le_bytes());
        }
        group.iter().for_each(|key| bytes.extend((*key as u32).to_le_bytes()));
    }
    bytes
}

/// The first group's weight and indices, and what is after it.
fn split_group(terms: &[u8]) -> Option<(f32, &[Index], &[u8])> {
    let (weight, rest) = terms.split_first_chunk()?;
    let (count, rest) = rest.split_first_chunk()?;
    let (indices, rest) = rest.split_at_checked(4 * u32::from_le_bytes(*count) as usize)?;
    Some((f32::from_le_bytes(*weight), indices.as_chunks().0, rest))
}

/// The word of the marks that an index belongs to, below [`MARKS`], and its bit there.
#[inline]
fn mark(index: u32) -> (usize, u64) {
    (index as usize / 64 % MARKS, 1 << (index % 64))
}

/// The inverse document frequency of a term that `having` of `points` points with a sparse vector have: BM25's, as
/// Lucene and Qdrant compute it. Never negative.
pub fn inverse_document_frequency(points: usize, having: usize) -> f32 {
    let (points, having) = (points as f32, having as f32);
    ((points - having + 0.5) / (having + 0.5)).ln_1p()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn terms(terms: &[(u32, f32)]) -> Box<[Term]> {
        terms
            .iter()
            .map(|(index, weight)| Term {
                index: *index,
                weight: *weight,
            })
            .collect()
    }

    #[test]
    fn a_hit_is_the_same_index_whatever_its_low_bits() {
        let same_low_bits = 5 + 64 * MARKS as u32;
        let query = SparseQuery::new(terms(&[(5, 1.0), (900, 1.0)]));
        let point = encode(&terms(&[(5, 0.25), (same_low_bits, 0.5), (900, 0.75), (901, 1.0)]));
        let mut hits = Vec::new();
        query.for_each_hit(&point, |place, weight| hits.push((place, weight)));
        assert_eq!(hits, [(0, 0.25), (1, 0.75)]);
    }

    #[test]
    fn terms_of_one_weight_are_kept_by_four_bytes_each() {
        let many: Vec<(u32, f32)> = (0..100)
            .map(|index| (index, if index % 2 == 0 { 0.5 } else { 1.5 }))
            .collect();
        let bytes = encode(&terms(&many));
        assert_eq!(bytes.len(), 2 * 8 + 100 * 4);
        let query = SparseQuery::new(terms(&[(3, 1.0), (98, 1.0)]));
        let mut hits = Vec::new();
        query.for_each_hit(&bytes, |place, weight| hits.push((place, weight)));
        assert_eq!(hits, [(1, 0.5), (0, 1.5)]);
    }

    #[test]
    fn the_rarer_a_term_the_more_it_is_worth() {
        // ln((10 - 1 + 0.5) / (1 + 0.5) + 1)
        assert!((inverse_document_frequency(10, 1) - 1.992_430_2).abs() < 1e-6);
        assert!(inverse_document_frequency(10, 1) > inverse_document_frequency(10, 9));
        assert!(inverse_document_frequency(10, 10) > 0.0);
    }
}
