//! The points of one collection in RAM, and exact search over all of them.

use std::collections::{HashMap, TryReserveError};

use crate::dense::DenseRows;
use crate::filter;
use crate::point::{Id, Point, Schema, Term};
use crate::rank::{Best, Candidate};
use crate::sparse::{SparseQuery, inverse_document_frequency};
use crate::vector_store::Filter;

/// The points of one collection.
pub struct Collection {
    schema: Schema,
    points: Vec<Kept>,
    /// The place in `points` of each id.
    places: HashMap<Id, u32>,
    dense: DenseRows,
}

/// A point but for its dense vector.
struct Kept {
    id: Id,
    payload: Box<str>,
    terms: Box<[Term]>,
    row: Option<usize>,
}

/// A term of the query in a point of the collection.
struct Hit {
    point: u32,
    term: usize,
    weight: f32,
}

impl Collection {
    /// A collection without points.
    pub fn new(schema: Schema) -> Self {
        let dense = DenseRows::new(schema.dimensions as usize);
        Self {
            schema,
            points: Vec::new(),
            places: HashMap::new(),
            dense,
        }
    }

    /// What its points share.
    pub fn schema(&self) -> &Schema {
        &self.schema
    }

    /// How many points there are.
    pub fn len(&self) -> usize {
        self.points.len()
    }

