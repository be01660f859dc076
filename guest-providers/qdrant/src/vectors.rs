//! Vectors as Qdrant takes them.
//!
//! Values are written with a point or an exponent, as serde_json writes floats: Qdrant reads integers as something
//! else. A value that is no finite 32-bit float would come back as `null`, so none is sent.

use serde::Serialize;
use weir_guest::failure;
use weir_guest::types::{Error, SparseVector};

/// The name of the dense vector in every collection of ours.
pub(crate) const DENSE: &str = "dense";

/// The name of the sparse one.
pub(crate) const SPARSE: &str = "sparse";

#[derive(Serialize)]
pub(crate) struct Sparse<'a> {
    indices: &'a [u32],
    values: &'a [f32],
}

impl Sparse<'_> {
    pub(crate) fn is_empty(&self) -> bool {
        self.indices.is_empty()
    }
}

/// # Errors
/// `invalid-input` saying whose value is not finite.
pub(crate) fn dense<'a>(values: &'a [f32], subject: &str) -> Result<&'a [f32], Error> {
    match values.iter().position(|value| !value.is_finite()) {
        Some(at) => Err(failure::refused(format!(
            "{subject}: value {at} of the vector is not finite"
        ))),
        None => Ok(values),
    }
}

/// # Errors
/// `invalid-input` saying whose vector has a value that is not finite, or more of one kind than of the other.
pub(crate) fn sparse<'a>(vector: &'a SparseVector, subject: &str) -> Result<Sparse<'a>, Error> {
    let SparseVector { indices, values } = vector;
    if indices.len() != values.len() {
        let (indices, values) = (indices.len(), values.len());
        return Err(failure::refused(format!(
            "{subject}: {indices} indices and {values} values in the sparse vector"
        )));
    }
    Ok(Sparse {
        indices,
        values: dense(values, subject)?,
    })
}
