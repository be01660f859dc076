//! The dense vectors of a collection, in rows without gaps, and every one's score to a query.
//!
//! Rows live in blocks: a growing collection adds a block and moves nothing, so that it never needs its size twice.

use std::collections::TryReserveError;

use crate::vector_store::Distance;

/// Rows in one block: 256 KiB at 256 dimensions.
const BLOCK_ROWS: usize = 256;

/// The lanes a sum is kept in, so that the compiler can add several at once: four registers of WebAssembly's vectors.
const LANES: usize = 16;

/// The dense vectors of a collection and whose they are.
pub struct DenseRows {
    dimensions: usize,
    blocks: Vec<Vec<f32>>,
    /// The place of the point each row belongs to.
    points: Vec<u32>,
}

impl DenseRows {
    /// No rows yet.
    pub fn new(dimensions: usize) -> Self {
        Self {
            dimensions,
            blocks: Vec::new(),
            points: Vec::new(),
        }
    }

    /// Makes room for `more` rows, so that adding them allocates nothing.
    pub fn try_reserve(&mut self, more: usize) -> Result<(), TryReserveError> {
        self.points.try_reserve(more)?;
        while self.blocks.len() * BLOCK_ROWS < self.points.len() + more {
            let mut block = Vec::new();
            block.try_reserve_exact(BLOCK_ROWS * self.dimensions)?;
            self.blocks.try_reserve(1)?;
            self.blocks.push(block);
        }
        Ok(())
    }

    /// Adds the vector of a point and returns its row.
    pub fn push(&mut self, point: u32, vector: &[f32]) -> usize {
        let row = self.points.len();
        if self.blocks.len() * BLOCK_ROWS == row {
            self.blocks.push(Vec::with_capacity(BLOCK_ROWS * self.dimensions));
        }
        if let Some(block) = self.blocks.get_mut(row / BLOCK_ROWS) {
            block.extend_from_slice(vector);
        }
        self.points.push(point);
        row
    }

    /// Puts another vector in a row.
    pub fn replace(&mut self, row: usize, vector: &[f32]) {
        if let Some(place) = self.row_mut(row) {
            place.copy_from_slice(vector);
        }
    }

    /// Tells a row that its point has moved.
    pub fn reassign(&mut self, row: usize, point: u32) {
        if let Some(place) = self.points.get_mut(row) {
            *place = point;
        }
    }

    /// Removes a row; the last one takes its place. Returns the point whose vector moved, if one did.
    pub fn swap_remove(&mut self, row: usize) -> Option<u32> {
        let last = self.points.len().checked_sub(1)?;
        let block = self.blocks.get_mut(last / BLOCK_ROWS)?;
        let vector = block.split_off(block.len().saturating_sub(self.dimensions));
        if last % BLOCK_ROWS == 0 {
            self.blocks.truncate(last / BLOCK_ROWS);
        }
        let moved = self.points.pop().filter(|_| row != last)?;
        self.replace(row, &vector);
        self.reassign(row, moved);
        Some(moved)
    }

    /// Visits every point that has a dense vector with its score: higher is better, so the euclidean distance is
    /// negative.
    pub fn scores(&self, query: &[f32], distance: Distance, mut visit: impl FnMut(u32, f32)) {
        let mut scores = Vec::with_capacity(BLOCK_ROWS);
        for (block, points) in self.blocks.iter().zip(self.points.chunks(BLOCK_ROWS)) {
            scores.clear();
            match distance {
                Distance::Cosine | Distance::Dot => dots(block, query, &mut scores),
                Distance::Euclid => negative_distances(block, query, &mut scores),
            }
            points
                .iter()
                .zip(&scores)
                .for_each(|(point, score)| visit(*point, *score));
        }
    }

    fn row_mut(&mut self, row: usize) -> Option<&mut [f32]> {
        let start = row % BLOCK_ROWS * self.dimensions;
        self.blocks
            .get_mut(row / BLOCK_ROWS)?
            .get_mut(start..start + self.dimensions)
    }
}

