//! The points of one collection, and exact search over all of them.

use std::cell::OnceCell;
use std::collections::{HashMap, TryReserveError};

use weir_guest::Error;

use crate::block::{self, Block, Row};
use crate::dense;
use crate::draft::{Change, GONE};
use crate::point::{Id, Schema, Term};
use crate::rank::{Best, Candidate};
use crate::sparse;

/// The points of one collection, without their payloads.
pub struct Collection {
    schema: Schema,
    /// All but the last are full.
    blocks: Vec<Block>,
    len: usize,
    /// The place of each id: made when it is first needed, which for a search is never.
    places: OnceCell<HashMap<Id, u32>>,
}

impl Collection {
    /// The collection of these blocks.
    pub fn new(schema: Schema, blocks: Vec<Block>) -> Self {
        let len = blocks.iter().map(Block::len).sum();
        Self {
            schema,
            blocks,
            len,
            places: OnceCell::new(),
        }
    }

    /// What its points share.
    pub fn schema(&self) -> &Schema {
        &self.schema
    }

    /// How many points there are.
    pub fn len(&self) -> usize {
        self.len
    }

    /// How many points each block has but the last.
    pub fn rows_per_block(&self) -> usize {
        block::rows_per_block(&self.schema)
    }

    /// The id of the point in a place.
    pub fn id(&self, place: u32) -> Option<Id> {
        let (block, within) = self.block_of(place)?;
        block.id(within)
    }

    /// The fields of the point in a place.
    pub fn fields(&self, place: u32) -> &[u8] {
        match self.block_of(place) {
            Some((block, within)) => block.fields(within),
            None => &[],
        }
    }

    /// The place of the point of this id, if there is one.
    pub fn place(&self, id: Id) -> Option<u32> {
        let places = || {
            let ids = (0..self.len as u32).filter_map(|place| Some((self.id(place)?, place)));
            ids.collect()
        };
        self.places.get_or_init(places).get(&id).copied()
    }

