//! The last requests that failed at a provider. Not why in its own words, which may repeat what a caller sent: whoever
//! holds a key may look.

use std::borrow::Cow;
use std::collections::VecDeque;
use std::sync::{Mutex, PoisonError};

use axum::http::StatusCode;
use serde::Serialize;

use super::history::since_1970;

/// As many as a page shows without scrolling far.
const KEPT: usize = 25;

/// The last of them, the newest first.
#[derive(Default)]
pub(crate) struct RecentErrors(Mutex<VecDeque<RecentError>>);

/// A request that failed.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct RecentError {
    /// Seconds since 1970.
    pub time: f64,
    pub request_id: String,
    pub provider: String,
    pub operation: Cow<'static, str>,
    /// That of the answer; of one that failed in mid-stream, the one it would have had.
    pub status: u16,
    pub code: Cow<'static, str>,
}

impl RecentErrors {
    pub fn add(
        &self,
        request_id: &str,
        provider: &str,
        operation: Cow<'static, str>,
        status: StatusCode,
        code: Cow<'static, str>,
    ) {
        let error = RecentError {
            time: since_1970(),
            request_id: request_id.to_owned(),
            provider: provider.to_owned(),
            operation,
            status: status.as_u16(),
            code,
        };
        let mut errors = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        errors.truncate(KEPT - 1);
        errors.push_front(error);
    }

    pub fn all(&self) -> Vec<RecentError> {
        let errors = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        errors.iter().cloned().collect()
    }
}
