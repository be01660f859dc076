//! Errors at the crate's edge: what happened, to whom, and what can be done.

use std::ops::Range;
use std::path::PathBuf;
use std::time::Duration;

use crate::bindings::v0_1_0::types::{Error as ProviderError, Failure, HttpError};
use crate::capability::Capability;
use crate::origin::{InvalidOrigin, Origin};

/// The runtime could not be made.
#[derive(Debug, thiserror::Error)]
pub enum RuntimeError {
    /// The engine refused its settings, or the machine its memory reservations.
    #[error("the WebAssembly engine could not start: {0}")]
    Engine(String),
    /// The compile cache's folder can't be used.
    #[error("the compile cache {folder} can't be used: {reason}")]
    Cache {
        /// Where it is.
        folder: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// The thread that ends the guests' time slices could not start.
    #[error("the epoch thread could not start: {0}")]
    Ticker(#[source] std::io::Error),
}

/// A component was not admitted, or can't be given what it needs.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// Refused without being run. Each reason names an import, a version or a defect.
    #[error("provider `{provider}`: the component is not admitted: {}", reasons.join("; "))]
    NotAdmitted {
        /// The provider.
        provider: String,
        /// Why.
        reasons: Vec<String>,
    },
    /// It could not be compiled or linked.
    #[error("provider `{provider}`: the component does not compile: {reason}")]
    Compile {
        /// The provider.
        provider: String,
        /// The compiler's words.
        reason: String,
    },
    /// It failed to describe itself.
    #[error("provider `{provider}`: the component could not describe itself: {reason}")]
    Describe {
        /// The provider.
        provider: String,
        /// What happened.
        reason: String,
    },
    /// A secret that its manifest requires was not granted.
    #[error(
        "provider `{provider}` needs the secret `{secret}` ({description}); grant it under [providers.{provider}.secrets]"
    )]
    MissingSecret {
        /// The provider.
        provider: String,
        /// The secret's name.
        secret: String,
        /// What the manifest says of it.
        description: String,
    },
    /// It was given a setting it does not know.
    #[error("provider `{provider}` takes no setting `{setting}`; it takes {known}")]
    UnknownSetting {
        /// The provider.
        provider: String,
        /// The setting.
        setting: String,
        /// Those there are.
        known: String,
    },
    /// An origin in its settings or its manifest is none.
    #[error("provider `{provider}`: {source}")]
    Origin {
        /// The provider.
        provider: String,
        /// What is wrong.
        source: InvalidOrigin,
    },
    /// It asks for origins that nobody granted.
    #[error(
        "provider `{provider}` asks to send requests to {asked}, which nobody granted; if it may, set \
         egress.allow = [{asked}] under [providers.{provider}]"
    )]
    NoEgress {
        /// The provider.
        provider: String,
        /// The origins, quoted.
        asked: String,
    },
    /// A secret is bound to an origin that its provider may not send to.
    #[error(
        "provider `{provider}`: the secret `{secret}` is bound to {origin}, which is not granted to the provider; it \
         may send to {granted} (egress.allow)"
    )]
    SecretOrigin {
        /// The provider.
        provider: String,
        /// The secret's name.
        secret: String,
        /// The origin.
        origin: Origin,
        /// The provider's origins.
        granted: String,
    },
    /// It keeps state, and was granted no storage.
    #[error("provider `{provider}` keeps state and needs storage; grant it a file")]
    NoStorage {
        /// The provider.
        provider: String,
    },
    /// Its storage can't be opened.
    #[error("provider `{provider}`: its storage {file} can't be opened: {reason}")]
    Storage {
        /// The provider.
        provider: String,
        /// The file.
        file: PathBuf,
        /// Why.
        reason: String,
    },
    /// Its pool can't be made.
    #[error("provider `{provider}`: {source}")]
    Pool {
        /// The provider.
        provider: String,
        /// What is wrong.
        source: weir_pool::PoolError,
    },
}

/// A call failed.
#[derive(Debug, Clone)]
pub struct CallError {
    /// The provider that was called.
    pub provider: String,
    /// The operation, by its public name.
    pub operation: &'static str,
    /// What happened.
    pub kind: CallErrorKind,
    /// Which part of a list it happened to, where the list was sent in parts.
    pub part: Option<Box<Part>>,
}

/// A part of a list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Part {
    /// What the list is of: `inputs`, `documents`.
    pub of: &'static str,
    /// The places in the list, from 0.
    pub places: Range<usize>,
    /// How long the list is.
    pub whole: usize,
}

/// `inputs 128 to 255 of 1,000`: the first and the last.
impl std::fmt::Display for Part {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Part { of, places, whole } = self;
        let (first, last) = (grouped(places.start), grouped(places.end.saturating_sub(1)));
        let whole = grouped(*whole);
        if places.len() == 1 {
            write!(f, "{} {first} of {whole}", of.trim_end_matches('s'))
        } else {
            write!(f, "{of} {first} to {last} of {whole}")
        }
    }
}