    /// The rows of a block; none of one that is not there yet.
    ///
    /// # Errors
    /// Where no memory is left for their terms.
    pub fn rows(&self, number: usize) -> Result<Vec<Row<'_>>, TryReserveError> {
        let rows = self.blocks.get(number).map(|block| block.rows(&self.schema));
        rows.unwrap_or_else(|| Ok(Vec::new()))
    }

    /// How many blocks there are.
    pub fn blocks(&self) -> usize {
        self.blocks.len()
    }

    /// Makes room for `more` points, so that taking them in allocates nothing.
    pub fn try_reserve(&mut self, more: usize) -> Result<(), TryReserveError> {
        self.blocks.try_reserve(more / self.rows_per_block() + 1)?;
        match self.places.get_mut() {
            Some(places) => places.try_reserve(more),
            None => Ok(()),
        }
    }

    /// Becomes what the change makes of it.
    pub fn apply(&mut self, change: Change) {
        let blocks = change.len.div_ceil(self.rows_per_block());
        for (number, record) in change.records {
            let Some(block) = Block::new(record, &self.schema) else {
                continue;
            };
            match self.blocks.get_mut(number) {
                Some(old) => *old = block,
                None => self.blocks.push(block),
            }
        }
        self.blocks.truncate(blocks);
        self.len = change.len;
        if let Some(places) = self.places.get_mut() {
            for (id, place) in change.moved {
                match place {
                    GONE => places.remove(&id),
                    place => places.insert(id, place),
                };
            }
        }
    }

    /// The points whose dense vectors are nearest to `query`, which is of the schema's length, best first.
    ///
    /// # Errors
    /// Those of `passes`, which is asked for the places of points that are good enough.
    pub fn nearest(
        &self,
        query: &[f32],
        limit: usize,
        mut passes: impl FnMut(u32) -> Result<bool, Error>,
    ) -> Result<Vec<Candidate>, Error> {
        let mut best = Best::new(limit);
        let mut scores = Vec::new();
        let mut first = 0;
        for block in &self.blocks {
            scores.clear();
            dense::scores(block.vectors(), query, self.schema.distance, &mut scores);
            let marked = block.marks().zip(first..).filter(|(mark, _)| *mark);
            for ((_, point), score) in marked.zip(&scores) {
                self.offer(&mut best, point, *score, &mut passes)?;
            }
            first += block.len() as u32;
        }
        Ok(best.into_sorted())
    }

    /// The points that have terms of `query`, which are by ascending index; by BM25, best first.
    ///
    /// # Errors
    /// Those of `passes`, which is asked for the places of points that are good enough.
    pub fn matching(
        &self,
        query: &[Term],
        limit: usize,
        mut passes: impl FnMut(u32) -> Result<bool, Error>,
    ) -> Result<Vec<Candidate>, Error> {
        let mut having = vec![0; query.len()];
        let mut found = Vec::with_capacity(self.blocks.len() * query.len());
        for block in &self.blocks {
            for (having, range) in having.iter_mut().zip(block.postings().find(query)) {
                *having += range.len();
                found.push(range);
            }
        }
        let with_terms = self.blocks.iter().map(Block::with_terms).sum();
        let worth =
            |(term, having): (&Term, &usize)| term.weight * sparse::inverse_document_frequency(with_terms, *having);
        let worths: Vec<f32> = query.iter().zip(&having).map(worth).collect();

        let mut best = Best::new(limit);
        let mut found = found.into_iter();
        let mut scores: Vec<Option<f32>> = Vec::new();
        let mut first = 0;
        for block in &self.blocks {
            scores.clear();
            scores.resize(block.len(), None);
            let postings = block.postings();
            for (worth, range) in worths.iter().zip(found.by_ref()) {
                for (point, weight) in postings.weights(range) {
                    if let Some(score) = scores.get_mut(point) {
                        *score = Some(score.unwrap_or_default() + weight * worth);
                    }
                }
            }
            for (point, score) in (first..).zip(&scores) {
                if let Some(score) = score {
                    self.offer(&mut best, point, *score, &mut passes)?;
                }
            }
            first += block.len() as u32;
        }
        Ok(best.into_sorted())
    }

    fn offer(
        &self,
        best: &mut Best,
        point: u32,
        score: f32,
        passes: &mut impl FnMut(u32) -> Result<bool, Error>,
    ) -> Result<(), Error> {
        if !best.takes(score) {
            return Ok(());
        }
        match self.id(point) {
            Some(id) => best.offer(Candidate { score, id, point }, || passes(point)),
            None => Ok(()),
        }
    }

    fn block_of(&self, place: u32) -> Option<(&Block, usize)> {
        let rows = self.rows_per_block();
        Some((self.blocks.get(place as usize / rows)?, place as usize % rows))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::draft::Draft;
    use crate::vector_store::Distance;

    fn collection(distance: Distance) -> Collection {
        let schema = Schema {
            dimensions: 2,
            distance,
            sparse: true,
        };
        Collection::new(schema, Vec::new())
    }

    fn remove(collection: &mut Collection, ids: impl Iterator<Item = u64>) {
        let mut draft = Draft::new(collection);
        ids.for_each(|id| draft.remove(Id::Number(id)));
        let change = draft.finish().unwrap();
        collection.apply(change);
    }

    fn put(collection: &mut Collection, id: u64, vector: Option<[f32; 2]>, terms: &[(u32, f32)]) {
        let terms: Vec<Term> = terms.iter().map(|&(index, weight)| Term { index, weight }).collect();
        let vector = vector.map(|values| dense::encode(&values)).unwrap_or_default();
        let row = Row {
            id: Id::Number(id),
            vector: &vector,
            terms: terms.into(),
            fields: b"",
        };
        let mut draft = Draft::new(collection);
        draft.put(row);
        let change = draft.finish().unwrap();
        collection.apply(change);
    }

    fn nearest(collection: &Collection, query: [f32; 2], limit: usize) -> Vec<(u64, f32)> {
        found(&collection.nearest(&query, limit, |_| Ok(true)).unwrap())
    }

    fn matching(collection: &Collection, query: &[Term]) -> Vec<(u64, f32)> {
        found(&collection.matching(query, 9, |_| Ok(true)).unwrap())
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
            put(&mut collection, id, (id % 3 != 0).then_some([id as f32, 1.0]), &[]);
        }
        // Many at once, across blocks, and one of them twice.
        remove(&mut collection, (0..600).step_by(2).chain([0]));
        for id in (1..600).step_by(10) {
            put(&mut collection, id, (id % 4 == 1).then_some([-(id as f32), 1.0]), &[]);
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
        assert_eq!(collection.blocks(), 300_usize.div_ceil(collection.rows_per_block()));
        for place in 0..300 {
            assert_eq!(collection.place(collection.id(place).unwrap()), Some(place));
        }
        assert_eq!(nearest(&collection, [1.0, 0.0], 1000), expected);
        assert_eq!(nearest(&collection, [1.0, 0.0], 5), expected[..5]);
    }

    #[test]
    fn euclidean_neighbours_are_nearest_first() {
        let mut collection = collection(Distance::Euclid);
        put(&mut collection, 1, Some([3.0, 4.0]), &[]);
        put(&mut collection, 2, Some([0.0, 1.0]), &[]);
        assert_eq!(nearest(&collection, [0.0, 0.0], 9), [(2, -1.0), (1, -5.0)]);
    }

    #[test]
    fn a_sparse_score_is_the_sum_of_weights_times_the_inverse_document_frequency() {
        let mut collection = collection(Distance::Cosine);
        put(&mut collection, 1, None, &[(10, 0.5), (20, 2.0)]);
        put(&mut collection, 2, None, &[(10, 1.5)]);
        put(&mut collection, 3, None, &[(30, 1.0)]);
        put(&mut collection, 4, Some([1.0, 0.0]), &[]);
        let terms = [Term { index: 10, weight: 1.0 }, Term { index: 20, weight: 3.0 }];

        let found = matching(&collection, &terms);

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
            put(&mut collection, 1, None, &[(10, 1.0)]);
            put(&mut collection, 2, None, &[(20, 1.0)]);
            if removed {
                put(&mut collection, 3, None, &[(10, 1.0)]);
                remove(&mut collection, [3].into_iter());
            }
            matching(&collection, &[Term { index: 10, weight: 1.0 }])
        };
        assert_eq!(score_of(true), score_of(false));
    }
}
