//! Records and their checksums: what tells a damaged one from a sound one. The content of a collection's own record,
//! and of a payload's; that of a block is [`crate::block`]'s.
//!
//! | record | content |
//! |---|---|
//! | collection | dimensions u32, distance u8 (0 cosine, 1 dot, 2 euclid), sparse u8 (0 or 1), points u32 |
//! | payload | UTF-8 |
//!
//! All numbers are little-endian.

use xxhash_rust::xxh64::xxh64;

use crate::point::Schema;
use crate::vector_store::Distance;

/// The bytes of a checksum.
pub const CHECKSUM: usize = 8;

/// The record of a collection of so many points.
pub fn encode_collection(schema: &Schema, points: usize) -> Vec<u8> {
    let mut record = schema.dimensions.to_le_bytes().to_vec();
    record.push(match schema.distance {
        Distance::Cosine => 0,
        Distance::Dot => 1,
        Distance::Euclid => 2,
    });
    record.push(u8::from(schema.sparse));
    record.extend((points as u32).to_le_bytes());
    seal(&mut record);
    record
}

/// The schema in `record` and the number of points; none where the record is damaged.
pub fn decode_collection(record: &[u8]) -> Option<(Schema, usize)> {
    let (dimensions, rest) = unseal(record)?.split_first_chunk()?;
    let ([distance, sparse], points) = rest.split_first_chunk()?;
    let distance = match distance {
        0 => Distance::Cosine,
        1 => Distance::Dot,
        2 => Distance::Euclid,
        _ => return None,
    };
    let schema = Schema {
        dimensions: u32::from_le_bytes(*dimensions),
        distance,
        sparse: *sparse == 1,
    };
    Some((schema, u32::from_le_bytes(points.try_into().ok()?) as usize))
}

/// The record of a payload.
pub fn encode_payload(payload: &str) -> Vec<u8> {
    let mut record = Vec::with_capacity(payload.len() + CHECKSUM);
    record.extend_from_slice(payload.as_bytes());
    seal(&mut record);
    record
}

/// The payload in `record`; none where it is damaged.
pub fn decode_payload(mut record: Vec<u8>) -> Option<String> {
    record.truncate(unseal(&record)?.len());
    String::from_utf8(record).ok()
}

/// Ends a record with the checksum of what is before.
pub fn seal(record: &mut Vec<u8>) {
    let checksum = xxh64(record, 0);
    record.extend(checksum.to_le_bytes());
}

/// What is before the checksum; none where it is not what was sealed.
pub fn unseal(record: &[u8]) -> Option<&[u8]> {
    let (content, sealed) = record.split_last_chunk()?;
    (xxh64(content, 0) == u64::from_le_bytes(*sealed)).then_some(content)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_collection_comes_back_as_it_was() {
        for distance in [Distance::Cosine, Distance::Dot, Distance::Euclid] {
            let schema = Schema {
                dimensions: 3,
                distance,
                sparse: distance == Distance::Dot,
            };
            let record = encode_collection(&schema, 70_000);
            assert_eq!(decode_collection(&record), Some((schema, 70_000)));
            assert_eq!(decode_collection(&record[1..]), None);
        }
    }

    #[test]
    fn a_payload_comes_back_as_it_was_or_is_damaged() {
        let record = encode_payload("ä");
        assert_eq!(decode_payload(record.clone()).as_deref(), Some("ä"));
        for place in 0..record.len() {
            let mut flipped = record.clone();
            flipped[place] ^= 1;
            assert_eq!(decode_payload(flipped), None);
        }
    }
}
