//! What a term is worth in the collection.

/// The inverse document frequency of a term that `having` of `points` points with a sparse vector have: BM25's, as
/// Lucene and Qdrant compute it. Never negative.
pub fn inverse_document_frequency(points: usize, having: usize) -> f32 {
    let (points, having) = (points as f32, having as f32);
    ((points - having + 0.5) / (having + 0.5)).ln_1p()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_rarer_a_term_the_more_it_is_worth() {
        // ln((10 - 1 + 0.5) / (1 + 0.5) + 1)
        assert!((inverse_document_frequency(10, 1) - 1.992_430_2).abs() < 1e-6);
        assert!(inverse_document_frequency(10, 1) > inverse_document_frequency(10, 9));
        assert!(inverse_document_frequency(10, 10) > 0.0);
    }
}
