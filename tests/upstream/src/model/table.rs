//! Ids of word pieces to one vector, by a static table in the safetensors format.
//!
//! Over the distinct pieces `t` that occur `n` times: the sum of `ln(1 + n) * idf[t] * scales[t] * embeddings[t]`,
//! scaled to length one, less the mean vector, scaled to length one again. A text without pieces is the zero vector.

use std::collections::BTreeMap;

use anyhow::{Context, ensure};
use serde::Deserialize;

/// The table: int8 rows with a scale and an idf each.
pub(crate) struct Table {
    rows: &'static [u8],
    width: usize,
    scales: Vec<f32>,
    idf: Vec<f32>,
    mean: Vec<f32>,
}

/// A tensor's entry in the safetensors header.
#[derive(Deserialize)]
struct Entry {
    dtype: String,
    shape: Vec<usize>,
    data_offsets: (usize, usize),
}

impl Table {
    /// Reads the tensors `embeddings`, `scales`, `idf` and `mean`: an eight-byte little-endian header length, a JSON
    /// header, then the data the header's offsets point into.
    pub(crate) fn parse(file: &'static [u8]) -> anyhow::Result<Self> {
        let (length, rest) = file.split_first_chunk::<8>().context("the table has no header")?;
        let length = usize::try_from(u64::from_le_bytes(*length))?;
        ensure!(length <= rest.len(), "the table's header is longer than the file");
        let (header, data) = rest.split_at(length);
        let mut entries: BTreeMap<String, serde_json::Value> = serde_json::from_slice(header)?;
        let mut tensor = |name: &str, dtype: &str| -> anyhow::Result<(&'static [u8], Vec<usize>)> {
            let entry = entries
                .remove(name)
                .with_context(|| format!("the table has no tensor `{name}`"))?;
            let entry: Entry = serde_json::from_value(entry)?;
            ensure!(entry.dtype == dtype, "tensor `{name}` is {}, not {dtype}", entry.dtype);
            let (from, to) = entry.data_offsets;
            Ok((
                data.get(from..to)
                    .with_context(|| format!("tensor `{name}` ends past the file"))?,
                entry.shape,
            ))
        };
        let (rows, shape) = tensor("embeddings", "I8")?;
        let width = *shape.get(1).context("tensor `embeddings` is not a matrix")?;
        let scales = floats(tensor("scales", "F32")?.0);
        let idf = floats(tensor("idf", "F32")?.0);
        let mean = floats(tensor("mean", "F32")?.0);
        ensure!(
            width > 0 && mean.len() == width && rows.len() == scales.len() * width && idf.len() == scales.len(),
            "the table's tensors do not fit together"
        );
        Ok(Self {
            rows,
            width,
            scales,
            idf,
            mean,
        })
    }

    /// The vector of a text given by the ids of its pieces.
    pub(crate) fn vector(&self, ids: &[u32]) -> Vec<f32> {
        let mut counts: BTreeMap<u32, u32> = BTreeMap::new();
        for id in ids {
            *counts.entry(*id).or_default() += 1;
        }
        let mut sum = vec![0.0f32; self.width];
        for (id, count) in counts {
            let id = id as usize;
            let (Some(row), Some(scale), Some(idf)) = (
                self.rows.chunks_exact(self.width).nth(id),
                self.scales.get(id),
                self.idf.get(id),
            ) else {
                continue;
            };
            let weight = (count as f32).ln_1p() * idf * scale;
            for (total, byte) in sum.iter_mut().zip(row) {
                *total += weight * f32::from(byte.cast_signed());
            }
        }
        if !normalise(&mut sum) {
            return sum;
        }
        for (total, mean) in sum.iter_mut().zip(&self.mean) {
            *total -= mean;
        }
        normalise(&mut sum);
        sum
    }
}

/// The vector at another width: zeros behind it, or its first part scaled to length one.
pub(crate) fn resize(mut vector: Vec<f32>, dimensions: usize) -> Vec<f32> {
    let cut = dimensions < vector.len();
    vector.resize(dimensions, 0.0);
    if cut {
        normalise(&mut vector);
    }
    vector
}

/// Scales to length one; a zero vector stays, said by `false`.
fn normalise(vector: &mut [f32]) -> bool {
    let length = vector.iter().map(|x| x * x).sum::<f32>().sqrt();
    if length == 0.0 {
        return false;
    }
    for x in vector {
        *x /= length;
    }
    true
}

fn floats(bytes: &[u8]) -> Vec<f32> {
    bytes
        .as_chunks::<4>()
        .0
        .iter()
        .map(|four| f32::from_le_bytes(*four))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Two rows of two numbers, scales 1 and 0.5, idf 1 and 2, and a mean of (0, 0.5).
    fn small() -> Table {
        Table {
            rows: &[3, 4, 0xfe, 0],
            width: 2,
            scales: vec![1.0, 0.5],
            idf: vec![1.0, 2.0],
            mean: vec![0.0, 0.5],
        }
    }

    #[test]
    fn the_formula_is_weighted_sum_length_one_less_mean_length_one() {
        // ln(3) * (3, 4) + ln(2) * 2 * 0.5 * (-2, 0), by hand.
        let (x, y) = (3f32.ln() * 3.0 - 2f32.ln() * 2.0, 3f32.ln() * 4.0);
        let length = x.hypot(y);
        let (x, y) = (x / length, y / length - 0.5);
        let length = x.hypot(y);
        let vector = small().vector(&[0, 1, 0]);
        assert!(
            (vector[0] - x / length).abs() < 1e-6 && (vector[1] - y / length).abs() < 1e-6,
            "{vector:?}"
        );
    }

    #[test]
    fn a_text_without_pieces_is_the_zero_vector() {
        assert_eq!(small().vector(&[]), [0.0, 0.0]);
    }

    #[test]
    fn a_narrower_vector_has_length_one_and_a_wider_one_ends_in_zeros() {
        assert_eq!(resize(vec![0.6, 0.8], 1), [1.0]);
        assert_eq!(resize(vec![0.6, 0.8], 4), [0.6, 0.8, 0.0, 0.0]);
    }

    #[test]
    fn a_broken_file_is_refused() {
        assert!(Table::parse(b"short").is_err());
        assert!(Table::parse(b"\xff\xff\xff\xff\0\0\0\0{}").is_err());
        assert!(Table::parse(b"\x02\0\0\0\0\0\0\0{}").is_err());
    }
}
