//! The bytes of a body that comes in pieces, in one place.

use std::io;

use bytes::{Bytes, BytesMut};
use memmap2::MmapMut;

/// Most bytes that lie among all others of the program.
///
/// A longer body lies in a mapping of its own from then on, with room for the longest: it is moved once, only what is written
/// to takes memory, and all of it goes back to the system with the body. An allocator keeps much of what such bodies leave.
const SHORT: usize = 64 * 1024;

/// A body up to now.
#[derive(Debug)]
pub(crate) struct Gathered {
    most: usize,
    short: BytesMut,
    long: Option<Long>,
}

#[derive(Debug)]
struct Long {
    room: MmapMut,
    length: usize,
}

impl Gathered {
    /// Nothing yet of what has `most` bytes in the end.
    pub fn new(most: usize) -> Self {
        Self {
            most,
            short: BytesMut::new(),
            long: None,
        }
    }

    /// Adds a piece.
    ///
    /// # Errors
    /// Where the system gives no memory, or it is more than the most.
    pub fn push(&mut self, piece: &Bytes) -> io::Result<()> {
        if self.long.is_none() && self.short.len() + piece.len() <= SHORT {
            self.short.extend_from_slice(piece);
            return Ok(());
        }
        let long = match &mut self.long {
            Some(long) => long,
            None => {
                let mut long = Long {
                    room: MmapMut::map_anon(self.most)?,
                    length: 0,
                };
                long.push(&std::mem::take(&mut self.short))?;
                self.long.insert(long)
            }
        };
        long.push(piece)
    }

    /// What has come.
    pub fn as_slice(&self) -> &[u8] {
        match &self.long {
            Some(long) => long.room.get(..long.length).unwrap_or_default(),
            None => &self.short,
        }
    }
}

impl Long {
    fn push(&mut self, piece: &[u8]) -> io::Result<()> {
        let end = self.length + piece.len();
        let room = self.room.get_mut(self.length..end).ok_or(io::ErrorKind::FileTooLarge)?;
        room.copy_from_slice(piece);
        self.length = end;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pieces_follow_each_other_however_long_they_get() {
        let mut gathered = Gathered::new(10 * SHORT);
        let mut expected = Vec::new();
        for number in 0..100_u8 {
            let piece = Bytes::from(vec![number; SHORT / 10 - 7]);
            gathered.push(&piece).unwrap();
            expected.extend_from_slice(&piece);
            assert!(gathered.as_slice() == expected, "{number}");
            assert_eq!(gathered.long.is_some(), expected.len() > SHORT);
        }
        assert!(gathered.short.is_empty());
        assert!(gathered.push(&Bytes::from(vec![0; SHORT])).is_err());
        assert!(gathered.as_slice() == expected);
    }

    #[test]
    fn a_long_body_is_never_moved_as_it_grows() {
        let mut gathered = Gathered::new(4 << 20);
        let piece = Bytes::from(vec![b' '; SHORT + 1]);
        gathered.push(&piece).unwrap();
        let place = gathered.as_slice().as_ptr();
        for _ in 0..50 {
            gathered.push(&piece).unwrap();
            assert_eq!(gathered.as_slice().as_ptr(), place);
        }
    }
}
