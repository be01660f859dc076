//! How a vector is written in an answer: numbers or base64, floats or quantised.
//!
//! | type | each dimension |
//! |---|---|
//! | `float` | the number; in base64 four bytes, little-endian |
//! | `int8`, `uint8` | -1..1 spread over the byte's range |
//! | `binary`, `ubinary` | one bit, set where the number is above zero, eight to a byte, the first the highest |

use base64::{Engine, engine::general_purpose::STANDARD};
use serde::{Deserialize, Serialize};

/// The type of a vector's elements, in Voyage's words and Cohere's.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum ElementType {
    #[default]
    Float,
    Int8,
    Uint8,
    Binary,
    Ubinary,
}

/// A vector as it is written.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(untagged)]
pub(crate) enum Encoded {
    Floats(Vec<f32>),
    Integers(Vec<i16>),
    Base64(String),
}

/// As a list of numbers.
pub(crate) fn numbers(vector: &[f32], element: ElementType) -> Encoded {
    match element {
        ElementType::Float => Encoded::Floats(vector.to_vec()),
        ElementType::Int8 => Encoded::Integers(vector.iter().map(|x| i16::from(int8(*x))).collect()),
        ElementType::Uint8 => Encoded::Integers(vector.iter().map(|x| i16::from(uint8(*x))).collect()),
        ElementType::Binary => Encoded::Integers(bits(vector).map(|byte| i16::from(byte) - 128).collect()),
        ElementType::Ubinary => Encoded::Integers(bits(vector).map(i16::from).collect()),
    }
}

/// As base64 of the elements' bytes.
pub(crate) fn base64(vector: &[f32], element: ElementType) -> Encoded {
    let bytes: Vec<u8> = match element {
        ElementType::Float => vector.iter().flat_map(|x| x.to_le_bytes()).collect(),
        ElementType::Int8 => vector.iter().map(|x| int8(*x).cast_unsigned()).collect(),
        ElementType::Uint8 => vector.iter().map(|x| uint8(*x)).collect(),
        // The signed form is offset binary: 128 less.
        ElementType::Binary => bits(vector).map(|byte| byte.wrapping_sub(128)).collect(),
        ElementType::Ubinary => bits(vector).collect(),
    };
    Encoded::Base64(STANDARD.encode(bytes))
}

fn int8(x: f32) -> i8 {
    (x * 127.0).round() as i8
}

fn uint8(x: f32) -> u8 {
    ((x + 1.0) * 127.5).round() as u8
}

fn bits(vector: &[f32]) -> impl Iterator<Item = u8> {
    vector.chunks(8).map(|eight| {
        eight.iter().enumerate().fold(
            0,
            |byte, (place, x)| if *x > 0.0 { byte | (0x80 >> place) } else { byte },
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const VECTOR: [f32; 8] = [1.0, -1.0, 0.5, 0.0, -0.5, 0.25, 0.0, 1.0];

    #[test]
    fn floats_are_little_endian_in_base64() {
        let Encoded::Base64(text) = base64(&[1.0, -2.5], ElementType::Float) else {
            panic!("not base64")
        };
        assert_eq!(STANDARD.decode(text).unwrap(), [0, 0, 0x80, 0x3f, 0, 0, 0x20, 0xc0]);
        assert_eq!(numbers(&VECTOR, ElementType::Float), Encoded::Floats(VECTOR.to_vec()));
    }

    #[test]
    fn quantised_elements_fill_the_bytes_range() {
        assert_eq!(
            numbers(&VECTOR, ElementType::Int8),
            Encoded::Integers(vec![127, -127, 64, 0, -64, 32, 0, 127])
        );
        assert_eq!(
            numbers(&[1.0, -1.0], ElementType::Uint8),
            Encoded::Integers(vec![255, 0])
        );
    }

    #[test]
    fn signs_are_packed_eight_to_a_byte_highest_first() {
        assert_eq!(
            numbers(&VECTOR, ElementType::Ubinary),
            Encoded::Integers(vec![0b1010_0101])
        );
        assert_eq!(
            numbers(&VECTOR, ElementType::Binary),
            Encoded::Integers(vec![0b1010_0101 - 128])
        );
        assert_eq!(
            base64(&VECTOR, ElementType::Ubinary),
            Encoded::Base64(STANDARD.encode([0b1010_0101]))
        );
    }
}
