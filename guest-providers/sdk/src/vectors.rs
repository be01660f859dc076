//! Dense vectors out of an answer, checked: one for each input, in order, of one length, every value finite.

use std::fmt;

use base64_simd::{Out, STANDARD};
use serde::de::{self, Deserialize, Deserializer, SeqAccess, Visitor};

use crate::{Error, failure};

/// One vector as providers send it: base64 of little-endian 32-bit floats, or an array of numbers.
#[derive(Debug, Clone, PartialEq)]
pub struct Vector(pub Vec<f32>);

/// One vector as base64 of signed bytes, one a value, or as an array of numbers: for providers that quantize. The values
/// are the bytes' own, so that only their direction means something.
#[derive(Debug, Clone, PartialEq)]
pub struct SignedBytes(pub Vec<f32>);

/// Vectors laid one after the other.
#[derive(Debug, Clone, PartialEq)]
pub struct Vectors {
    /// Values in each.
    pub dimensions: u32,
    /// All values.
    pub values: Vec<f32>,
}

/// One item of an answer's list of vectors.
#[derive(Debug, Clone, PartialEq)]
pub struct Item {
    /// The input's place, where the provider tells it. The item's own place counts where it does not.
    pub index: Option<usize>,
    /// The vector.
    pub vector: Vector,
}

impl From<Vector> for Item {
    fn from(vector: Vector) -> Self {
        Self { index: None, vector }
    }
}

/// The vectors of `items` in the order of the inputs.
///
/// `path` is where the answer has the list (`data`), `inputs` how many texts were sent, `dimensions` what was asked for.
///
/// # Errors
/// `malformed-response` naming the place, if a vector is missing, doubled, of another length or not finite.
pub fn in_order(
    path: &str,
    items: impl IntoIterator<Item = Item>,
    inputs: usize,
    dimensions: Option<u32>,
) -> Result<Vectors, Error> {
    lay_out(path, items.into_iter().collect(), inputs, dimensions)
}

fn lay_out(path: &str, items: Vec<Item>, inputs: usize, dimensions: Option<u32>) -> Result<Vectors, Error> {
    let mut places: Vec<Option<&[f32]>> = vec![None; inputs];
    let mut expected = dimensions.map(|dimensions| dimensions as usize);
    for (position, item) in items.iter().enumerate() {
        let values = item.vector.0.as_slice();
        let index = item.index.unwrap_or(position);
        let wrong = |what: String| Err(failure::malformed(format!("`{path}[{position}]`: {what}")));
        let Some(place) = places.get_mut(index) else {
            return wrong(format!("a vector for input {index}, of {inputs} inputs"));
        };
        let (length, expected) = (values.len(), *expected.get_or_insert(values.len()));
        if length == 0 || length != expected {
            return wrong(format!("a vector of {length} values, where {expected} were expected"));
        }
        if !all_finite(values) {
            let at = values.iter().take_while(|value| value.is_finite()).count();
            return wrong(format!("value {at} is not a finite 32-bit float"));
        }
        if place.replace(values).is_some() {
            return wrong(format!("a second vector for input {index}"));
        }
    }
    let expected = expected.unwrap_or(0);
    let mut values = Vec::with_capacity(items.len().saturating_mul(expected));
    for (index, place) in places.into_iter().enumerate() {
        let vector = place.ok_or_else(|| {
            let count = items.len();
            failure::malformed(format!(
                "`{path}`: {count} vectors for {inputs} inputs; none for input {index}"
            ))
        })?;
        values.extend_from_slice(vector);
    }
    let dimensions = u32::try_from(expected).map_err(|_| failure::malformed(format!("`{path}`: vectors too long")))?;
    Ok(Vectors { dimensions, values })
}

/// Without a way out of the loop, which would keep it from being done several values at a time.
fn all_finite(values: &[f32]) -> bool {
    values.iter().fold(true, |finite, value| finite & value.is_finite())
}

impl From<SignedBytes> for Vector {
    fn from(SignedBytes(values): SignedBytes) -> Self {
        Self(values)
    }
}

// From an array as from a text. As bytes, since base64 needs no check of its encoding before it is read.
impl<'de> Deserialize<'de> for SignedBytes {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_bytes(VectorVisitor(signed_bytes)).map(Self)
    }
}

impl<'de> Deserialize<'de> for Vector {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_bytes(VectorVisitor(floats)).map(Self)
    }
}

struct VectorVisitor(fn(&[u8]) -> Result<Vec<f32>, String>);

impl<'de> Visitor<'de> for VectorVisitor {
    type Value = Vec<f32>;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("an array of numbers, or base64 of them")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut sequence: A) -> Result<Vec<f32>, A::Error> {
        let mut values = Vec::with_capacity(sequence.size_hint().unwrap_or(0));
        while let Some(value) = sequence.next_element()? {
            values.push(value);
        }
        Ok(values)
    }

    fn visit_bytes<E: de::Error>(self, text: &[u8]) -> Result<Vec<f32>, E> {
        self.0(text).map_err(E::custom)
    }
}

