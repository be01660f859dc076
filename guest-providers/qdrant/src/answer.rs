//! What Qdrant wraps around every answer: `{"result", "status": "ok", "time"}`.

use serde::Deserialize;
use serde_json::value::RawValue;
use weir_guest::types::Error;
use weir_guest::{failure, json};

#[derive(Deserialize)]
struct Answer<'a, T> {
    result: Option<T>,
    #[serde(borrow)]
    status: &'a RawValue,
}

/// The result.
///
/// # Errors
/// `upstream` if the status is not `ok`, for all that the answer was a 200; `malformed-response`.
pub(crate) fn read<'a, T: Deserialize<'a>>(body: &'a [u8]) -> Result<T, Error> {
    let Answer { result, status } = json::read::<Answer<T>>(body)?;
    if status.get() != r#""ok""# {
        return Err(failure::inside_answer(status.get().as_bytes()));
    }
    result.ok_or_else(|| failure::malformed("`result`: missing"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_result_is_taken_out_of_its_wrapping() {
        assert!(read::<bool>(br#"{"result": true, "status": "ok", "time": 8.873e-6}"#).unwrap());
    }

    #[test]
    fn a_200_may_still_be_a_failure() {
        let error = read::<bool>(br#"{"result": null, "status": {"error": "no"}, "time": 0.1}"#).unwrap_err();
        assert!(matches!(error, Error::Upstream(failure) if failure.message == "no"));
        let error = read::<bool>(br#"{"status": "ok", "time": 0.1}"#).unwrap_err();
        assert!(matches!(error, Error::MalformedResponse(text) if text.contains("`result`")));
    }
}
