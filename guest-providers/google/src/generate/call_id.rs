//! A call's id, which carries the signature of the thought behind it.
//!
//! Models from Gemini 3 on refuse a conversation whose calls have lost their signatures
//! (<https://ai.google.dev/gemini-api/docs/thought-signatures>), and the contract, as the APIs most callers know, has no
//! place for one. Callers hand ids back as they are, so the signature travels in the id.

/// Stands between the two. Signatures are base64 and cannot contain it.
const SEPARATOR: &str = "__thought__";

/// Told in the place of a signature for calls that another model made; Google's word for it.
pub(super) const UNSIGNED: &str = "skip_thought_signature_validator";

/// The id a caller sees. Older models give none: then it is made of the answer's own id.
pub(super) fn join(id: Option<&str>, answer: Option<&str>, index: u32, signature: Option<&str>) -> String {
    let made = || format!("call_{}_{index}", answer.unwrap_or_default());
    let id = id.map_or_else(made, str::to_owned);
    match signature {
        Some(signature) => format!("{id}{SEPARATOR}{signature}"),
        None => id,
    }
}

/// The id and the signature, if it carries one.
pub(super) fn split(id: &str) -> (&str, Option<&str>) {
    match id.split_once(SEPARATOR) {
        Some((id, signature)) => (id, Some(signature)),
        None => (id, None),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_joined_is_split_again() {
        assert_eq!(
            split(&join(Some("a_1"), None, 0, Some("c2ln+/=="))),
            ("a_1", Some("c2ln+/=="))
        );
        assert_eq!(split(&join(None, Some("r"), 2, None)), ("call_r_2", None));
    }
}
