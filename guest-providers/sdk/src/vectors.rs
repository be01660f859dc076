//! Dense vectors out of an answer, checked: one for each input, in order, of one length, every value finite.

use std::fmt;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
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
    let mut slots: Vec<Option<Vec<f32>>> = vec![None; inputs];
    let mut expected = dimensions.map(|dimensions| dimensions as usize);
    let mut count = 0;
    for (
        position,
        Item {
            index,
            vector: Vector(values),
        },
    ) in items.into_iter().enumerate()
    {
        let index = index.unwrap_or(position);
        let slot = slots.get_mut(index).ok_or_else(|| {
            failure::malformed(format!(
                "`{path}[{position}]`: a vector for input {index}, of {inputs} inputs"
            ))
        })?;
        check(
            &values,
            &format!("{path}[{position}]"),
            *expected.get_or_insert(values.len()),
        )?;
        if slot.replace(values).is_some() {
            return Err(failure::malformed(format!(
                "`{path}[{position}]`: a second vector for input {index}"
            )));
        }
        count += 1;
    }
    let expected = expected.unwrap_or(0);
    let mut values = Vec::with_capacity(inputs.saturating_mul(expected));
    for (index, slot) in slots.into_iter().enumerate() {
        let vector = slot.ok_or_else(|| {
            failure::malformed(format!(
                "`{path}`: {count} vectors for {inputs} inputs; none for input {index}"
            ))
        })?;
        values.extend_from_slice(&vector);
    }
    let dimensions = u32::try_from(expected).map_err(|_| failure::malformed(format!("`{path}`: vectors too long")))?;
    Ok(Vectors { dimensions, values })
}

fn check(values: &[f32], place: &str, expected: usize) -> Result<(), Error> {
    if values.is_empty() || values.len() != expected {
        let found = values.len();
        return Err(failure::malformed(format!(
            "`{place}`: a vector of {found} values, where {expected} were expected"
        )));
    }
    match values.iter().position(|value| !value.is_finite()) {
        Some(at) => Err(failure::malformed(format!(
            "`{place}`: value {at} is not a finite 32-bit float"
        ))),
        None => Ok(()),
    }
}

impl From<SignedBytes> for Vector {
    fn from(SignedBytes(values): SignedBytes) -> Self {
        Self(values)
    }
}

impl<'de> Deserialize<'de> for SignedBytes {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(VectorVisitor(signed_bytes)).map(Self)
    }
}

impl<'de> Deserialize<'de> for Vector {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(VectorVisitor(floats)).map(Self)
    }
}

/// Reads base64 as its function says.
struct VectorVisitor(fn(&[u8]) -> Option<Vec<f32>>);

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

    fn visit_str<E: de::Error>(self, text: &str) -> Result<Vec<f32>, E> {
        let bytes = STANDARD
            .decode(text)
            .map_err(|error| E::custom(format_args!("not base64: {error}")))?;
        self.0(&bytes).ok_or_else(|| {
            E::custom(format_args!(
                "{} bytes are no whole number of 32-bit floats",
                bytes.len()
            ))
        })
    }
}

fn floats(bytes: &[u8]) -> Option<Vec<f32>> {
    let (floats, rest) = bytes.as_chunks();
    let values = || floats.iter().map(|bytes| f32::from_le_bytes(*bytes)).collect();
    rest.is_empty().then(values)
}

fn signed_bytes(bytes: &[u8]) -> Option<Vec<f32>> {
    Some(bytes.iter().map(|byte| f32::from(byte.cast_signed())).collect())
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
        let text = STANDARD.encode([1.0_f32, -0.5].map(f32::to_le_bytes).concat());
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
