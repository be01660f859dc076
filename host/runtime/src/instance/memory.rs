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
    refused_table: bool,
}

impl MemoryLimiter {
    pub(crate) fn new(limit: usize) -> Self {
        MemoryLimiter {
            limit,
            used: 0,
            refused: false,
            refused_table: false,
        }
    }

    /// Whether the guest asked for more than it may have.
    pub(crate) fn refused(&self) -> bool {
        self.refused
    }

    /// Whether the guest asked for a larger table than it may have.
    pub(crate) fn refused_table(&self) -> bool {
        self.refused_table
    }

    /// Judges the next call by itself alone.
    pub(crate) fn forget_refusal(&mut self) {
        self.refused = false;
        self.refused_table = false;
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
        let fits = desired <= MAX_TABLE_ELEMENTS;
        self.refused_table |= !fits;
        Ok(fits)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_table_grows_to_its_bound_and_a_refusal_is_remembered_for_its_call() {
        let mut limiter = MemoryLimiter::new(1 << 20);
        assert!(limiter.table_growing(0, MAX_TABLE_ELEMENTS, None).unwrap());
        assert!(!limiter.refused_table());
        assert!(!limiter.table_growing(0, MAX_TABLE_ELEMENTS + 1, None).unwrap());
        assert!(limiter.refused_table() && !limiter.refused());
        limiter.forget_refusal();
        assert!(!limiter.refused_table());
    }
}
