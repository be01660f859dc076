//! Answers decoded from JSON, with errors that name their place.

use serde::Deserialize;
use serde_json::value::RawValue;

use crate::{Error, failure};

/// Decodes `body`.
///
/// # Errors
/// `malformed-response`, naming the path of what is missing or of another type (`data[0].index: …`).
pub fn read<'a, T: Deserialize<'a>>(body: &'a [u8]) -> Result<T, Error> {
    let mut deserializer = serde_json::Deserializer::from_slice(body);
    let value = T::deserialize(&mut deserializer).and_then(|value| deserializer.end().map(|()| value));
    value.map_err(|error| explain(body, &error))
}

/// Decodes the first value in `text`, whatever follows it.
///
/// # Errors
/// As [`read`].
pub fn read_first<'a, T: Deserialize<'a>>(text: &'a [u8]) -> Result<T, Error> {
    let mut deserializer = serde_json::Deserializer::from_slice(text);
    T::deserialize(&mut deserializer).map_err(|error| explain(text, &error))
}

/// JSON that the caller gave as text, to be sent as it is.
///
/// # Errors
/// `invalid-input` naming `subject` (the parameter `stop`) if it is no JSON.
pub fn given(text: &str, subject: impl FnOnce() -> String) -> Result<&RawValue, Error> {
    serde_json::from_slice(text.as_bytes())
        .map_err(|error| failure::refused(format!("{} is no JSON: {error}", subject())))
}

#[cold]
fn explain(body: &[u8], error: &serde_json::Error) -> Error {
    let path = path(before(body, error.line(), error.column()));
    failure::malformed(if path.is_empty() {
        error.to_string()
    } else {
        format!("`{path}`: {error}")
    })
}

/// What was read when the error was found. Columns count bytes, as lines do from 1.
fn before(body: &[u8], line: usize, column: usize) -> &[u8] {
    let start: usize = body
        .split_inclusive(|byte| *byte == b'\n')
        .take(line.saturating_sub(1))
        .map(<[u8]>::len)
        .sum();
    body.get(..start.saturating_add(column)).unwrap_or(body)
}

/// One level of nesting: what is being read in it.
enum Step<'a> {
    /// The value of this key; none before the key was read.
    Key(Option<&'a [u8]>),
    Index(usize),
}

/// The path of the last value in the beginning of a JSON text: `data[1].index`.
///
/// Found afterwards, out of the text: to keep the path while decoding (`serde_path_to_error`) costs a second copy of
/// every decoder, a tenth of a component.
fn path(text: &[u8]) -> String {
    let mut steps: Vec<Step> = Vec::new();
    let mut rest = text;
    while let [byte, after @ ..] = rest {
        rest = after;
        match byte {
            b'{' => steps.push(Step::Key(None)),
            b'[' => steps.push(Step::Index(0)),
            b'}' | b']' => _ = steps.pop(),
            b',' => match steps.last_mut() {
                Some(Step::Key(key)) => *key = None,
                Some(Step::Index(index)) => *index += 1,
                None => {}
            },
            b'"' => {
                let (string, after) = rest.split_at(string_length(rest));
                if let Some(Step::Key(key @ None)) = steps.last_mut() {
                    *key = Some(string);
                }
                rest = after.strip_prefix(b"\"").unwrap_or(after);
            }
            _ => {}
        }
    }
    render(&steps)
}

/// The bytes before the quote that ends a string.
fn string_length(text: &[u8]) -> usize {
    let mut escaped = false;
    let end = text.iter().position(|byte| match byte {
        _ if escaped => {
            escaped = false;
            false
        }
        b'\\' => {
            escaped = true;
            false
        }
        byte => *byte == b'"',
    });
    end.unwrap_or(text.len())
}

fn render(steps: &[Step]) -> String {
    let mut path = String::new();
    for step in steps {
        match step {
            Step::Key(None) => {}
            Step::Key(Some(key)) => {
                if !path.is_empty() {
                    path.push('.');
                }
                path.push_str(&String::from_utf8_lossy(key));
            }
            Step::Index(index) => path.push_str(&format!("[{index}]")),
        }
    }
    path
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, Deserialize)]
    struct Answer {
        data: Vec<Item>,
    }

    #[derive(Debug, Deserialize)]
    struct Item {
        index: usize,
    }

    fn said(body: &[u8]) -> String {
        match read::<Answer>(body) {
            Err(Error::MalformedResponse(text)) => text,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn an_answer_is_decoded_and_unknown_fields_are_ignored() {
        let answer: Answer = read(br#"{"object": "list", "data": [{"index": 3, "text": null}]}"#).unwrap();
        assert_eq!(answer.data[0].index, 3);
    }

    #[test]
    fn an_error_names_the_place_of_what_is_wrong() {
        assert!(said(br#"{"data": [{"index": 0}, {"index": "1"}]}"#).starts_with("`data[1].index`: invalid type"));
        assert!(said(br#"{"data": [{}]}"#).starts_with("`data[0]`: missing field `index`"));
        assert!(
            said(b"{\"data\": [\n{\"index\": 0},\n{\"other\": \"a]}\\\"\"}]}").starts_with("`data[1]`: missing field")
        );
        assert!(said(br#"{"a": [{"b": "\"}"}], "data": 7}"#).starts_with("`data`: invalid type"));
        assert!(said(br#"{}"#).starts_with("missing field `data`"));
    }

    #[test]
    fn what_is_no_json_says_where_it_stops_to_be() {
        assert!(said(b"<html>").contains("line 1 column 1"));
        assert!(said(br#"{"data": [{"index": 1"#).starts_with("`data[0].index`: EOF"));
        assert!(said(br#"{"data": [{"ind"#).starts_with("`data[0]"));
        assert!(said(b"").contains("EOF"));
        assert!(said(b"{\"data\": []} trailing").contains("trailing characters"));
        assert!(read_first::<Answer>(b"{\"data\": []} trailing").is_ok());
    }
}
