//! Why an operation failed, and its JSON form.

use std::fmt;

use serde_json::{Value, json};
use weir_runtime::{CallError, CallErrorKind};

/// An operation failed.
#[derive(Debug, Clone, thiserror::Error)]
pub enum OperationError {
    /// There is no such operation.
    #[error("there is no operation `{operation}`{suggestion}")]
    Unknown {
        /// The provider that was asked.
        provider: String,
        /// What was asked for.
        operation: String,
        /// The end of the sentence: what was perhaps meant.
        suggestion: String,
    },
    /// The input, or the component's answer, is not what the operation takes or gives.
    #[error("{provider} {operation}: {refusal}")]
    Refused {
        /// The provider.
        provider: String,
        /// The operation.
        operation: &'static str,
        /// Which of the two, and why.
        refusal: Refusal,
    },
    /// The call failed.
    #[error("{0}")]
    Call(Box<CallError>),
}

/// Data that does not fit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Refusal {
    /// The caller's input. The component never saw it.
    Input(String),
    /// The component's answer.
    Answer(String),
}

impl Refusal {
    pub(super) fn input(message: impl Into<String>) -> Refusal {
        Refusal::Input(message.into())
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Refusal::Input(message) => write!(f, "the input was refused: {message}"),
            Refusal::Answer(message) => write!(f, "the answer is malformed: {message}"),
        }
    }
}

impl From<CallError> for OperationError {
    fn from(error: CallError) -> Self {
        OperationError::Call(Box::new(error))
    }
}

impl OperationError {
    /// The error's public name.
    pub fn kind(&self) -> &'static str {
        match self {
            OperationError::Unknown { .. } => "not-found",
            OperationError::Refused {
                refusal: Refusal::Input(_),
                ..
            } => "invalid-input",
            OperationError::Refused {
                refusal: Refusal::Answer(_),
                ..
            } => "malformed-response",
            OperationError::Call(error) => error.kind(),
        }
    }

    /// Whether what was asked for is to blame: no component was asked.
    pub fn is_usage(&self) -> bool {
        matches!(
            self,
            OperationError::Unknown { .. }
                | OperationError::Refused {
                    refusal: Refusal::Input(_),
                    ..
                }
        )
    }

    /// The call's own error, if the call was made and failed.
    pub fn call(&self) -> Option<&CallError> {
        match self {
            OperationError::Call(error) => Some(error),
            _ => None,
        }
    }

    /// `{"error": {"kind", "message", "provider", "operation", "status"?, "request_id"?, "retry_after"?, "attempts"}}`;
    /// `retry_after` in seconds, `attempts` counting calls of the component.
    pub fn to_json(&self) -> Value {
        let (provider, operation, message, attempts) = match self {
            OperationError::Unknown {
                provider, operation, ..
            } => (provider.as_str(), operation.as_str(), self.to_string(), 0),
            OperationError::Refused {
                provider,
                operation,
                refusal,
            } => {
                let attempts = u32::from(matches!(refusal, Refusal::Answer(_)));
                (provider.as_str(), *operation, refusal.to_string(), attempts)
            }
            OperationError::Call(error) => {
                // What the component does not offer, or found no instance for, never reached it.
                let reached = !matches!(
                    error.kind,
                    CallErrorKind::Unsupported { .. }
                        | CallErrorKind::Overloaded { .. }
                        | CallErrorKind::Instantiate(_)
                );
                (
                    error.provider.as_str(),
                    error.operation,
                    error.message(),
                    u32::from(reached),
                )
            }
        };
        let mut fields = json!({
            "kind": self.kind(),
            "message": message,
            "provider": provider,
            "operation": operation,
            "attempts": attempts,
        });
        if let (Some(error), Value::Object(fields)) = (self.call(), &mut fields) {
            let status = error.status().map(Value::from);
            let request_id = error.request_id().map(Value::from);
            let retry_after = error.retry_after().map(|wait| Value::from(wait.as_secs_f64()));
            for (name, value) in [
                ("status", status),
                ("request_id", request_id),
                ("retry_after", retry_after),
            ] {
                if let Some(value) = value {
                    fields.insert(name.to_owned(), value);
                }
            }
        }
        json!({ "error": fields })
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use weir_runtime::types::{Error, Failure};

    use super::*;

    #[test]
    fn a_providers_refusal_keeps_its_status_and_its_request() {
        let failure = Failure {
            message: "slow down".into(),
            status: Some(429),
            code: None,
            request_id: Some("req-1".into()),
            retry_after: Some(1_500_000_000),
        };
        let kind = CallErrorKind::Provider(Error::RateLimited(failure));
        let error = OperationError::from(CallError::new("voyage", "embed", kind));

        let json = error.to_json();

        assert_eq!(json["error"]["kind"], "rate-limited");
        assert_eq!(json["error"]["provider"], "voyage");
        assert_eq!(json["error"]["operation"], "embed");
        assert_eq!(json["error"]["status"], 429);
        assert_eq!(json["error"]["request_id"], "req-1");
        assert_eq!(json["error"]["retry_after"], 1.5);
        assert_eq!(json["error"]["attempts"], 1);
    }

    #[test]
    fn what_is_not_known_is_left_out() {
        let kind = CallErrorKind::Deadline {
            limit: Duration::from_secs(120),
        };
        let json = OperationError::from(CallError::new("a", "chat", kind)).to_json();
        let fields: Vec<&String> = json["error"].as_object().unwrap().keys().collect();
        assert_eq!(fields, ["attempts", "kind", "message", "operation", "provider"]);
    }

    #[test]
    fn what_never_reached_the_component_counts_no_attempt() {
        let kind = CallErrorKind::Unsupported {
            capability: weir_runtime::Capability::Reranking,
        };
        let json = OperationError::from(CallError::new("a", "rerank", kind)).to_json();
        assert_eq!(
            (json["error"]["kind"].as_str(), json["error"]["attempts"].as_u64()),
            (Some("unsupported"), Some(0))
        );
    }

    #[test]
    fn refused_input_was_never_tried() {
        let refusal = Refusal::input("`inputs` is empty");
        let json = OperationError::Refused {
            provider: "a".into(),
            operation: "embed",
            refusal,
        }
        .to_json();
        assert_eq!(json["error"]["kind"], "invalid-input");
        assert_eq!(json["error"]["message"], "the input was refused: `inputs` is empty");
        assert_eq!(json["error"]["attempts"], 0);
    }
}
