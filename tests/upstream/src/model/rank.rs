//! How well documents answer a query, by shared words: BM25 over the documents of the request, brought to 0..1.
//!
//! BM25's term weight grows towards `idf * (k1 + 1)`; dividing by the sum of those bounds over the query's words gives
//! a share: 0 for nothing in common, near 1 for every word found often. Real rerankers answer in the same range.

use std::collections::{BTreeMap, BTreeSet};

/// Saturation of repeated words; the usual value (Robertson and Zaragoza, 2009).
const K1: f32 = 1.2;
/// Weight of the document's length; the usual value (ibid.).
const B: f32 = 0.75;

/// One score a document, in the documents' order.
pub(crate) fn scores(query: &[u32], documents: &[Vec<u32>]) -> Vec<f32> {
    let terms: BTreeSet<u32> = query.iter().copied().collect();
    let counts: Vec<BTreeMap<u32, f32>> = documents
        .iter()
        .map(|ids| {
            let mut counts = BTreeMap::new();
            for id in ids.iter().filter(|id| terms.contains(id)) {
                *counts.entry(*id).or_default() += 1.0;
            }
            counts
        })
        .collect();
    let total = documents.len() as f32;
    let idf: BTreeMap<u32, f32> = terms
        .iter()
        .map(|term| {
            let with = counts.iter().filter(|counts| counts.contains_key(term)).count() as f32;
            (*term, ((total - with + 0.5) / (with + 0.5)).ln_1p())
        })
        .collect();
    let bound: f32 = idf.values().sum::<f32>() * (K1 + 1.0);
    let average = documents.iter().map(Vec::len).sum::<usize>() as f32 / total.max(1.0);
    counts
        .iter()
        .zip(documents)
        .map(|(counts, document)| {
            let length = document.len() as f32 / average.max(1.0);
            // From 0.0: the sum of nothing is -0.0.
            let score = counts.iter().fold(0.0, |score, (term, n)| {
                let idf = idf.get(term).copied().unwrap_or_default();
                score + idf * n * (K1 + 1.0) / (n + K1 * (1.0 - B + B * length))
            });
            if bound > 0.0 {
                (score / bound).clamp(0.0, 1.0)
            } else {
                0.0
            }
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rare_shared_word_weighs_more_than_a_common_one() {
        let scores = scores(&[1, 2], &[vec![1, 9], vec![2, 9], vec![1, 9]]);
        assert!(scores[1] > scores[0]);
    }

    #[test]
    fn nothing_in_common_scores_zero() {
        assert_eq!(scores(&[1], &[vec![2, 3], vec![]]), [0.0, 0.0]);
        assert_eq!(scores(&[], &[vec![2]]), [0.0]);
        assert!(scores(&[1], &[]).is_empty());
    }

    #[test]
    fn the_value_is_bm25_over_its_bound() {
        // One word, one document of average length: idf * 1 * 2.2 / (1 + 1.2), over idf * 2.2.
        assert!((scores(&[7], &[vec![7]])[0] - 1.0 / 2.2).abs() < 1e-6);
    }
}
