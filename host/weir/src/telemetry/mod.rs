//! What the program tells about itself to those who run it.
//!
//! | module | subject |
//! |---|---|
//! | [`metrics`] | pools and providers as Prometheus metrics |
//! | [`exposition`] | the two text formats they are asked for in |

pub(crate) mod exposition;
pub(crate) mod metrics;