/// A number with a comma between its thousands.
fn grouped(number: usize) -> String {
    let digits = number.to_string();
    let mut grouped = String::with_capacity(digits.len() + digits.len() / 3);
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            grouped.push(',');
        }
        grouped.push(digit);
    }
    grouped
}

/// What happened to a call.
#[derive(Debug, Clone, thiserror::Error)]
pub enum CallErrorKind {
    /// The adapter's own answer: it ran, and says why it failed.
    #[error("{}", describe(.0))]
    Provider(ProviderError),
    /// The component trapped. Its instance is gone; the next call gets another.
    #[error("the component trapped: {message}")]
    Trap {
        /// wasmtime's words, with the last the component wrote to its standard error.
        message: String,
    },
    /// The call took longer than `limits.call_timeout`.
    #[error("the call took longer than {limit:?} (limits.call_timeout)")]
    Deadline {
        /// The limit.
        limit: Duration,
    },
    /// The component computed for longer than `limits.cpu_time`.
    #[error("the component computed for longer than {limit:?} (limits.cpu_time)")]
    CpuTime {
        /// The limit.
        limit: Duration,
    },
    /// The component asked for more memory than `limits.memory`.
    #[error("the component asked for more than {limit} bytes of memory (limits.memory)")]
    OutOfMemory {
        /// The limit in bytes.
        limit: usize,
    },
    /// The component used up something else that is bounded.
    #[error("the component asked for more than {limit} {what} ({setting})")]
    LimitExceeded {
        /// Of what.
        what: &'static str,
        /// The limit.
        limit: usize,
        /// The key that sets it, or `fixed`.
        setting: &'static str,
    },
    /// No instance became free in time.
    #[error("all {limit} instances were busy for {waited:?} (limits.max_instances)")]
    Overloaded {
        /// How long the call waited.
        waited: Duration,
        /// How many instances there are.
        limit: usize,
    },
    /// All instances of all providers are in use.
    #[error("the host has no room for another instance ({limit} at most, all providers together)")]
    HostFull {
        /// How many there can be.
        limit: u32,
    },
    /// The component does not export what the operation needs.
    #[error("the component offers no {capability}")]
    Unsupported {
        /// What is missing.
        capability: Capability,
    },
    /// The host could not make an instance.
    #[error("no instance could be made: {0}")]
    Instantiate(String),
}

impl std::fmt::Display for CallError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} {}: {}", self.provider, self.operation, self.message())
    }
}

impl std::error::Error for CallError {}

impl CallError {
    /// A call of this operation of this provider failed.
    pub fn new(provider: impl Into<String>, operation: &'static str, kind: CallErrorKind) -> Self {
        Self {
            provider: provider.into(),
            operation,
            kind,
            part: None,
        }
    }

    /// What happened, and to which part, without saying whose call it was.
    pub fn message(&self) -> String {
        match &self.part {
            Some(part) => format!("{part}: {}", self.kind),
            None => self.kind.to_string(),
        }
    }

    /// The error's public name, as in the JSON form and in metrics.
    pub fn kind(&self) -> &'static str {
        match &self.kind {
            CallErrorKind::Provider(error) => match error {
                ProviderError::InvalidInput(_) => "invalid-input",
                ProviderError::TooLarge(_) => "too-large",
                ProviderError::Unauthorized(_) => "unauthorized",
                ProviderError::RateLimited(_) => "rate-limited",
                ProviderError::NotFound(_) => "not-found",
                ProviderError::Upstream(_) => "upstream",
                ProviderError::Http(error) => http_kind(error),
                ProviderError::Unsupported(_) => "unsupported",
                ProviderError::MalformedResponse(_) => "malformed-response",
                ProviderError::Storage(_) => "storage",
            },
            CallErrorKind::Trap { .. } => "trap",
            CallErrorKind::Deadline { .. } => "deadline",
            CallErrorKind::CpuTime { .. } => "cpu-time",
            CallErrorKind::OutOfMemory { .. } => "out-of-memory",
            CallErrorKind::LimitExceeded { .. } => "limit-exceeded",
            CallErrorKind::Overloaded { .. } | CallErrorKind::HostFull { .. } => "overloaded",
            CallErrorKind::Unsupported { .. } => "unsupported",
            CallErrorKind::Instantiate(_) => "instantiate",
        }
    }

    /// What the provider said, where it said something.
    pub fn failure(&self) -> Option<&Failure> {
        match &self.kind {
            CallErrorKind::Provider(
                ProviderError::InvalidInput(failure)
                | ProviderError::TooLarge(failure)
                | ProviderError::Unauthorized(failure)
                | ProviderError::RateLimited(failure)
                | ProviderError::NotFound(failure)
                | ProviderError::Upstream(failure),
            ) => Some(failure),
            _ => None,
        }
    }

    /// The HTTP status of the provider's refusal.
    pub fn status(&self) -> Option<u16> {
        self.failure()?.status
    }

    /// The provider's own name of the request.
    pub fn request_id(&self) -> Option<&str> {
        self.failure()?.request_id.as_deref()
    }

    /// How long the provider asks to wait.
    pub fn retry_after(&self) -> Option<Duration> {
        let nanoseconds = match &self.kind {
            CallErrorKind::Provider(ProviderError::Http(HttpError::Unavailable(unavailable))) => {
                unavailable.retry_after
            }
            _ => self.failure()?.retry_after,
        };
        nanoseconds.map(Duration::from_nanos)
    }
}

