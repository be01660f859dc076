//! The scores of dense vectors to a query, over the bytes they lie in.

use crate::vector_store::Distance;

/// The lanes a sum is kept in, so that the compiler can add several at once: four registers of WebAssembly's vectors.
const LANES: usize = 16;

/// A number as it lies in a record.
type Bytes = [u8; 4];

/// Adds the score of each of `vectors`, which are of the query's length: higher is better, so the euclidean distance
/// is negative.
pub fn scores(vectors: &[u8], query: &[f32], distance: Distance, scores: &mut Vec<f32>) {
    let vectors = vectors.as_chunks().0;
    match distance {
        Distance::Cosine | Distance::Dot => dots(vectors, query, scores),
        Distance::Euclid => negative_distances(vectors, query, scores),
    }
}

// Vector instructions are part of WebAssembly since 2.0; the build's default leaves them out.
#[cfg_attr(target_arch = "wasm32", target_feature(enable = "simd128"))]
fn dots(vectors: &[Bytes], query: &[f32], scores: &mut Vec<f32>) {
    scores.extend(
        vectors
            .chunks_exact(query.len())
            .map(|vector| sum_over(vector, query, |a, b| a * b)),
    );
}

#[cfg_attr(target_arch = "wasm32", target_feature(enable = "simd128"))]
fn negative_distances(vectors: &[Bytes], query: &[f32], scores: &mut Vec<f32>) {
    let square = |a: f32, b: f32| (a - b) * (a - b);
    scores.extend(
        vectors
            .chunks_exact(query.len())
            .map(|vector| -sum_over(vector, query, square).sqrt()),
    );
}

#[inline(always)]
fn sum_over(a: &[Bytes], b: &[f32], term: impl Fn(f32, f32) -> f32) -> f32 {
    let ((a, a_rest), (b, b_rest)) = (a.as_chunks::<LANES>(), b.as_chunks::<LANES>());
    let mut sums = [0.0; LANES];
    for (a, b) in a.iter().zip(b) {
        for ((sum, a), b) in sums.iter_mut().zip(a).zip(b) {
            *sum += term(f32::from_le_bytes(*a), *b);
        }
    }
    let rest: f32 = a_rest
        .iter()
        .zip(b_rest)
        .map(|(a, b)| term(f32::from_le_bytes(*a), *b))
        .sum();
    sums.iter().sum::<f32>() + rest
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sums_take_in_every_dimension_at_any_length() {
        for dimensions in [1, 15, 16, 17, 40] {
            let vectors = 2.0_f32.to_le_bytes().repeat(dimensions * 2);
            let query = vec![3.0; dimensions];
            for (distance, expected) in [
                (Distance::Dot, dimensions as f32 * 6.0),
                (Distance::Euclid, -(dimensions as f32).sqrt()),
            ] {
                let mut found = Vec::new();
                scores(&vectors, &query, distance, &mut found);
                assert_eq!(found, [expected; 2]);
            }
        }
    }
}
