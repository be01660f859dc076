//! The sparse vectors of a block's points, by term: an inverted index of some hundred points.
//!
//! A search looks its own terms up and reads nothing of the others. As a block is made anew when a point of it changes,
//! there is no second copy of the terms, nothing to mend when a point goes, and the number of points that have a term is
//! always that of those that are there.
//!
//! | part | content |
//! |---|---|
//! | lengths | u32 each: weights, terms |
//! | points | of each weight the point that has it, a byte, ascending: a point's terms have few different weights |
//! | weights | f32 each |
//! | terms | u32 each, ascending |
//! | ends | u32 each: where the postings of a term end |
//! | postings | of each term the places of its weights, u16 each; u32 where there are more weights than that tells |
//!
//! All numbers are little-endian.

use std::collections::TryReserveError;
use std::ops::Range;

use crate::point::Term;

/// The bytes of the lengths.
const LENGTHS: usize = 8;

/// A number as it lies in a record.
type Number = [u8; 4];

/// The bytes of the terms of these points, of which there are 256 at most.
///
/// # Errors
/// Where no memory is left for them.
pub fn encode<'a>(points: impl Iterator<Item = &'a [Term]>) -> Result<Vec<u8>, TryReserveError> {
    let (mut of_points, mut weights) = (Vec::new(), Vec::new());
    // At first the weight above the term; when a point's weights have their places, the term above the place.
    let mut postings: Vec<u64> = Vec::new();
    for (point, terms) in (0..=u8::MAX).zip(points) {
        postings.try_reserve(terms.len())?;
        let begun = postings.len();
        let by_weight = |term: &Term| u64::from(term.weight.to_bits()) << 32 | u64::from(term.index);
        postings.extend(terms.iter().map(by_weight));
        let of_point = postings.get_mut(begun..).unwrap_or_default();
        of_point.sort_unstable();
        for same in of_point.chunk_by_mut(|a, b| high(*a) == high(*b)) {
            let place = weights.len() as u64;
            of_points.push(point);
            weights.extend(same.first().map(|key| high(*key)));
            same.iter_mut().for_each(|key| *key = *key << 32 | place);
        }
    }
    postings.sort_unstable();
    let by_term = || postings.chunk_by(|a, b| high(*a) == high(*b));
    let terms = by_term().count();
    let width = width(weights.len());

    let mut bytes = Vec::new();
    bytes.try_reserve_exact(LENGTHS + weights.len() * 5 + terms * 8 + postings.len() * width)?;
    for length in [weights.len(), terms] {
        bytes.extend((length as u32).to_le_bytes());
    }
    bytes.extend(of_points);
    bytes.extend(weights.into_iter().flat_map(u32::to_le_bytes));
    let firsts = by_term().filter_map(|of_term| of_term.first());
    bytes.extend(firsts.flat_map(|posting| high(*posting).to_le_bytes()));
    let ends = by_term().scan(0, |end, of_term| {
        *end += of_term.len() as u32;
        Some(*end)
    });
    bytes.extend(ends.flat_map(u32::to_le_bytes));
    for posting in postings {
        bytes.extend(posting.to_le_bytes().iter().take(width));
    }
    Ok(bytes)
}

/// The terms of a block's points, as they lie in its record.
#[derive(Debug, Clone, Copy, Default)]
pub struct Postings<'a> {
    points: &'a [u8],
    weights: &'a [Number],
    terms: &'a [Number],
    ends: &'a [Number],
    narrow: &'a [[u8; 2]],
    /// Used where there are more weights than two bytes tell.
    wide: &'a [Number],
}

impl<'a> Postings<'a> {
    /// The postings that the bytes are; none where they are none.
    pub fn of(bytes: &'a [u8]) -> Option<Self> {
        let (weights, rest) = bytes.split_first_chunk()?;
        let (terms, rest) = rest.split_first_chunk()?;
        let [weights, terms] = [*weights, *terms].map(|length| u32::from_le_bytes(length) as usize);
        let (points, rest) = rest.split_at_checked(weights)?;
        let (weights, rest) = rest.split_at_checked(weights.checked_mul(4)?)?;
        let (indices, rest) = rest.split_at_checked(terms.checked_mul(4)?)?;
        let (ends, postings) = rest.split_at_checked(terms.checked_mul(4)?)?;
        Some(Self {
            points,
            weights: weights.as_chunks().0,
            terms: indices.as_chunks().0,
            ends: ends.as_chunks().0,
            narrow: postings.as_chunks().0,
            wide: postings.as_chunks().0,
        })
    }

    /// How many points have terms.
    pub fn points(&self) -> usize {
        self.points.chunk_by(|a, b| a == b).count()
    }

    /// Of each of these terms, by ascending index, where its postings are.
    pub fn find(&self, terms: &[Term]) -> impl Iterator<Item = Range<usize>> {
        let mut from = 0;
        terms.iter().map(move |term| {
            let rest = self.terms.get(from..).unwrap_or_default();
            from += rest.partition_point(|index| u32::from_le_bytes(*index) < term.index);
            match self.terms.get(from) {
                Some(index) if u32::from_le_bytes(*index) == term.index => self.range(from),
                _ => 0..0,
            }
        })
    }

