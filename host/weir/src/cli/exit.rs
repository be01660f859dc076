//! How the program ends: its exit status, and the one message that says why.

use std::error::Error as _;
use std::io::{self, ErrorKind};
use std::time::Duration;

use serde_json::{Value, json};
use weir_runtime::CallError;

use crate::config::ConfigError;
use crate::host::HostError;
use crate::index::IndexError;
use crate::operations::OperationError;
use crate::remedy;
use crate::search::SearchError;

/// The program's exit status.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ExitStatus {
    /// Done.
    Done,
    /// It failed.
    Failed,
    /// Wrong usage or configuration.
    Usage,
    /// Interrupted by Ctrl-C: 128 and the signal's number, as shells count.
    Interrupted,
}

impl ExitStatus {
    /// The number.
    pub fn code(self) -> u8 {
        match self {
            ExitStatus::Done => 0,
            ExitStatus::Failed => 1,
            ExitStatus::Usage => 2,
            ExitStatus::Interrupted => 130,
        }
    }

    /// How long connections are given to end. Nobody waits for what was interrupted.
    pub(super) fn grace(self) -> Duration {
        match self {
            ExitStatus::Interrupted => Duration::ZERO,
            _ => Duration::from_secs(5),
        }
    }

    /// What an error means for the exit.
    pub fn of(error: &anyhow::Error) -> ExitStatus {
        let host = host_of(error).is_some_and(|(host, _)| host.is_configuration());
        let operation = error
            .downcast_ref::<OperationError>()
            .is_some_and(OperationError::is_usage);
        let misconfigured = error.is::<ConfigError>() || error.is::<Misconfigured>();
        if misconfigured || is_usage(error) || host || operation {
            ExitStatus::Usage
        } else if error.is::<Interrupted>() || matches!(error.downcast_ref(), Some(IndexError::Interrupted)) {
            ExitStatus::Interrupted
        } else if is_closed_pipe(error) {
            // Who reads our output has seen enough.
            ExitStatus::Done
        } else {
            ExitStatus::Failed
        }
    }
}

/// The command line, or what it leads to, can't be used.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct UsageError(pub String);

/// What an operation was asked of is not there.
#[derive(Debug, thiserror::Error)]
#[error("{error}")]
pub struct NotLoaded {
    /// The operation, which was not tried.
    pub operation: String,
    /// Why not.
    pub error: HostError,
}

/// The command did its work and found something wrong. Its results have told it, so there is no message.
#[derive(Debug, thiserror::Error)]
#[error("failed")]
pub struct Failed;

/// As [`Failed`], where the configuration is to blame.
#[derive(Debug, thiserror::Error)]
#[error("the configuration is wrong")]
pub struct Misconfigured;

/// The command came to its end because it was interrupted. There is nothing more to say.
#[derive(Debug, thiserror::Error)]
#[error("interrupted")]
pub struct Interrupted;

/// What to write to standard error; nothing where all is said.
pub fn message(error: &anyhow::Error, as_json: bool) -> Option<String> {
    let told = error.is::<Failed>() || error.is::<Misconfigured>() || error.is::<Interrupted>();
    if told || is_closed_pipe(error) {
        return None;
    }
    Some(if as_json {
        to_json(error).to_string()
    } else {
        format!("weir: {}", call_of(error).map_or_else(|| sentence(error), remedy::tell))
    })
}

/// The call that failed, where the error is nothing but that.
fn call_of(error: &anyhow::Error) -> Option<&CallError> {
    match (error.downcast_ref(), error.downcast_ref()) {
        (Some(OperationError::Call(call)), _) => Some(call),
        (_, Some(SearchError::Call(call))) => Some(call),
        _ => None,
    }
}

/// Why a provider can't be used, and the operation that was wanted of it.
fn host_of(error: &anyhow::Error) -> Option<(&HostError, Option<&str>)> {
    match error.downcast_ref::<NotLoaded>() {
        Some(NotLoaded { operation, error }) => Some((error, Some(operation))),
        None => Some((error.downcast_ref()?, None)),
    }
}

