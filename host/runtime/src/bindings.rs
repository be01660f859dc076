//! Host bindings, one module a version of the contract. The newest is the one the rest of the crate speaks.

pub mod v0_1_0;