    /// The points of some postings, and the weights that the term has there.
    pub fn weights(&self, range: Range<usize>) -> impl Iterator<Item = (usize, f32)> {
        let is_wide = width(self.weights.len()) == size_of::<Number>();
        range.filter_map(move |posting| {
            let place = match is_wide {
                true => u32::from_le_bytes(*self.wide.get(posting)?) as usize,
                false => u16::from_le_bytes(*self.narrow.get(posting)?).into(),
            };
            let weight = f32::from_le_bytes(*self.weights.get(place)?);
            Some((usize::from(*self.points.get(place)?), weight))
        })
    }

    /// The terms of each of so many points, by ascending index.
    ///
    /// # Errors
    /// Where no memory is left for them.
    pub fn of_points(&self, points: usize) -> Result<Vec<Vec<Term>>, TryReserveError> {
        let all = || {
            let terms = self.terms.iter().enumerate();
            terms.flat_map(|(place, index)| {
                let weights = self.weights(self.range(place));
                weights.map(|(point, weight)| {
                    (
                        point,
                        Term {
                            index: u32::from_le_bytes(*index),
                            weight,
                        },
                    )
                })
            })
        };
        let mut counts = vec![0; points];
        for (point, _) in all() {
            counts.get_mut(point).into_iter().for_each(|count| *count += 1);
        }
        let mut of_points = vec![Vec::new(); points];
        for (terms, count) in of_points.iter_mut().zip(counts) {
            terms.try_reserve_exact(count)?;
        }
        for (point, term) in all() {
            of_points.get_mut(point).into_iter().for_each(|terms| terms.push(term));
        }
        Ok(of_points)
    }

    /// Where the postings of the term in a place are.
    fn range(&self, place: usize) -> Range<usize> {
        let end = |place: usize| self.ends.get(place).map_or(0, |end| u32::from_le_bytes(*end) as usize);
        place.checked_sub(1).map_or(0, end)..end(place)
    }
}

/// The bytes of a posting where there are so many weights.
fn width(weights: usize) -> usize {
    match weights {
        0..=0x1_0000 => 2,
        _ => 4,
    }
}

fn high(key: u64) -> u32 {
    (key >> 32) as u32
}

#[cfg(test)]
mod tests {
    use super::*;

    fn terms(terms: &[(u32, f32)]) -> Vec<Term> {
        let term = |&(index, weight)| Term { index, weight };
        terms.iter().map(term).collect()
    }

    fn encoded(points: &[Vec<Term>]) -> Vec<u8> {
        encode(points.iter().map(Vec::as_slice)).unwrap()
    }

    #[test]
    fn the_terms_of_every_point_come_back_as_they_were() {
        let points = [
            terms(&[(0, -0.5), (7, 0.25), (u32::MAX, 0.25)]),
            Vec::new(),
            terms(&[(7, 0.25), (8, 1e30)]),
        ];
        let bytes = encoded(&points);
        let postings = Postings::of(&bytes).unwrap();
        assert_eq!(postings.of_points(3).unwrap(), points);
        assert_eq!(postings.points(), 2);
        let none = encoded(&[]);
        assert_eq!(Postings::of(&none).unwrap().points(), 0);
    }

    #[test]
    fn a_term_is_found_in_the_points_that_have_it() {
        let points = [terms(&[(5, 0.25), (9, 0.5)]), terms(&[(6, 1.0)]), terms(&[(5, 0.75)])];
        let bytes = encoded(&points);
        let postings = Postings::of(&bytes).unwrap();
        let query = terms(&[(4, 1.0), (5, 1.0), (6, 1.0), (8, 1.0), (10, 1.0)]);
        let found: Vec<Vec<(usize, f32)>> = postings
            .find(&query)
            .map(|range| postings.weights(range).collect())
            .collect();
        assert_eq!(
            found,
            [vec![], vec![(0, 0.25), (2, 0.75)], vec![(1, 1.0)], vec![], vec![]]
        );
    }

    #[test]
    fn a_term_takes_two_bytes_a_point_and_four_where_there_are_very_many_weights() {
        let bytes_of = |weights: u32| {
            let point = |point: u32| {
                (0..weights)
                    .map(|index| (index, (point * weights + index) as f32))
                    .collect()
            };
            let points: Vec<Vec<(u32, f32)>> = (0..256).map(point).collect();
            let points: Vec<Vec<Term>> = points.iter().map(|point| terms(point)).collect();
            let bytes = encoded(&points);
            assert!(Postings::of(&bytes).unwrap().of_points(256).unwrap() == points);
            bytes.len() - LENGTHS - 8 * weights as usize - 5 * 256 * weights as usize
        };
        assert_eq!(bytes_of(256), 2 * 256 * 256);
        assert_eq!(bytes_of(257), 4 * 256 * 257);
    }

    #[test]
    fn bytes_that_end_too_soon_are_no_postings() {
        let bytes = encoded(&[terms(&[(5, 0.25)])]);
        for length in 0..bytes.len() - 2 {
            assert!(Postings::of(&bytes[..length]).is_none(), "{length} bytes");
        }
        assert!(Postings::of(&[255; 64]).is_none());
    }
}
