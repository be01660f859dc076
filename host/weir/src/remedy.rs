//! What can be done about a call that failed, by the kind of its error.

use weir_runtime::CallError;

/// The remedy, where there is one that its message does not tell already.
pub fn of(error: &CallError) -> Option<&'static str> {
    Some(match error.kind() {
        "unauthorized" | "credential-denied" => "check the provider's key (`weir doctor` tells which it is)",
        "rate-limited" if error.retry_after().is_none() => "try again later, or ask for a higher limit",
        "too-large" => "send fewer or shorter inputs",
        "not-found" => "check the model and the base URL in the provider's configuration",
        "invalid-request" => "check the base URL in the provider's configuration",
        "malformed-response" => "try again; if it stays so, check the base URL in the provider's configuration",
        "upstream" => "the provider has trouble of its own: try again later",
        "unsupported" => "choose another provider for this",
        "egress-denied" => "grant the provider that origin under `egress` in its configuration",
        "connect-failed" | "connect-timeout" => "check that the service runs and can be reached from here",
        "pool-timeout" => "ask less at once, or raise `max_connections` or `pool_timeout` of its pool",
        "first-byte-timeout" | "read-timeout" => "raise `read_timeout` of its pool if the service is only slow",
        "storage" => "check the disk and the permissions of the data folder",
        "instantiate" | "closed" => "see the log for what the host could not do",
        _ => return None,
    })
}

/// The error with its remedy, as one sentence.
pub fn tell(error: &CallError) -> String {
    let said = error.to_string();
    match of(error) {
        // Two of the messages name the setting already.
        Some(remedy) if !said.contains("allow_private") && !said.contains("egress.allow") => {
            format!("{}; {remedy}", said.trim_end_matches('.'))
        }
        _ => said,
    }
}

#[cfg(test)]
mod tests {
    use weir_runtime::CallErrorKind;
    use weir_runtime::types::{Error, Failure, HttpError};

    use super::*;

    fn told(error: Error) -> String {
        tell(&CallError::new("p", "embed", CallErrorKind::Provider(error)))
    }

    #[test]
    fn the_remedy_follows_what_was_said() {
        let failure = Failure {
            message: "No such key.".into(),
            status: Some(401),
            code: None,
            request_id: None,
            retry_after: None,
        };
        assert_eq!(
            told(Error::Unauthorized(failure)),
            "p embed: the key was refused (HTTP 401): No such key; check the provider's key (`weir doctor` tells which \
             it is)"
        );
    }

    #[test]
    fn a_message_that_names_its_setting_is_left_alone() {
        let message = "10.0.0.1 is private (egress.allow_private)";
        assert_eq!(
            told(Error::Http(HttpError::EgressDenied(message.into()))),
            format!("p embed: {message}")
        );
    }
}
