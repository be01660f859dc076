//! From bytes to an admitted, compiled component.
//!
//! | file | subject |
//! |---|---|
//! | `inspect` | reading imports and exports without running anything |
//! | `engine` | the one engine, and the thread that ends time slices |
//! | `cache` | compiled code kept on disk |
//! | `image` | the memory that instances start with |
//! | `linker` | what a guest's imports are met with |
//! | `traps` | what those are met with that are named and not lent |

pub(crate) mod cache;
pub(crate) mod compiler;
pub(crate) mod engine;
pub(crate) mod image;
pub mod inspect;
pub(crate) mod linker;
pub(crate) mod traps;

/// A component's identity in logs, caches and listings.
pub(crate) fn digest(bytes: &[u8]) -> String {
    format!("blake3:{}", blake3::hash(bytes).to_hex())
}
