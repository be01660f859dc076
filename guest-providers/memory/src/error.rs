//! The contract's errors, as far as this adapter has them: by what the caller can do.

use weir_guest::{Error, Failure};

/// The request is wrong, and would be wrong again.
pub use weir_guest::failure::refused as invalid;

/// What the request names is not there.
pub fn not_found(message: impl Into<String>) -> Error {
    let message = message.into();
    Error::NotFound(Failure {
        message,
        status: None,
        code: None,
        request_id: None,
        retry_after: None,
    })
}

/// The points could not be read or written.
pub fn storage(message: impl Into<String>) -> Error {
    Error::Storage(message.into())
}
