//! A change to a collection before it is durable: the rows of the blocks it touches, and where points come to lie.

use std::collections::{HashMap, TryReserveError};

use crate::block::{self, Row};
use crate::collection::Collection;
use crate::point::Id;

/// The place of what has none any more: no collection has so many points.
pub const GONE: u32 = u32::MAX;

/// What a collection is to become.
pub struct Draft<'a> {
    collection: &'a Collection,
    /// The rows of the blocks that are touched, by their numbers, ascending.
    touched: Vec<(usize, Vec<Row<'a>>)>,
    /// Where points lie that came or moved; [`GONE`] for those that went.
    moved: HashMap<Id, u32>,
    len: usize,
    /// No memory was left for the rows of a block.
    failed: Option<TryReserveError>,
}

/// What is to be written, and to be known of it afterwards.
pub struct Change {
    /// The records of changed blocks, by their numbers.
    pub records: Vec<(usize, Vec<u8>)>,
    /// Where points lie that came or moved; [`GONE`] for those that went.
    pub moved: HashMap<Id, u32>,
    /// How many points there are then.
    pub len: usize,
}

impl<'a> Draft<'a> {
    /// No change yet.
    pub fn new(collection: &'a Collection) -> Self {
        Self {
            collection,
            touched: Vec::new(),
            moved: HashMap::new(),
            len: collection.len(),
            failed: None,
        }
    }

    /// Puts a point in, in the place of one of the same id if there is one.
    pub fn put(&mut self, row: Row<'a>) {
        match self.place(row.id) {
            Some(place) => self.replace(place, row),
            None => {
                let place = self.len as u32;
                self.moved.insert(row.id, place);
                self.rows(place).push(row);
                self.len += 1;
            }
        }
    }

    /// Takes a point out, if it is there; the last one takes its place.
    pub fn remove(&mut self, id: Id) {
        let Some(place) = self.place(id) else { return };
        self.len -= 1;
        let last = self.len as u32;
        let row = self.rows(last).pop();
        self.moved.insert(id, GONE);
        if let Some(row) = row.filter(|_| last != place) {
            self.moved.insert(row.id, place);
            self.replace(place, row);
        }
    }

    /// The records that make the change.
    ///
    /// # Errors
    /// Where no memory is left for them.
    pub fn finish(self) -> Result<Change, TryReserveError> {
        if let Some(failed) = self.failed {
            return Err(failed);
        }
        let mut records = Vec::new();
        for (number, rows) in self.touched {
            if !rows.is_empty() {
                records.push((number, block::encode(&rows)?));
            }
        }
        Ok(Change {
            records,
            moved: self.moved,
            len: self.len,
        })
    }

    fn place(&self, id: Id) -> Option<u32> {
        match self.moved.get(&id) {
            Some(place) => (*place != GONE).then_some(*place),
            None => self.collection.place(id),
        }
    }

    fn replace(&mut self, place: u32, row: Row<'a>) {
        let within = place as usize % self.collection.rows_per_block();
        if let Some(old) = self.rows(place).get_mut(within) {
            *old = row;
        }
    }

    /// The rows of the block that a place is in.
    fn rows(&mut self, place: u32) -> &mut Vec<Row<'a>> {
        let number = place as usize / self.collection.rows_per_block();
        let touched = self.touched.partition_point(|(touched, _)| *touched < number);
        if self.touched.get(touched).is_none_or(|(touched, _)| *touched != number) {
            let rows = self.collection.rows(number).unwrap_or_else(|failed| {
                self.failed = Some(failed);
                Vec::new()
            });
            self.touched.insert(touched, (number, rows));
        }
        &mut self.touched[touched].1
    }
}
