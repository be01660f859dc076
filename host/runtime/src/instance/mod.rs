//! Instances of a component: what one holds, what it may use up, and how a call leases one.
//!
//! | file | subject |
//! |---|---|
//! | `guest` | the linked component, from which instances are made |
//! | `state` | a store's data |
//! | `memory` | the bound on linear memory |
//! | `cpu` | the bound on processor time |
//! | `log` | what a guest writes to its standard streams |
//! | `lease` | one instance to one call |

pub(crate) mod cpu;
pub(crate) mod guest;
pub mod lease;
pub(crate) mod log;
pub(crate) mod memory;
pub(crate) mod state;
