//! Sparse queries: which terms of a point they have, and what a term is worth in the collection.
//!
//! Points are scanned, not looked up in an inverted index: a scan needs no second copy of the terms, nothing to mend
//! when a point goes, and its document frequencies are always those of the points that are there.

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

    /// Visits the terms of a point that the query has too: their places in the query, and their weights in the point.
    pub fn for_each_hit(&self, terms: &[Term], mut visit: impl FnMut(usize, f32)) {
        for term in terms {
            let (word, bit) = mark(term.index);
            if self.marks[word] & bit != 0
                && let Ok(place) = self.terms.binary_search_by_key(&term.index, |term| term.index)
            {
                visit(place, term.weight);
            }
        }
    }
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
        let point = terms(&[(5, 0.25), (same_low_bits, 0.5), (900, 0.75), (901, 1.0)]);
        let mut hits = Vec::new();
        query.for_each_hit(&point, |place, weight| hits.push((place, weight)));
        assert_eq!(hits, [(0, 0.25), (1, 0.75)]);
    }

    #[test]
    fn the_rarer_a_term_the_more_it_is_worth() {
        // ln((10 - 1 + 0.5) / (1 + 0.5) + 1)
        assert!((inverse_document_frequency(10, 1) - 1.992_430_2).abs() < 1e-6);
        assert!(inverse_document_frequency(10, 1) > inverse_document_frequency(10, 9));
        assert!(inverse_document_frequency(10, 10) > 0.0);
    }
}
