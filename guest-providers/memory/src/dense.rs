//! Dense vectors as they are kept, and their scores to a query over the bytes they lie in.
//!
//! A vector is a power of two, f32, and then for each value how often it holds that power, i16: half of what it was as
//! f32, and a search reads them all. The power is the least by which the largest value still fits, so that whole numbers
//! stay what they are, and any other value is kept to within a 32,767th of the largest.

use crate::vector_store::Distance;

/// The lanes a sum is kept in, so that the compiler can add several at once: four registers of WebAssembly's vectors.
const LANES: usize = 16;

/// A value as it lies in a record.
type Bytes = [u8; 2];

/// The bytes of a vector of so many dimensions.
pub fn bytes(dimensions: usize) -> usize {
    size_of::<f32>() + dimensions * size_of::<Bytes>()
}

/// The bytes of a vector of finite values.
pub fn encode(vector: &[f32]) -> Vec<u8> {
    let power = power(vector.iter().fold(0.0, |largest, value| value.abs().max(largest)));
    let mut bytes = Vec::with_capacity(self::bytes(vector.len()));
    bytes.extend(power.to_le_bytes());
    let multiples = vector
        .iter()
        .map(|value| (f64::from(*value) / f64::from(power)).round() as i16);
    bytes.extend(multiples.flat_map(i16::to_le_bytes));
    bytes
}

/// The least power of two of which an i16 can tell how often `largest` holds it.
fn power(largest: f32) -> f32 {
    let mut power = f32::MIN_POSITIVE;
    while (f64::from(largest) / f64::from(power)).round() > f64::from(i16::MAX) {
        power *= 2.0;
    }
    power
}

/// Adds the score of each of `vectors`, which are of the query's length: higher is better, so the euclidean distance
/// is negative.
pub fn scores(vectors: &[u8], query: &[f32], distance: Distance, scores: &mut Vec<f32>) {
    match distance {
        Distance::Cosine | Distance::Dot => dots(vectors, query, scores),
        Distance::Euclid => negative_distances(vectors, query, scores),
    }
}

// Vector instructions are part of WebAssembly since 2.0; the build's default leaves them out.
#[cfg_attr(target_arch = "wasm32", target_feature(enable = "simd128"))]
fn dots(vectors: &[u8], query: &[f32], scores: &mut Vec<f32>) {
    scores.extend(split(vectors, query.len()).map(|(power, vector)| power * sum_over(vector, query, |a, b| a * b)));
}

#[cfg_attr(target_arch = "wasm32", target_feature(enable = "simd128"))]
fn negative_distances(vectors: &[u8], query: &[f32], scores: &mut Vec<f32>) {
    scores.extend(split(vectors, query.len()).map(|(power, vector)| {
        let square = |a: f32, b: f32| (power * a - b) * (power * a - b);
        -sum_over(vector, query, square).sqrt()
    }));
}

/// The vectors, each its power and its multiples of that.
#[inline(always)]
fn split(vectors: &[u8], dimensions: usize) -> impl Iterator<Item = (f32, &[Bytes])> {
    vectors
        .chunks_exact(bytes(dimensions))
        .map(|vector| match vector.split_first_chunk() {
            Some((power, multiples)) => (f32::from_le_bytes(*power), multiples.as_chunks().0),
            None => (0.0, [].as_slice()),
        })
}

#[inline(always)]
fn sum_over(a: &[Bytes], b: &[f32], term: impl Fn(f32, f32) -> f32) -> f32 {
    let ((a, a_rest), (b, b_rest)) = (a.as_chunks::<LANES>(), b.as_chunks::<LANES>());
    let value = |bytes: Bytes| f32::from(i16::from_le_bytes(bytes));
    let mut sums = [0.0; LANES];
    for (a, b) in a.iter().zip(b) {
        for ((sum, a), b) in sums.iter_mut().zip(a).zip(b) {
            *sum += term(value(*a), *b);
        }
    }
    let rest: f32 = a_rest.iter().zip(b_rest).map(|(a, b)| term(value(*a), *b)).sum();
    sums.iter().sum::<f32>() + rest
}

#[cfg(test)]
mod tests {
    use super::*;

    fn score(vector: &[f32], query: &[f32], distance: Distance) -> f32 {
        let mut found = Vec::new();
        scores(&encode(vector), query, distance, &mut found);
        assert_eq!(found.len(), 1);
        found[0]
    }

    #[test]
    fn sums_take_in_every_dimension_at_any_length() {
        for dimensions in [1, 15, 16, 17, 40] {
            let vectors = encode(&vec![2.0; dimensions]).repeat(2);
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

    #[test]
    fn whole_numbers_are_kept_as_they_are() {
        for value in [0.0, 1.0, -3.0, 32_767.0, -32_767.0] {
            assert_eq!(score(&[value, 1.0], &[1.0, 1.0], Distance::Dot), value + 1.0);
        }
    }

    #[test]
    fn other_values_are_kept_to_within_a_32_767th_of_the_largest() {
        let vector: Vec<f32> = (0..100).map(|place| (place as f32).sin() * 0.3).collect();
        for (place, value) in vector.iter().enumerate() {
            let mut query = vec![0.0; 100];
            query[place] = 1.0;
            let kept = score(&vector, &query, Distance::Dot);
            assert!((kept - value).abs() <= 0.3 / 32_767.0, "{kept} for {value}");
        }
    }

    #[test]
    fn very_large_and_very_small_numbers_can_be_kept() {
        for value in [1e38, -1e38, f32::MIN_POSITIVE * 3.0] {
            let kept = score(&[value], &[1.0], Distance::Dot);
            assert!((kept / value - 1.0).abs() < 1e-4, "{kept} for {value}");
        }
        assert_eq!(score(&[1e-44], &[1.0], Distance::Dot), 0.0);
    }
}
