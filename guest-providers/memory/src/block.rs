//! Points as they are searched: some hundreds in one record of the storage, scanned in the bytes they were read as.
//!
//! A search of a store that was just opened reads every block, so a block is read whole and used as it lies: no vector
//! is copied, no term unpacked. It is not changed in place; a change makes a new one of the rows of the old.
//!
//! | part of the record | content |
//! |---|---|
//! | lengths | u32 each: points, points with a dense vector, bytes of terms, bytes of fields |
//! | ids | a byte (0: a number, 1: a UUID) and 16 bytes each |
//! | marks | a byte each: 1 where there is a dense vector |
//! | vectors | of those that have one; [`crate::dense`] knows what they are |
//! | terms | [`crate::postings`] knows what they are |
//! | field ends, fields | u32 each: where the fields of a point end; [`crate::fields`] knows what they are |
//! | checksum | XXH64 of all before it |
//!
//! All numbers are little-endian.

use std::borrow::Cow;
use std::collections::TryReserveError;
use std::ops::Range;

use uuid::Uuid;

use crate::codec;
use crate::dense;
use crate::point::{Id, Schema, Term};
use crate::postings::{self, Postings};

const LENGTHS: usize = 16;
const ID: usize = 17;

/// A point as it lies in a block, or is to lie in one.
#[derive(Debug, Clone, PartialEq)]
pub struct Row<'a> {
    /// Its id.
    pub id: Id,
    /// The dense vector's bytes; empty where there is none.
    pub vector: &'a [u8],
    /// The sparse vector.
    pub terms: Cow<'a, [Term]>,
    /// The payload's short members.
    pub fields: &'a [u8],
}

/// Some points of a collection.
#[derive(Debug)]
pub struct Block {
    record: Vec<u8>,
    ids: Range<usize>,
    marks: Range<usize>,
    vectors: Range<usize>,
    terms: Range<usize>,
    field_ends: Range<usize>,
    fields: Range<usize>,
    with_terms: usize,
}

/// How many points a block of such a collection has when it is full: vectors of 256 KiB at most, so that to change one is
/// cheap and to read many is, too.
pub fn rows_per_block(schema: &Schema) -> usize {
    const VECTORS: usize = 256 << 10;
    (VECTORS / vector_bytes(schema)).clamp(1, 256)
}

/// The record of a block of these rows.
///
/// # Errors
/// Where no memory is left for it.
pub fn encode(rows: &[Row<'_>]) -> Result<Vec<u8>, TryReserveError> {
    let terms = postings::encode(rows.iter().map(|row| &*row.terms))?;
    let sum = |bytes: fn(&Row<'_>) -> usize| rows.iter().map(bytes).sum::<usize>();
    let (vectors, fields) = (sum(|row| row.vector.len()), sum(|row| row.fields.len()));
    let mut record = Vec::new();
    let most = LENGTHS + rows.len() * (ID + 5) + vectors + terms.len() + fields + codec::CHECKSUM;
    record.try_reserve_exact(most)?;
    let with_vector = rows.iter().filter(|row| !row.vector.is_empty()).count();
    for length in [rows.len(), with_vector, terms.len(), fields] {
        record.extend((length as u32).to_le_bytes());
    }
    for row in rows {
        let (kind, bytes) = match row.id {
            Id::Number(number) => (0, u128::from(number).to_le_bytes()),
            Id::Uuid(uuid) => (1, uuid.into_bytes()),
        };
        record.push(kind);
        record.extend(bytes);
    }
    record.extend(rows.iter().map(|row| u8::from(!row.vector.is_empty())));
    rows.iter().for_each(|row| record.extend_from_slice(row.vector));
    record.extend_from_slice(&terms);
    let mut end = 0_u32;
    for row in rows {
        end += row.fields.len() as u32;
        record.extend(end.to_le_bytes());
    }
    rows.iter().for_each(|row| record.extend_from_slice(row.fields));
    codec::seal(&mut record);
    Ok(record)
}

impl Block {
    /// The block that the record is of; none where it is damaged, or is none of a collection with this schema.
    pub fn new(record: Vec<u8>, schema: &Schema) -> Option<Self> {
        let content = codec::unseal(&record)?;
        let mut lengths = content.get(..LENGTHS)?.as_chunks().0.iter();
        let mut length = || Some(u32::from_le_bytes(*lengths.next()?) as usize);
        let (points, rows, terms, fields) = (length()?, length()?, length()?, length()?);
        let mut end = LENGTHS;
        let mut part = |bytes: Option<usize>| {
            let start = end;
            end = start.checked_add(bytes?)?;
            Some(start..end)
        };
        let ids = part(points.checked_mul(ID))?;
        let marks = part(Some(points))?;
        let vectors = part(rows.checked_mul(vector_bytes(schema)))?;
        let terms = part(Some(terms))?;
        let field_ends = part(points.checked_mul(4))?;
        let fields = part(Some(fields))?;
        let marked = content.get(marks.clone())?.iter().filter(|mark| **mark == 1).count();
        let with_terms = Postings::of(content.get(terms.clone())?)?.points();
        (end == content.len() && marked == rows).then_some(Self {
            record,
            ids,
            marks,
            vectors,
            terms,
            field_ends,
            fields,
            with_terms,
        })
    }

    /// How many points there are.
    pub fn len(&self) -> usize {
        self.marks.len()
    }

    /// Of each point, whether it has a dense vector.
    pub fn marks(&self) -> impl Iterator<Item = bool> + '_ {
        self.bytes(&self.marks).iter().map(|mark| *mark == 1)
    }

    /// The dense vectors of the points that have one, one after the other.
    pub fn vectors(&self) -> &[u8] {
        self.bytes(&self.vectors)
    }

    /// The id of a point.
    pub fn id(&self, place: usize) -> Option<Id> {
        let (kind, bytes) = self.bytes(&self.ids).as_chunks::<ID>().0.get(place)?.split_first()?;
        let bytes = <[u8; 16]>::try_from(bytes).ok()?;
        Some(match kind {
            0 => Id::Number(u128::from_le_bytes(bytes) as u64),
            _ => Id::Uuid(Uuid::from_bytes(bytes)),
        })
    }

    /// The terms of all points.
    pub fn postings(&self) -> Postings<'_> {
        Postings::of(self.bytes(&self.terms)).unwrap_or_default()
    }

    /// How many points have terms.
    pub fn with_terms(&self) -> usize {
        self.with_terms
    }

    /// The fields of a point.
    pub fn fields(&self, place: usize) -> &[u8] {
        let ends = self.bytes(&self.field_ends).as_chunks().0;
        let end = |place: usize| ends.get(place).map(|end| u32::from_le_bytes(*end) as usize);
        let start = place.checked_sub(1).map_or(Some(0), end);
        let range = start.zip(end(place)).map(|(start, end)| start..end);
        range
            .and_then(|range| self.bytes(&self.fields).get(range))
            .unwrap_or_default()
    }

    /// All points, whole.
    ///
    /// # Errors
    /// Where no memory is left for their terms.
    pub fn rows(&self, schema: &Schema) -> Result<Vec<Row<'_>>, TryReserveError> {
        let terms = self.postings().of_points(self.len())?;
        let mut vectors = self.vectors().chunks_exact(vector_bytes(schema));
        let row = |((place, mark), terms)| {
            Some(Row {
                id: self.id(place)?,
                vector: if mark { vectors.next()? } else { &[] },
                terms: Cow::Owned(terms),
                fields: self.fields(place),
            })
        };
        Ok(self.marks().enumerate().zip(terms).filter_map(row).collect())
    }

    fn bytes(&self, part: &Range<usize>) -> &[u8] {
        self.record.get(part.clone()).unwrap_or_default()
    }
}

