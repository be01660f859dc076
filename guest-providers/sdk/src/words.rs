//! A provider's own words, out of the body of its refusal.
//!
//! There is no standard: `{"error": {"message", "code"}}`, `{"error": "…"}`, `{"detail": "…"}`, `{"detail": [{"loc",
//! "msg"}]}`, `{"message", "type"}`, `{"status": {"error": "…"}}`, plain text, a page of HTML. Each shape here is
//! one a provider was seen to send. What is read is the same everywhere, since none contradicts another.

use std::fmt;

use serde::de::{Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};

use crate::retry_after;

/// Longest message kept, in bytes. Some providers answer with whole pages, and a message is for a log line.
const MAX_MESSAGE: usize = 2_000;

/// Where a message may be, the likeliest first. Chroma's `error` beside a `message` is a mere name.
const MESSAGE_KEYS: [&str; 7] = ["message", "error", "detail", "msg", "errors", "Message", "status"];

/// Where a code may be. A word tells more than a number, which mostly repeats the status.
const CODE_KEYS: [&str; 5] = ["code", "type", "error_type", "error_code", "status"];

/// What a refusal says.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Words {
    pub message: String,
    pub code: Option<String>,
    /// A request's id told in the body (Cohere's `id` beside `message`).
    pub id: Option<String>,
    /// A code that is an HTTP status, as some give where the answer's own status was already sent.
    pub status: Option<u16>,
    /// How long to wait, in nanoseconds, as Google tells it: in a `RetryInfo` among the error's `details`.
    pub wait: Option<u64>,
}

impl Words {
    /// The words of a body of any kind. The message is empty where there are none.
    pub(crate) fn of(body: &[u8]) -> Self {
        let mut words = Self::default();
        if let Ok(told) = serde_json::from_slice::<Told>(body) {
            words.collect(&told);
            if words.message.is_empty() && matches!(told, Told::Nothing) {
                return words;
            }
        }
        if words.message.is_empty() {
            words.message = text(body);
        }
        words.message = shortened(words.message);
        words
    }

    fn collect(&mut self, told: &Told) {
        match told {
            Told::Text(text) => self.message.clone_from(text),
            Told::List(items) => self.collect_list(items),
            Told::Fields(fields) => self.collect_fields(fields),
            Told::Number(_) | Told::Nothing => {}
        }
    }

    fn collect_list(&mut self, items: &[Told]) {
        let mut messages = Vec::new();
        for item in items {
            let mut of_item = Self::default();
            of_item.collect(item);
            self.code = self.code.take().or(of_item.code);
            self.status = self.status.or(of_item.status);
            self.wait = self.wait.or(of_item.wait);
            if !of_item.message.is_empty() {
                messages.push(of_item.message);
            }
        }
        self.message = messages.join("; ");
    }

    fn collect_fields(&mut self, fields: &[(String, Told)]) {
        let get = |key: &&str| fields.iter().find(|(name, _)| name == key).map(|(_, told)| told);
        for told in MESSAGE_KEYS.iter().filter(|key| **key != "status").filter_map(get) {
            if self.message.is_empty() {
                self.collect(told);
            }
        }
        if let Some(status @ Told::Fields(_)) = get(&"status").filter(|_| self.message.is_empty()) {
            self.collect(status);
        }
        if let Some(Told::List(details)) = get(&"details") {
            self.collect_details(details);
        }
        if let Some(place) = get(&"loc").and_then(Told::place) {
            self.message = format!("{place}: {}", self.message);
        }
        let codes = || CODE_KEYS.iter().filter_map(get).filter_map(Told::scalar);
        self.code = self.code.take().or_else(|| {
            let is_word = |code: &String| !code.bytes().all(|byte| byte.is_ascii_digit());
            codes().find(is_word).or_else(|| codes().next())
        });
        self.status = self
            .status
            .or_else(|| codes().find_map(|code| code.parse().ok().filter(|status| (400..600).contains(status))));
        self.id = self
            .id
            .take()
            .or_else(|| ["request_id", "id"].iter().find_map(get).and_then(Told::scalar));
    }

    /// Google's details (<https://cloud.google.com/apis/design/errors>). The reason in an `ErrorInfo` tells more than
    /// the error's own code.
    fn collect_details(&mut self, details: &[Told]) {
        for detail in details {
            let Told::Fields(fields) = detail else { continue };
            for (name, told) in fields {
                match (name.as_str(), told) {
                    ("reason", Told::Text(reason)) => self.code = self.code.take().or_else(|| Some(reason.clone())),
                    ("retryDelay", Told::Text(delay)) => {
                        self.wait = delay.strip_suffix('s').and_then(retry_after::of_seconds);
                    }
                    _ => {}
                }
            }
        }
    }
}

/// JSON as far as refusals need it. `serde_json::Value` would do the same, and make a component 20 KB larger.
enum Told {
    Text(String),
    Number(u64),
    List(Vec<Told>),
    Fields(Vec<(String, Told)>),
    Nothing,
}

impl Told {
    fn scalar(&self) -> Option<String> {
        match self {
            Self::Text(text) if !text.is_empty() => Some(text.clone()),
            Self::Number(number) => Some(number.to_string()),
            _ => None,
        }
    }

    /// The place FastAPI names: `["body", "input", 0]` is `body.input.0`.
    fn place(&self) -> Option<String> {
        let Self::List(steps) = self else { return None };
        Some(steps.iter().filter_map(Self::scalar).collect::<Vec<_>>().join("."))
    }
}

impl<'de> Deserialize<'de> for Told {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(ToldVisitor)
    }
}

struct ToldVisitor;

