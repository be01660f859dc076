//! Calls that failed, for tests.

use weir_runtime::types::{Error, Failure};
use weir_runtime::{CallError, CallErrorKind};

/// A provider's refusal of this kind.
pub(crate) fn refused(operation: &'static str, make: impl Fn(Failure) -> Error) -> CallError {
    let failure = Failure {
        message: "no".into(),
        status: None,
        code: None,
        request_id: None,
        retry_after: None,
    };
    CallError::new("fake", operation, CallErrorKind::Provider(make(failure)))
}