fn vector_bytes(schema: &Schema) -> usize {
    dense::bytes(schema.dimensions as usize)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::vector_store::Distance;

    const SCHEMA: Schema = Schema {
        dimensions: 2,
        distance: Distance::Dot,
        sparse: true,
    };

    fn rows() -> [Row<'static>; 3] {
        let uuid = Uuid::from_u128(7);
        const TERM: Term = Term { index: 7, weight: 0.5 };
        [
            (Id::Number(u64::MAX), &b"12345678"[..], &[][..], &b"fields"[..]),
            (Id::Uuid(uuid), b"", &[TERM, Term { index: 8, ..TERM }], b""),
            (Id::Number(3), b"abcdefgh", &[TERM], b"f"),
        ]
        .map(|(id, vector, terms, fields)| Row {
            id,
            vector,
            terms: Cow::Borrowed(terms),
            fields,
        })
    }

    #[test]
    fn the_rows_of_a_block_come_back_as_they_were() {
        let block = Block::new(encode(&rows()).unwrap(), &SCHEMA).unwrap();
        assert_eq!(block.rows(&SCHEMA).unwrap(), rows());
        assert_eq!(block.with_terms(), 2);
        assert_eq!(block.len(), 3);
        assert_eq!(block.vectors(), b"12345678abcdefgh");
        assert_eq!(block.id(3), None);
        assert_eq!(Block::new(encode(&[]).unwrap(), &SCHEMA).unwrap().len(), 0);
    }

    #[test]
    fn a_record_with_any_bit_flipped_or_any_byte_missing_is_damaged() {
        let record = encode(&rows()).unwrap();
        for place in 0..record.len() {
            for bit in 0..8 {
                let mut flipped = record.clone();
                flipped[place] ^= 1 << bit;
                assert!(Block::new(flipped, &SCHEMA).is_none(), "byte {place}, bit {bit}");
            }
            assert!(Block::new(record[..place].to_vec(), &SCHEMA).is_none(), "{place} bytes");
        }
    }

    #[test]
    fn a_sound_checksum_over_nonsense_is_still_no_block() {
        let whole = encode(&rows()).unwrap();
        for content in [&[][..], &[255; 16], &[0; 17], &whole] {
            let mut record = content.to_vec();
            codec::seal(&mut record);
            assert!(Block::new(record, &SCHEMA).is_none(), "{content:?}");
        }
        let other = Schema {
            dimensions: 3,
            ..SCHEMA
        };
        assert!(Block::new(whole, &other).is_none());
    }
}
