//! Points and schemas as bytes, and back: the values in the storage, format 1.
//!
//! All numbers are little-endian. Every record ends with the hash XXH32 of what is before it, so that a damaged one
//! is told from a sound one.
//!
//! | record | content |
//! |---|---|
//! | schema | dimensions u32, distance u8 (0 cosine, 1 dot, 2 euclid), sparse u8 (0 or 1) |
//! | point | payload: length u32, UTF-8; vector: length u32 (0: none), f32 each; terms: count u32, index u32 and weight f32 each |

use xxhash_rust::xxh32::xxh32;

use crate::point::{Id, Point, Schema, Term};
use crate::vector_store::Distance;

/// The bytes of a schema.
pub fn encode_schema(schema: &Schema) -> Vec<u8> {
    let mut record = schema.dimensions.to_le_bytes().to_vec();
    record.push(match schema.distance {
        Distance::Cosine => 0,
        Distance::Dot => 1,
        Distance::Euclid => 2,
    });
    record.push(u8::from(schema.sparse));
    seal(record)
}

/// The schema in `record`; none where the record is damaged.
pub fn decode_schema(record: &[u8]) -> Option<Schema> {
    let mut rest = Rest(unseal(record)?);
    let dimensions = rest.number()?;
    let distance = match rest.byte()? {
        0 => Distance::Cosine,
        1 => Distance::Dot,
        2 => Distance::Euclid,
        _ => return None,
    };
    let sparse = match rest.byte()? {
        0 => false,
        1 => true,
        _ => return None,
    };
    rest.0.is_empty().then_some(Schema {
        dimensions,
        distance,
        sparse,
    })
}

/// The bytes of a point; its id is the key's to tell. None where a part is longer than a record can hold (4 GiB).
pub fn encode_point(point: &Point) -> Option<Vec<u8>> {
    let vector = point.vector.as_deref().unwrap_or_default();
    let mut record = Vec::with_capacity(16 + point.payload.len() + 4 * vector.len() + 8 * point.terms.len());
    record.extend(u32::try_from(point.payload.len()).ok()?.to_le_bytes());
    record.extend(point.payload.as_bytes());
    record.extend(u32::try_from(vector.len()).ok()?.to_le_bytes());
    record.extend(vector.iter().flat_map(|value| value.to_le_bytes()));
    record.extend(u32::try_from(point.terms.len()).ok()?.to_le_bytes());
    for term in &point.terms {
        record.extend(term.index.to_le_bytes());
        record.extend(term.weight.to_le_bytes());
    }
    Some(seal(record))
}

/// The point in `record`; none where the record is damaged, or is none of a collection with this schema.
pub fn decode_point(id: Id, record: &[u8], schema: &Schema) -> Option<Point> {
    let mut rest = Rest(unseal(record)?);
    let payload = rest.number()?;
    let payload = str::from_utf8(rest.bytes(payload as usize)?).ok()?.into();
    let vector = match rest.number()? {
        0 => None,
        length if length == schema.dimensions => Some(rest.words(length as usize)?.map(f32::from_le_bytes).collect()),
        _ => return None,
    };
    let count = rest.number()? as usize;
    let mut words = rest.words(count.checked_mul(2)?)?;
    let mut terms = Vec::with_capacity(count);
    while let (Some(index), Some(weight)) = (words.next(), words.next()) {
        terms.push(Term {
            index: u32::from_le_bytes(index),
            weight: f32::from_le_bytes(weight),
        });
    }
    rest.0.is_empty().then(|| Point {
        id,
        vector,
        terms: terms.into_boxed_slice(),
        payload,
    })
}

fn seal(mut record: Vec<u8>) -> Vec<u8> {
    let checksum = checksum(&record);
    record.extend(checksum.to_le_bytes());
    record
}

fn unseal(record: &[u8]) -> Option<&[u8]> {
    let (content, sealed) = record.split_last_chunk()?;
    (checksum(content) == u32::from_le_bytes(*sealed)).then_some(content)
}

fn checksum(content: &[u8]) -> u32 {
    xxh32(content, 0)
}

/// What of a record is yet to be read.
struct Rest<'a>(&'a [u8]);

impl<'a> Rest<'a> {
    fn bytes(&mut self, count: usize) -> Option<&'a [u8]> {
        let (bytes, rest) = self.0.split_at_checked(count)?;
        self.0 = rest;
        Some(bytes)
    }

    fn byte(&mut self) -> Option<u8> {
        self.bytes(1)?.first().copied()
    }

    fn number(&mut self) -> Option<u32> {
        self.words(1)?.next().map(u32::from_le_bytes)
    }

    /// The next `count` groups of four bytes.
    fn words(&mut self, count: usize) -> Option<impl Iterator<Item = [u8; 4]> + use<'a>> {
        Some(self.bytes(count.checked_mul(4)?)?.as_chunks().0.iter().copied())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SCHEMA: Schema = Schema {
        dimensions: 3,
        distance: Distance::Dot,
        sparse: true,
    };

    fn point() -> Point {
        Point {
            id: Id::Number(7),
            vector: Some(vec![1.5, -0.25, 1e-30]),
            terms: [
                Term { index: 3, weight: 0.5 },
                Term {
                    index: u32::MAX,
                    weight: 2.0,
                },
            ]
            .into(),
            payload: r#"{"path":"ä.rs"}"#.into(),
        }
    }

    #[test]
    fn a_point_comes_back_as_it_was() {
        for point in [
            point(),
            Point {
                vector: None,
                terms: Box::default(),
                ..point()
            },
        ] {
            let record = encode_point(&point).unwrap();
            assert_eq!(decode_point(Id::Number(7), &record, &SCHEMA), Some(point));
        }
    }

    #[test]
    fn a_schema_comes_back_as_it_was() {
        for distance in [Distance::Cosine, Distance::Dot, Distance::Euclid] {
            let schema = Schema { distance, ..SCHEMA };
            assert_eq!(decode_schema(&encode_schema(&schema)), Some(schema));
        }
    }

    #[test]
    fn a_record_with_any_bit_flipped_or_any_byte_missing_is_damaged() {
        let record = encode_point(&point()).unwrap();
        for place in 0..record.len() {
            for bit in 0..8 {
                let mut flipped = record.clone();
                flipped[place] ^= 1 << bit;
                assert_eq!(
                    decode_point(Id::Number(7), &flipped, &SCHEMA),
                    None,
                    "byte {place}, bit {bit}"
                );
            }
            assert_eq!(
                decode_point(Id::Number(7), &record[..place], &SCHEMA),
                None,
                "{place} bytes"
            );
        }
    }

    #[test]
    fn a_point_of_another_length_is_none_of_this_collection() {
        let record = encode_point(&point()).unwrap();
        assert_eq!(
            decode_point(
                Id::Number(7),
                &record,
                &Schema {
                    dimensions: 4,
                    ..SCHEMA
                }
            ),
            None
        );
    }

    #[test]
    fn a_sound_checksum_over_nonsense_is_still_no_point() {
        for content in [vec![], vec![255; 4], vec![0; 11], vec![0; 13]] {
            assert_eq!(decode_point(Id::Number(7), &seal(content), &SCHEMA), None);
        }
    }
}