fn describe(error: &ProviderError) -> String {
    match error {
        ProviderError::InvalidInput(failure) => with_status("the input was refused", failure),
        ProviderError::TooLarge(failure) => with_status("the request was too large", failure),
        ProviderError::Unauthorized(failure) => with_status("the key was refused", failure),
        ProviderError::RateLimited(failure) => match failure.retry_after.map(Duration::from_nanos) {
            Some(wait) => with_status(&format!("the rate limit is used up, try again in {wait:?}"), failure),
            None => with_status("the rate limit is used up", failure),
        },
        ProviderError::NotFound(failure) => with_status("not found", failure),
        ProviderError::Upstream(failure) => with_status("the provider failed", failure),
        ProviderError::Http(error) => describe_http(error),
        ProviderError::Unsupported(what) => format!("not supported: {}", one_line(what)),
        ProviderError::MalformedResponse(place) => format!("the answer is malformed: {}", one_line(place)),
        ProviderError::Storage(what) => format!("the storage failed: {}", one_line(what)),
    }
}

fn with_status(what: &str, failure: &Failure) -> String {
    let said = one_line(&failure.message);
    match failure.status {
        Some(status) => format!("{what} (HTTP {status}): {said}"),
        None => format!("{what}: {said}"),
    }
}

/// Characters of a provider's own words that an error shows.
const SHOWN: usize = 500;

/// A provider's words as one line that a terminal can show: a page, or what somebody made of one, can hold anything.
fn one_line(text: &str) -> String {
    let words = text.split(|character: char| character.is_whitespace() || character.is_control());
    let line = words.filter(|word| !word.is_empty()).collect::<Vec<_>>().join(" ");
    match line.char_indices().nth(SHOWN) {
        Some((end, _)) => format!("{}…", line.get(..end).unwrap_or_default()),
        None => line,
    }
}

fn describe_http(error: &HttpError) -> String {
    match error {
        HttpError::InvalidRequest(text)
        | HttpError::EgressDenied(text)
        | HttpError::CredentialDenied(text)
        | HttpError::PoolTimeout(text)
        | HttpError::Overloaded(text)
        | HttpError::ConnectTimeout(text)
        | HttpError::ConnectFailed(text)
        | HttpError::WriteTimeout(text)
        | HttpError::FirstByteTimeout(text)
        | HttpError::ReadTimeout(text)
        | HttpError::TotalTimeout(text)
        | HttpError::TooLarge(text)
        | HttpError::Protocol(text) => text.clone(),
        HttpError::ConnectionReset(reset) => reset.message.clone(),
        HttpError::Unavailable(unavailable) => unavailable.message.clone(),
        HttpError::Closed => "the pool is closed: the host is stopping".to_owned(),
    }
}

pub(crate) fn http_kind(error: &HttpError) -> &'static str {
    match error {
        HttpError::InvalidRequest(_) => "invalid-request",
        HttpError::EgressDenied(_) => "egress-denied",
        HttpError::CredentialDenied(_) => "credential-denied",
        HttpError::PoolTimeout(_) => "pool-timeout",
        HttpError::Overloaded(_) => "overloaded",
        HttpError::ConnectTimeout(_) => "connect-timeout",
        HttpError::ConnectFailed(_) => "connect-failed",
        HttpError::WriteTimeout(_) => "write-timeout",
        HttpError::FirstByteTimeout(_) => "first-byte-timeout",
        HttpError::ReadTimeout(_) => "read-timeout",
        HttpError::TotalTimeout(_) => "total-timeout",
        HttpError::ConnectionReset(_) => "connection-reset",
        HttpError::TooLarge(_) => "message-too-large",
        HttpError::Protocol(_) => "protocol",
        HttpError::Unavailable(_) => "unavailable",
        HttpError::Closed => "closed",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_part_is_named_by_its_first_and_its_last_place() {
        let part = |places, whole| {
            let of = "inputs";
            Part { of, places, whole }.to_string()
        };
        assert_eq!(part(128..256, 1_000), "inputs 128 to 255 of 1,000");
        assert_eq!(part(1_024..1_025, 1_234_567), "input 1,024 of 1,234,567");
    }

    #[test]
    fn a_page_is_told_in_one_line_without_control_characters() {
        let failure = Failure {
            message: format!("<html>\r\n  \u{1b}[2J{}", "x".repeat(2 * SHOWN)),
            status: Some(502),
            code: None,
            request_id: None,
            retry_after: None,
        };
        let text = CallErrorKind::Provider(ProviderError::Upstream(failure)).to_string();
        assert!(
            text.starts_with("the provider failed (HTTP 502): <html> [2Jx") && text.ends_with('…'),
            "{text}"
        );
        assert!(!text.chars().any(char::is_control));
        assert!(text.chars().count() < SHOWN + 50);
    }
}