// Vector instructions are part of WebAssembly since 2.0; the build's default leaves them out.
#[cfg_attr(target_arch = "wasm32", target_feature(enable = "simd128"))]
fn dots(rows: &[f32], query: &[f32], scores: &mut Vec<f32>) {
    scores.extend(
        rows.chunks_exact(query.len())
            .map(|row| sum_over(row, query, |a, b| a * b)),
    );
}

#[cfg_attr(target_arch = "wasm32", target_feature(enable = "simd128"))]
fn negative_distances(rows: &[f32], query: &[f32], scores: &mut Vec<f32>) {
    let square = |a: f32, b: f32| (a - b) * (a - b);
    scores.extend(
        rows.chunks_exact(query.len())
            .map(|row| -sum_over(row, query, square).sqrt()),
    );
}

#[inline(always)]
fn sum_over(a: &[f32], b: &[f32], term: impl Fn(f32, f32) -> f32) -> f32 {
    let ((a, a_rest), (b, b_rest)) = (a.as_chunks::<LANES>(), b.as_chunks::<LANES>());
    let mut sums = [0.0; LANES];
    for (a, b) in a.iter().zip(b) {
        for ((sum, a), b) in sums.iter_mut().zip(a).zip(b) {
            *sum += term(*a, *b);
        }
    }
    let rest: f32 = a_rest.iter().zip(b_rest).map(|(a, b)| term(*a, *b)).sum();
    sums.iter().sum::<f32>() + rest
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scores(rows: &DenseRows, query: &[f32], distance: Distance) -> Vec<(u32, f32)> {
        let mut scores = Vec::new();
        rows.scores(query, distance, |point, score| scores.push((point, score)));
        scores
    }

    #[test]
    fn every_row_is_scored_across_blocks() {
        let mut rows = DenseRows::new(2);
        let count = BLOCK_ROWS as u32 * 2 + 3;
        for point in 0..count {
            assert_eq!(rows.push(point, &[point as f32, 1.0]), point as usize);
        }
        let expected: Vec<_> = (0..count).map(|point| (point, point as f32 * 2.0 + 3.0)).collect();
        assert_eq!(scores(&rows, &[2.0, 3.0], Distance::Dot), expected);
    }

    #[test]
    fn sums_take_in_every_dimension_at_any_length() {
        for dimensions in [1, 15, 16, 17, 40] {
            let mut rows = DenseRows::new(dimensions);
            rows.push(0, &vec![2.0; dimensions]);
            let query = vec![3.0; dimensions];
            let expected = (dimensions as f32 * 6.0, -(dimensions as f32).sqrt());
            assert_eq!(scores(&rows, &query, Distance::Dot), [(0, expected.0)]);
            assert_eq!(scores(&rows, &query, Distance::Euclid), [(0, expected.1)]);
        }
    }

    #[test]
    fn the_last_row_takes_the_place_of_a_removed_one() {
        let mut rows = DenseRows::new(1);
        for point in 0..=BLOCK_ROWS as u32 {
            rows.push(point, &[point as f32]);
        }
        let last = BLOCK_ROWS as u32;
        assert_eq!(rows.swap_remove(1), Some(last));
        assert_eq!(rows.blocks.len(), 1);
        assert_eq!(scores(&rows, &[1.0], Distance::Dot)[1], (last, last as f32));
        assert_eq!(rows.swap_remove(BLOCK_ROWS - 1), None);
        assert_eq!(scores(&rows, &[1.0], Distance::Dot).len(), BLOCK_ROWS - 1);
    }

    #[test]
    fn room_that_was_reserved_is_used() {
        let mut rows = DenseRows::new(2);
        rows.try_reserve(BLOCK_ROWS + 1).unwrap();
        assert_eq!(rows.blocks.len(), 2);
        for point in 0..=BLOCK_ROWS as u32 {
            rows.push(point, &[1.0, 1.0]);
        }
        assert_eq!(rows.blocks.len(), 2);
        assert_eq!(scores(&rows, &[1.0, 0.0], Distance::Dot).len(), BLOCK_ROWS + 1);
    }
}
