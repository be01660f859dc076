//! WordPieces to one vector of 256 dimensions.
//!
//! Over the distinct WordPieces with count n: the sum of `ln(1 + n) · weight · row`; scaled to length 1; less the mean
//! of all texts; scaled to length 1 again. The weight is the WordPiece's inverse document frequency times the scale of
//! its int8 row, multiplied when the tables are built.

use crate::{wordpiece, words};

/// The length of a vector.
pub const DIMENSIONS: usize = 256;

static ROWS: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/rows.bin"));
static WEIGHTS: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/weights.bin"));
static MEAN: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/mean.bin"));

/// Turns texts into vectors. It holds nothing of a text between two calls, only the room to work in.
pub struct Embedder {
    word: String,
    pieces: Vec<u16>,
    /// How often each entry of the vocabulary occurs in the text at hand.
    counts: Vec<u32>,
    /// The entries that occur, in the order of their first occurrence.
    distinct: Vec<u16>,
}

impl Default for Embedder {
    fn default() -> Self {
        let counts = vec![0; wordpiece::VOCABULARY];
        Self {
            word: String::new(),
            pieces: Vec::new(),
            counts,
            distinct: Vec::new(),
        }
    }
}

impl Embedder {
    /// Appends the vector of `text` to `vectors` and returns how many WordPieces the text has.
    ///
    /// A text without any (empty, or nothing but white space) has no direction: its vector is all zeros.
    pub fn embed(&mut self, text: &str, vectors: &mut Vec<f32>) -> u64 {
        let pieces = self.count_pieces(text);
        let mut sum = [0.0; DIMENSIONS];
        for piece in self.distinct.drain(..) {
            let piece = usize::from(piece);
            let count = self.counts.get_mut(piece).map_or(0, std::mem::take);
            if let (Some(row), Some(weight)) = (row(piece), float(WEIGHTS, piece)) {
                add(&mut sum, row, (count as f32).ln_1p() * weight);
            }
        }
        if pieces > 0 {
            scale_to_one(&mut sum);
            for (index, value) in sum.iter_mut().enumerate() {
                *value -= float(MEAN, index).unwrap_or(0.0);
            }
            scale_to_one(&mut sum);
        }
        vectors.extend_from_slice(&sum);
        pieces
    }

    fn count_pieces(&mut self, text: &str) -> u64 {
        let Self {
            word,
            pieces,
            counts,
            distinct,
        } = self;
        let mut total = 0;
        words::for_each_word(text, word, |word| {
            pieces.clear();
            wordpiece::split(word, pieces);
            total += pieces.len() as u64;
            for piece in &*pieces {
                if let Some(count) = counts.get_mut(usize::from(*piece)) {
                    if *count == 0 {
                        distinct.push(*piece);
                    }
                    *count += 1;
                }
            }
        });
        total
    }
}

fn row(piece: usize) -> Option<&'static [u8; DIMENSIONS]> {
    ROWS.as_chunks().0.get(piece)
}

fn float(table: &[u8], index: usize) -> Option<f32> {
    table.as_chunks().0.get(index).map(|bytes| f32::from_le_bytes(*bytes))
}

/// Adds `weight` times an int8 row. The vector instructions are part of the WebAssembly standard since 2.0.
#[cfg_attr(target_arch = "wasm32", target_feature(enable = "simd128"))]
fn add(sum: &mut [f32; DIMENSIONS], row: &[u8; DIMENSIONS], weight: f32) {
    for (sum, byte) in sum.iter_mut().zip(row) {
        *sum += weight * f32::from(*byte as i8);
    }
}

fn scale_to_one(vector: &mut [f32; DIMENSIONS]) {
    let length = vector.iter().map(|value| value * value).sum::<f32>().sqrt();
    if length > 0.0 {
        vector.iter_mut().for_each(|value| *value /= length);
    }
}