impl<'de> Visitor<'de> for ToldVisitor {
    type Value = Told;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("JSON")
    }

    fn visit_str<E>(self, text: &str) -> Result<Told, E> {
        Ok(Told::Text(text.to_owned()))
    }

    fn visit_u64<E>(self, number: u64) -> Result<Told, E> {
        Ok(Told::Number(number))
    }

    fn visit_i64<E>(self, _: i64) -> Result<Told, E> {
        Ok(Told::Nothing)
    }

    fn visit_f64<E>(self, _: f64) -> Result<Told, E> {
        Ok(Told::Nothing)
    }

    fn visit_bool<E>(self, _: bool) -> Result<Told, E> {
        Ok(Told::Nothing)
    }

    fn visit_unit<E>(self) -> Result<Told, E> {
        Ok(Told::Nothing)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut sequence: A) -> Result<Told, A::Error> {
        let mut items = Vec::new();
        while let Some(item) = sequence.next_element()? {
            items.push(item);
        }
        Ok(Told::List(items))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Told, A::Error> {
        let mut fields = Vec::new();
        while let Some(field) = map.next_entry()? {
            fields.push(field);
        }
        Ok(Told::Fields(fields))
    }
}

fn text(body: &[u8]) -> String {
    match str::from_utf8(body) {
        Ok(text) => text.trim().to_owned(),
        Err(_) => format!("{} bytes that are not text", body.len()),
    }
}

fn shortened(mut message: String) -> String {
    if message.len() > MAX_MESSAGE {
        message.truncate(message.floor_char_boundary(MAX_MESSAGE));
        message.push('…');
    }
    message
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_known_shape_gives_its_message_and_code() {
        let cases = [
            (
                r#"{"error": {"message": "no", "type": "t", "code": "c"}}"#,
                "no",
                Some("c"),
            ),
            (
                r#"{"error": {"message": "no", "type": "t", "code": null}}"#,
                "no",
                Some("t"),
            ),
            (
                r#"{"error": {"message": "no", "code": 429, "status": "EXHAUSTED"}}"#,
                "no",
                Some("EXHAUSTED"),
            ),
            (r#"{"error": {"message": "no", "code": "401"}}"#, "no", Some("401")),
            (r#"{"code": "c", "error": "no"}"#, "no", Some("c")),
            (r#"{"error": "no", "error_type": "e"}"#, "no", Some("e")),
            (r#"{"detail": "no"}"#, "no", None),
            (r#"{"detail": {"error": "no"}}"#, "no", None),
            (
                r#"{"detail": [{"loc": ["body", "input", 0], "msg": "bad", "type": "t"}]}"#,
                "body.input.0: bad",
                Some("t"),
            ),
            (r#"{"id": "7", "message": "no"}"#, "no", None),
            // AWS, where it is not the service itself that refuses.
            (r#"{"Message": "no"}"#, "no", None),
            (
                r#"{"object": "error", "message": "no", "type": "t", "code": "3210"}"#,
                "no",
                Some("t"),
            ),
            (r#"{"status": {"error": "no"}, "time": 0.0}"#, "no", None),
            (
                r#"[{"error": {"message": "no", "code": 400, "status": "S"}}]"#,
                "no",
                Some("S"),
            ),
            (r#"{"error": "NotFoundError", "message": "no"}"#, "no", None),
            ("Invalid API key or JWT\n", "Invalid API key or JWT", None),
            ("\"no\"", "no", None),
            ("", "", None),
            ("null", "", None),
        ];
        for (body, message, code) in cases {
            let words = Words::of(body.as_bytes());
            assert_eq!(
                (words.message.as_str(), words.code.as_deref()),
                (message, code),
                "{body}"
            );
        }
    }

    #[test]
    fn a_shape_nobody_knows_is_kept_as_it_is() {
        assert_eq!(
            Words::of(br#"{"oops": [true, -1, 0.5]}"#).message,
            r#"{"oops": [true, -1, 0.5]}"#
        );
    }

    #[test]
    fn an_id_and_a_status_in_the_body_are_found() {
        assert_eq!(Words::of(br#"{"id": "7", "message": "no"}"#).id.as_deref(), Some("7"));
        assert_eq!(
            Words::of(br#"{"error": {"message": "no", "code": 502}}"#).status,
            Some(502)
        );
        assert_eq!(
            Words::of(br#"{"error": {"message": "no", "code": "3210"}}"#).status,
            None
        );
    }

    #[test]
    fn googles_details_tell_the_reason_and_the_wait() {
        let words = |details: &str| {
            let body =
                format!(r#"{{"error": {{"code": 400, "status": "S", "message": "no", "details": [{details}]}}}}"#);
            let words = Words::of(body.as_bytes());
            (words.code, words.wait)
        };
        let reason = r#"{"@type": "type.googleapis.com/google.rpc.ErrorInfo", "reason": "R", "metadata": {"a": "b"}}"#;
        let wait = |delay| format!(r#"{{"@type": "…RetryInfo", "retryDelay": "{delay}"}}"#);
        assert_eq!(words(reason), (Some("R".to_owned()), None));
        assert_eq!(words(&wait("48s")), (Some("S".to_owned()), Some(48_000_000_000)));
        assert_eq!(words(&format!("{}, {reason}", wait("0.25s"))).1, Some(250_000_000));
        assert_eq!((words(&wait("soon")).1, words(&wait("-1s")).1), (None, None));
    }

    #[test]
    fn a_page_is_cut_at_a_character() {
        let message = Words::of("ö".repeat(MAX_MESSAGE).as_bytes()).message;
        assert_eq!(message.len(), MAX_MESSAGE + '…'.len_utf8());
        assert_eq!(Words::of(b"\x1f\x8b\xff").message, "3 bytes that are not text");
    }
}
