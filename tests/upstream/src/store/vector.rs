//! Dense and sparse vectors: how they arrive, how two are compared, how they go out.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::{StoreError, point::PointId};

/// How two dense vectors are compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Distance {
    Cosine,
    Dot,
    Euclid,
    Manhattan,
}

impl Distance {
    /// The vector as it is stored and compared: of length one under cosine (a zero vector stays), else unchanged.
    pub(crate) fn prepare(self, mut vector: Vec<f32>) -> Vec<f32> {
        let length = vector.iter().map(|x| x * x).sum::<f32>().sqrt();
        if self == Self::Cosine && length > f32::EPSILON {
            for x in &mut vector {
                *x /= length;
            }
        }
        vector
    }

    /// The score of two prepared vectors.
    pub(crate) fn score(self, a: &[f32], b: &[f32]) -> f32 {
        let pairs = a.iter().zip(b);
        match self {
            Self::Cosine | Self::Dot => pairs.map(|(x, y)| x * y).sum(),
            Self::Euclid => pairs.map(|(x, y)| (x - y) * (x - y)).sum::<f32>().sqrt(),
            Self::Manhattan => pairs.map(|(x, y)| (x - y).abs()).sum(),
        }
    }

    /// Whether a higher score is a better one.
    pub(crate) fn higher_is_better(self) -> bool {
        matches!(self, Self::Cosine | Self::Dot)
    }
}

/// A sparse vector; as stored, its indices rise.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct SparseVector {
    /// The dimensions that are not zero.
    pub indices: Vec<u32>,
    /// The value of each.
    pub values: Vec<f32>,
}

impl SparseVector {
    /// In rising order of indices, once the lengths agree and no index is there twice.
    pub(crate) fn checked(self, place: &str) -> Result<Self, StoreError> {
        if self.indices.len() != self.values.len() {
            let what = format!("{place}.values: Validation error: must be the same length as indices [{{}}]");
            return Err(StoreError::invalid(what));
        }
        let mut pairs: Vec<(u32, f32)> = self.indices.into_iter().zip(self.values).collect();
        pairs.sort_by_key(|(index, _)| *index);
        if pairs.windows(2).any(|two| matches!(two, [(a, _), (b, _)] if a == b)) {
            return Err(StoreError::invalid(format!(
                "{place}.indices: Validation error: must be unique [{{}}]"
            )));
        }
        let (indices, values) = pairs.into_iter().unzip();
        Ok(Self { indices, values })
    }

    /// Index and value, in order.
    pub(crate) fn entries(&self) -> impl Iterator<Item = (u32, f32)> {
        self.indices.iter().copied().zip(self.values.iter().copied())
    }

    /// The dot product, or nothing where the two share no index.
    pub(crate) fn overlap(&self, weights: &BTreeMap<u32, f32>) -> Option<f32> {
        let mut shared = self
            .entries()
            .filter_map(|(index, value)| Some(value * weights.get(&index)?))
            .peekable();
        shared.peek()?;
        Some(shared.sum())
    }
}

/// One vector in an upsert.
#[derive(Debug, Clone, Deserialize)]
#[serde(untagged)]
pub(crate) enum VectorValue {
    Dense(Vec<f32>),
    Sparse(SparseVector),
}

/// A point's `vector` in an upsert: one without a name, or several by name.
#[derive(Debug, Clone, Deserialize)]
#[serde(untagged)]
pub(crate) enum VectorStruct {
    Unnamed(Vec<f32>),
    Named(BTreeMap<String, VectorValue>),
}

impl VectorStruct {
    /// By name, the unnamed one under the empty name.
    pub(crate) fn by_name(self) -> BTreeMap<String, VectorValue> {
        match self {
            Self::Unnamed(vector) => BTreeMap::from([(String::new(), VectorValue::Dense(vector))]),
            Self::Named(vectors) => vectors,
        }
    }
}

/// What a query compares with: a vector, or a stored point's.
#[derive(Debug, Clone, Deserialize)]
#[serde(untagged)]
pub(crate) enum VectorInput {
    Dense(Vec<f32>),
    Sparse(SparseVector),
    Id(PointId),
}

/// A point's vectors in an answer: bare if the only one has no name.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(untagged)]
pub(crate) enum VectorOutput {
    Unnamed(Vec<f32>),
    Named(BTreeMap<String, NamedOutput>),
}

/// One named vector in an answer.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(untagged)]
pub(crate) enum NamedOutput {
    Dense(Vec<f32>),
    Sparse(SparseVector),
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cosine_compares_directions_and_leaves_a_zero_vector_alone() {
        let unit = Distance::Cosine.prepare(vec![3.0, 4.0]);
        assert_eq!(unit, [0.6, 0.8]);
        assert_eq!(Distance::Cosine.prepare(vec![0.0, 0.0]), [0.0, 0.0]);
        assert_eq!(Distance::Dot.prepare(vec![3.0, 4.0]), [3.0, 4.0]);
    }

    #[test]
    fn euclid_and_manhattan_are_distances() {
        let (a, b) = ([1.0, 2.0, 2.0, 0.0], [3.0, 4.0, 0.0, 0.0]);
        assert_eq!(Distance::Euclid.score(&a, &b), 12f32.sqrt());
        assert_eq!(Distance::Manhattan.score(&a, &b), 6.0);
        assert!(!Distance::Euclid.higher_is_better() && Distance::Dot.higher_is_better());
    }

    #[test]
    fn a_sparse_vector_is_sorted_and_must_not_repeat_an_index() {
        let sorted = SparseVector {
            indices: vec![9, 4],
            values: vec![0.5, 0.25],
        }
        .checked("v")
        .unwrap();
        assert_eq!(
            sorted,
            SparseVector {
                indices: vec![4, 9],
                values: vec![0.25, 0.5]
            }
        );
        assert!(
            SparseVector {
                indices: vec![1, 1],
                values: vec![1.0, 2.0]
            }
            .checked("v")
            .is_err()
        );
        assert!(
            SparseVector {
                indices: vec![1, 2],
                values: vec![1.0]
            }
            .checked("v")
            .is_err()
        );
    }

    #[test]
    fn sparse_vectors_without_a_shared_index_have_no_score() {
        let stored = SparseVector {
            indices: vec![1, 5],
            values: vec![0.5, 1.0],
        };
        assert_eq!(stored.overlap(&BTreeMap::from([(5, 2.0), (6, 1.0)])), Some(2.0));
        assert_eq!(stored.overlap(&BTreeMap::from([(7, 2.0)])), None);
    }
}
