//! What the program tells about itself to those who run it.
//!
//! | module | subject |
//! |---|---|
//! | [`metrics`] | pools and providers as Prometheus metrics |
//! | [`exposition`] | the two text formats they are asked for in |
//! | [`otlp`] | spans and metrics to an OpenTelemetry collector |
//! | [`trace`] | a request's place in its caller's trace |

pub(crate) mod exposition;
pub(crate) mod metrics;
pub mod otlp;
pub(crate) mod trace;