fn to_json(error: &anyhow::Error) -> Value {
    if let Some(error) = error.downcast_ref::<OperationError>() {
        return error.to_json();
    }
    if let Some(call) = call_of(error) {
        return OperationError::from(call.clone()).to_json();
    }
    let message = sentence(error);
    if let Some((host, operation)) = host_of(error) {
        // No operation of the provider was tried.
        let mut told = json!({
            "error": { "kind": host.kind(), "message": message, "provider": host.provider(), "attempts": 0 }
        });
        if let Some(operation) = operation {
            told["error"]["operation"] = operation.into();
        }
        return told;
    }
    let kind = if error.is::<ConfigError>() {
        "configuration"
    } else if is_usage(error) {
        "usage"
    } else {
        "failed"
    };
    json!({ "error": { "kind": kind, "message": message } })
}

/// The error and its causes as one sentence; a cause that its effect already quotes is left out.
fn sentence(error: &anyhow::Error) -> String {
    let mut sentence = String::new();
    for cause in error.chain().map(ToString::to_string) {
        if sentence.is_empty() {
            sentence = cause;
        } else if !sentence.contains(&cause) {
            sentence = format!("{sentence}: {cause}");
        }
    }
    sentence
}

/// Whether the command line can't be used, be it for a path that is not there.
fn is_usage(error: &anyhow::Error) -> bool {
    let walk = match error.downcast_ref() {
        Some(IndexError::Walk(walk)) => walk.source(),
        _ => None,
    };
    let no_path = walk
        .and_then(|source| source.downcast_ref::<io::Error>())
        .is_some_and(|error| matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory));
    error.is::<UsageError>() || no_path
}

fn is_closed_pipe(error: &anyhow::Error) -> bool {
    error
        .downcast_ref::<io::Error>()
        .is_some_and(|error| error.kind() == ErrorKind::BrokenPipe)
}

#[cfg(test)]
mod tests {
    use anyhow::Context as _;

    use super::*;
    use crate::operations::Refusal;

    #[test]
    fn wrong_usage_and_wrong_configuration_are_told_from_failures() {
        let config = ConfigError::NoFile {
            path: "x.toml".into(),
            by: "--config",
        };
        assert_eq!(ExitStatus::of(&config.into()), ExitStatus::Usage);
        assert_eq!(ExitStatus::of(&UsageError("no".into()).into()), ExitStatus::Usage);
        assert_eq!(ExitStatus::of(&Misconfigured.into()), ExitStatus::Usage);
        let nowhere = crate::index::walk::walk(std::path::Path::new("/no/such/folder")).unwrap_err();
        assert_eq!(ExitStatus::of(&IndexError::Walk(nowhere).into()), ExitStatus::Usage);
        for (refusal, status) in [
            (Refusal::Input("empty".into()), ExitStatus::Usage),
            (Refusal::Answer("empty".into()), ExitStatus::Failed),
        ] {
            let refused = OperationError::Refused {
                provider: "x".into(),
                operation: "embed",
                refusal,
            };
            assert_eq!(ExitStatus::of(&refused.into()), status);
        }
        assert_eq!(ExitStatus::of(&anyhow::anyhow!("no")), ExitStatus::Failed);
        let unknown = HostError::UnknownProvider {
            name: "x".into(),
            suggestion: String::new(),
            hint: String::new(),
        };
        assert_eq!(ExitStatus::of(&unknown.into()), ExitStatus::Usage);
        let pipe = std::io::Error::from(std::io::ErrorKind::BrokenPipe);
        assert_eq!(ExitStatus::of(&pipe.into()), ExitStatus::Done);
    }

    #[test]
    fn causes_are_told_once() {
        let cause = std::io::Error::other("disk full");
        let error = anyhow::Error::new(cause)
            .context("can't write: disk full")
            .context("indexing failed");
        assert_eq!(
            message(&error, false).unwrap(),
            "weir: indexing failed: can't write: disk full"
        );
    }

    #[test]
    fn errors_have_a_json_form() {
        let result: Result<(), _> = Err(ConfigError::NoFile {
            path: "x.toml".into(),
            by: "--config",
        });
        let error = result.map_err(anyhow::Error::from).unwrap_err();
        assert_eq!(
            message(&error, true).unwrap(),
            r#"{"error":{"kind":"configuration","message":"--config names x.toml, which is not a file"}}"#
        );
        let wrapped = Err::<(), _>(std::io::Error::other("x")).context("reading").unwrap_err();
        assert_eq!(
            message(&wrapped, true).unwrap(),
            r#"{"error":{"kind":"failed","message":"reading: x"}}"#
        );
        assert_eq!(message(&Failed.into(), true), None);
    }
}
