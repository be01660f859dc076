//! The dashboard: what the pools and the providers did in the last minutes, as one page that keeps itself current.
//!
//! | module | subject |
//! |---|---|
//! | [`history`] | a reading a second, and what follows from two of them |
//! | [`recent_errors`] | the last requests that failed |
//! | [`picture`] | all of it at one moment, as JSON |
//! | [`events`] | `GET /v1/events`: the pictures as they come |
//! | [`page`] | `GET /`: the page that shows them |

pub(crate) mod events;
pub(crate) mod history;
pub(crate) mod page;
mod picture;
pub(crate) mod recent_errors;
