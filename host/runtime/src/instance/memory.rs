//! The bound on an instance's linear memory and tables.

use wasmtime::ResourceLimiter;

/// Elements of one table: far above what compilers make, far below what hurts.
pub(crate) const MAX_TABLE_ELEMENTS: usize = 20_000;

/// Refuses growth past the bound, and remembers that it did.
///
/// A guest whose allocator is refused memory aborts, which is a trap like any other; the mark tells the two apart.
#[derive(Debug)]
pub(crate) struct MemoryLimiter {
    limit: usize,
    used: usize,
    refused: bool,
}

impl MemoryLimiter {
    pub(crate) fn new(limit: usize) -> Self {
        MemoryLimiter {
            limit,
            used: 0,
            refused: false,
        }
    }

    /// Whether the guest asked for more than it may have.
    pub(crate) fn refused(&self) -> bool {
        self.refused
    }

    /// Judges the next call by itself alone.
    pub(crate) fn forget_refusal(&mut self) {
        self.refused = false;
    }

    /// Whether the instance holds so much that it is better replaced than reused: memory never shrinks.
    pub(crate) fn is_bloated(&self) -> bool {
        self.used > self.limit / 4 * 3
    }
}

impl ResourceLimiter for MemoryLimiter {
    fn memory_growing(&mut self, _current: usize, desired: usize, maximum: Option<usize>) -> wasmtime::Result<bool> {
        let fits = desired <= self.limit;
        self.refused |= !fits;
        if fits && maximum.is_none_or(|maximum| desired <= maximum) {
            self.used = self.used.max(desired);
        }
        Ok(fits)
    }

    fn table_growing(&mut self, _current: usize, desired: usize, _maximum: Option<usize>) -> wasmtime::Result<bool> {
        Ok(desired <= MAX_TABLE_ELEMENTS)
    }
}