    /// The ids of all points.
    pub fn ids(&self) -> impl Iterator<Item = Id> + '_ {
        self.points.iter().map(|point| point.id)
    }

    /// The ids of the points that pass `filter`.
    pub fn passing<'a>(&'a self, filter: &'a Filter) -> impl Iterator<Item = Id> + 'a {
        self.points
            .iter()
            .filter(|point| filter::passes(filter, &point.payload))
            .map(|point| point.id)
    }

    /// Whether there is a point of this id.
    pub fn contains(&self, id: Id) -> bool {
        self.places.contains_key(&id)
    }

    /// The id and payload of the point in a place.
    pub fn at(&self, place: u32) -> Option<(Id, &str)> {
        self.points.get(place as usize).map(|point| (point.id, &*point.payload))
    }

    /// Makes room for `more` points, so that putting them in allocates nothing.
    pub fn try_reserve(&mut self, more: usize) -> Result<(), TryReserveError> {
        self.points.try_reserve(more)?;
        self.places.try_reserve(more)?;
        self.dense.try_reserve(more)
    }

    /// Puts a point in, in the place of one of the same id if there is one.
    pub fn put(&mut self, point: Point) {
        let Point {
            id,
            vector,
            terms,
            payload,
        } = point;
        let place = match self.places.get(&id) {
            Some(place) => *place,
            None => {
                let place = self.points.len() as u32;
                self.places.insert(id, place);
                self.points.push(Kept {
                    id,
                    payload: Box::default(),
                    terms: Box::default(),
                    row: None,
                });
                place
            }
        };
        let old = self.points.get(place as usize).and_then(|kept| kept.row);
        let row = match (old, vector) {
            (Some(row), Some(vector)) => {
                self.dense.replace(row, &vector);
                Some(row)
            }
            (None, Some(vector)) => Some(self.dense.push(place, &vector)),
            (Some(row), None) => {
                self.remove_row(row);
                None
            }
            (None, None) => None,
        };
        if let Some(kept) = self.points.get_mut(place as usize) {
            *kept = Kept {
                id,
                payload,
                terms,
                row,
            };
        }
    }

    /// Takes a point out, if it is there.
    pub fn remove(&mut self, id: Id) {
        let Some(place) = self.places.remove(&id) else { return };
        let removed = self.points.swap_remove(place as usize);
        if let Some(moved) = self.points.get(place as usize) {
            self.places.insert(moved.id, place);
            if let Some(row) = moved.row {
                self.dense.reassign(row, place);
            }
        }
        if let Some(row) = removed.row {
            self.remove_row(row);
        }
    }

    /// The points whose dense vectors are nearest to `query`, which is of the schema's length, best first.
    pub fn nearest(&self, query: &[f32], filter: Option<&Filter>, limit: usize) -> Vec<Candidate> {
        let mut best = Best::new(limit);
        self.dense.scores(query, self.schema.distance, |point, score| {
            self.offer(&mut best, point, score, filter)
        });
        best.into_sorted()
    }

    /// The points that have terms of `query`, by BM25, best first.
    pub fn matching(&self, query: &SparseQuery, filter: Option<&Filter>, limit: usize) -> Vec<Candidate> {
        let mut hits = Vec::new();
        let mut having = vec![0; query.terms().len()];
        let mut with_terms = 0;
        for (point, kept) in (0..).zip(&self.points) {
            with_terms += usize::from(!kept.terms.is_empty());
            query.for_each_hit(&kept.terms, |term, weight| {
                hits.push(Hit { point, term, weight });
                if let Some(having) = having.get_mut(term) {
                    *having += 1;
                }
            });
        }
        let worth = |(term, having): (&Term, &usize)| term.weight * inverse_document_frequency(with_terms, *having);
        let worths: Vec<f32> = query.terms().iter().zip(&having).map(worth).collect();

        let mut best = Best::new(limit);
        for of_point in hits.chunk_by(|a, b| a.point == b.point) {
            let score = of_point
                .iter()
                .filter_map(|hit| Some(hit.weight * worths.get(hit.term)?))
                .sum();
            if let Some(hit) = of_point.first() {
                self.offer(&mut best, hit.point, score, filter);
            }
        }
        best.into_sorted()
    }

    fn offer(&self, best: &mut Best, point: u32, score: f32, filter: Option<&Filter>) {
        if let Some((id, payload)) = self.at(point) {
            let passes = || filter.is_none_or(|filter| filter::passes(filter, payload));
            best.offer(Candidate { score, id, point }, passes);
        }
    }

    fn remove_row(&mut self, row: usize) {
        if let Some(moved) = self.dense.swap_remove(row)
            && let Some(point) = self.points.get_mut(moved as usize)
        {
            point.row = Some(row);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::vector_store::Distance;

    fn collection(distance: Distance) -> Collection {
        Collection::new(Schema {
            dimensions: 2,
            distance,
            sparse: true,
        })
    }

    fn point(id: u64, vector: Option<[f32; 2]>, terms: &[(u32, f32)]) -> Point {
        let terms = terms.iter().map(|&(index, weight)| Term { index, weight }).collect();
        Point {
            id: Id::Number(id),
            vector: vector.map(Vec::from),
            terms,
            payload: "{}".into(),
        }
    }

    fn found(candidates: &[Candidate]) -> Vec<(u64, f32)> {
        let number = |id| match id {
            Id::Number(number) => number,
            Id::Uuid(_) => unreachable!("these tests use numbers"),
        };
        candidates
            .iter()
            .map(|candidate| (number(candidate.id), candidate.score))
            .collect()
    }

    #[test]
    fn a_search_after_any_puts_and_removals_equals_one_over_what_is_left() {
        let mut collection = collection(Distance::Dot);
        for id in 0..600 {
            collection.put(point(id, (id % 3 != 0).then_some([id as f32, 1.0]), &[]));
        }
        for id in (0..600).step_by(2) {
            collection.remove(Id::Number(id));
        }
        for id in (1..600).step_by(10) {
            collection.put(point(id, (id % 4 == 1).then_some([-(id as f32), 1.0]), &[]));
        }
        let mut expected: Vec<(u64, f32)> = (1..600)
            .step_by(2)
            .filter_map(|id| match id {
                _ if id % 10 == 1 => (id % 4 == 1).then_some((id, -(id as f32))),
                _ => (id % 3 != 0).then_some((id, id as f32)),
            })
            .collect();
        expected.sort_by(|a, b| b.1.total_cmp(&a.1));

        assert_eq!(collection.len(), 300);
        assert_eq!(found(&collection.nearest(&[1.0, 0.0], None, 1000)), expected);
        assert_eq!(found(&collection.nearest(&[1.0, 0.0], None, 5)), expected[..5]);
    }

    #[test]
    fn euclidean_neighbours_are_nearest_first() {
        let mut collection = collection(Distance::Euclid);
        collection.put(point(1, Some([3.0, 4.0]), &[]));
        collection.put(point(2, Some([0.0, 1.0]), &[]));
        assert_eq!(found(&collection.nearest(&[0.0, 0.0], None, 9)), [(2, -1.0), (1, -5.0)]);
    }

    #[test]
    fn a_sparse_score_is_the_sum_of_weights_times_the_inverse_document_frequency() {
        let mut collection = collection(Distance::Cosine);
        collection.put(point(1, None, &[(10, 0.5), (20, 2.0)]));
        collection.put(point(2, None, &[(10, 1.5)]));
        collection.put(point(3, None, &[(30, 1.0)]));
        collection.put(point(4, Some([1.0, 0.0]), &[]));
        let terms = [Term { index: 10, weight: 1.0 }, Term { index: 20, weight: 3.0 }];

        let found = found(&collection.matching(&SparseQuery::new(Box::new(terms)), None, 9));

        // Three points have a sparse vector; two of them term 10, one of them term 20.
        let (ten, twenty) = ((1.5_f32 / 2.5 + 1.0).ln(), (2.5_f32 / 1.5 + 1.0).ln());
        let expected = [(1, 0.5 * ten + 3.0 * 2.0 * twenty), (2, 1.5 * ten)];
        assert_eq!(found.len(), 2);
        for ((id, score), (expected_id, expected_score)) in found.iter().zip(expected) {
            assert!(*id == expected_id && (score - expected_score).abs() < 1e-6, "{found:?}");
        }
    }

    #[test]
    fn a_removed_point_counts_in_no_document_frequency() {
        let score_of = |removed: bool| {
            let mut collection = collection(Distance::Cosine);
            collection.put(point(1, None, &[(10, 1.0)]));
            collection.put(point(2, None, &[(20, 1.0)]));
            if removed {
                collection.put(point(3, None, &[(10, 1.0)]));
                collection.remove(Id::Number(3));
            }
            let query = SparseQuery::new(Box::new([Term { index: 10, weight: 1.0 }]));
            found(&collection.matching(&query, None, 9))
        };
        assert_eq!(score_of(true), score_of(false));
    }
}