const NOT_BASE64: &str = "not base64";

/// What base64 of little-endian 32-bit floats holds: decoded where it stays.
fn floats(text: &[u8]) -> Result<Vec<f32>, String> {
    let length = STANDARD.decoded_length(text).map_err(|_| NOT_BASE64)?;
    let mut floats = vec![0_f32; length / size_of::<f32>()];
    let bytes: &mut [u8] = bytemuck::cast_slice_mut(&mut floats);
    if bytes.len() != length {
        STANDARD.check(text).map_err(|_| NOT_BASE64)?;
        return Err(format!("{length} bytes are no whole number of 32-bit floats"));
    }
    STANDARD.decode(text, Out::from_slice(bytes)).map_err(|_| NOT_BASE64)?;
    if cfg!(target_endian = "big") {
        for float in &mut floats {
            *float = f32::from_bits(float.to_bits().swap_bytes());
        }
    }
    Ok(floats)
}

/// What base64 of signed bytes holds.
fn signed_bytes(text: &[u8]) -> Result<Vec<f32>, String> {
    let bytes = STANDARD.decode_to_vec(text).map_err(|_| NOT_BASE64)?;
    Ok(bytes.into_iter().map(|byte| f32::from(byte.cast_signed())).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn item(index: usize, values: &[f32]) -> Item {
        Item {
            index: Some(index),
            vector: Vector(values.to_vec()),
        }
    }

    fn said(result: Result<Vectors, Error>) -> String {
        match result {
            Err(Error::MalformedResponse(text)) => text,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn base64_and_arrays_give_the_same_vector() {
        let text = STANDARD.encode_to_string([1.0_f32, -0.5].map(f32::to_le_bytes).concat());
        let packed: Vector = serde_json::from_str(&format!("\"{text}\"")).unwrap();
        let plain: Vector = serde_json::from_str("[1, -0.5]").unwrap();
        assert_eq!(packed, plain);
    }

    #[test]
    fn signed_bytes_are_their_own_values() {
        let packed: SignedBytes = serde_json::from_str("\"AX+A/w==\"").unwrap();
        assert_eq!(packed.0, [1.0, 127.0, -128.0, -1.0]);
    }

    #[test]
    fn base64_that_is_no_floats_is_refused() {
        for (text, reason) in [
            ("\"????\"", "not base64"),
            ("\"AAAA\"", "no whole number"),
            ("7", "invalid type"),
        ] {
            let error = serde_json::from_str::<Vector>(text).unwrap_err().to_string();
            assert!(error.contains(reason), "{error}");
        }
    }

    #[test]
    fn vectors_follow_the_inputs_whatever_order_they_came_in() {
        let vectors = in_order("data", [item(1, &[3.0, 4.0]), item(0, &[1.0, 2.0])], 2, Some(2)).unwrap();
        assert_eq!(
            vectors,
            Vectors {
                dimensions: 2,
                values: vec![1.0, 2.0, 3.0, 4.0]
            }
        );
    }

    #[test]
    fn without_an_index_the_place_in_the_list_counts() {
        let items = [Vector(vec![1.0]), Vector(vec![2.0])].map(Item::from);
        assert_eq!(in_order("embeddings", items, 2, None).unwrap().values, [1.0, 2.0]);
    }

    #[test]
    fn a_missing_vector_is_an_error() {
        let text = said(in_order("data", [item(0, &[1.0])], 2, None));
        assert_eq!(text, "`data`: 1 vectors for 2 inputs; none for input 1");
    }

    #[test]
    fn a_doubled_or_surplus_vector_is_an_error() {
        assert!(said(in_order("data", [item(0, &[1.0]), item(0, &[1.0])], 2, None)).contains("second vector"));
        assert!(said(in_order("data", [item(0, &[1.0]), item(1, &[1.0])], 1, None)).contains("`data[1]`"));
    }

    #[test]
    fn vectors_of_other_lengths_are_an_error() {
        assert!(said(in_order("data", [item(0, &[1.0]), item(1, &[1.0, 2.0])], 2, None)).contains("`data[1]`"));
        assert!(said(in_order("data", [item(0, &[1.0])], 1, Some(2))).contains("2 were expected"));
        assert!(said(in_order("data", [item(0, &[])], 1, None)).contains("0 values"));
    }

    #[test]
    fn a_value_that_is_not_finite_is_an_error() {
        let huge: Vector = serde_json::from_str("[1.0, 1e39]").unwrap();
        assert!(said(in_order("data", [huge.into()], 1, None)).contains("value 1 is not a finite"));
    }

    #[test]
    fn no_inputs_have_no_vectors() {
        assert_eq!(
            in_order("data", [], 0, None).unwrap(),
            Vectors {
                dimensions: 0,
                values: vec![]
            }
        );
    }
}
