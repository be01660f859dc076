//! A payload's short members, kept beside the vectors: a filter looks at many points, and should read the payload of
//! none.
//!
//! Each member is the length of its name (u8), the name, the length of its value (u8), and the value as JSON. A value
//! that is longer than [`LONGEST`] is left out, its length given as 255. Where a name is too long, or all are together,
//! the rest is left out and a single 255 stands for it.

use std::borrow::Cow;
use std::fmt;

use serde::Deserialize;
use serde::de::{Deserializer, MapAccess, Visitor};
use serde_json::value::RawValue;

/// Bytes of a name or value that is kept: paths and hashes are shorter, texts are longer.
const LONGEST: usize = 254;

/// Bytes of one point's fields, so that a block stays small whatever payloads there are.
const MOST: usize = 2 << 10;

const LEFT_OUT: u8 = 255;

/// What the fields tell of a member.
#[derive(Debug, PartialEq)]
pub enum Field<'a> {
    /// Its value, as JSON.
    Is(&'a str),
    /// There is no such member.
    Absent,
    /// The payload has to be looked at.
    LeftOut,
}

/// The fields of a payload.
///
/// # Errors
/// Where the payload is no JSON object.
pub fn encode(payload: &str) -> Result<Vec<u8>, serde_json::Error> {
    let mut deserializer = serde_json::Deserializer::from_str(payload);
    let fields = deserializer.deserialize_map(Members)?;
    deserializer.end()?;
    Ok(fields)
}

/// What the fields tell of the member `name`. The last one counts where a name occurs twice, as in all of serde_json.
pub fn find<'a>(mut fields: &'a [u8], name: &str) -> Field<'a> {
    let mut found = Field::Absent;
    while let Some((&length, rest)) = fields.split_first() {
        let value = (length != LEFT_OUT).then_some(rest).and_then(|rest| {
            let (key, rest) = rest.split_at_checked(usize::from(length))?;
            let (&length, rest) = rest.split_first()?;
            let kept = if length == LEFT_OUT { 0 } else { usize::from(length) };
            let (value, rest) = rest.split_at_checked(kept)?;
            Some((key, length, value, rest))
        });
        let Some((key, length, value, rest)) = value else {
            return Field::LeftOut;
        };
        if key == name.as_bytes() {
            found = match str::from_utf8(value) {
                Ok(value) if length != LEFT_OUT => Field::Is(value),
                _ => Field::LeftOut,
            };
        }
        fields = rest;
    }
    found
}

struct Members;

/// A name, borrowed from the JSON unless it has escapes.
#[derive(Deserialize)]
struct Name<'a>(#[serde(borrow)] Cow<'a, str>);

impl<'de> Visitor<'de> for Members {
    type Value = Vec<u8>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut fields = Vec::new();
        let mut whole = true;
        while let Some(Name(name)) = map.next_key()? {
            let value = map.next_value::<&RawValue>()?.get();
            if !whole {
                continue;
            }
            whole = name.len() <= LONGEST && fields.len() + name.len() + value.len().min(LONGEST) <= MOST;
            if !whole {
                fields.push(LEFT_OUT);
                continue;
            }
            fields.push(name.len() as u8);
            fields.extend_from_slice(name.as_bytes());
            if value.len() <= LONGEST {
                fields.push(value.len() as u8);
                fields.extend_from_slice(value.as_bytes());
            } else {
                fields.push(LEFT_OUT);
            }
        }
        Ok(fields)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn short_members_are_found_and_long_ones_are_known_to_be_there() {
        let payload = format!(
            r#"{{"path": "ä.rs", "text": "{}", "n\u00e4": {{"b": [1]}}}}"#,
            "x".repeat(300)
        );
        let fields = encode(&payload).unwrap();
        assert_eq!(find(&fields, "path"), Field::Is(r#""ä.rs""#));
        assert_eq!(find(&fields, "nä"), Field::Is(r#"{"b": [1]}"#));
        assert_eq!(find(&fields, "text"), Field::LeftOut);
        assert_eq!(find(&fields, "pat"), Field::Absent);
        assert_eq!(find(&encode("{}").unwrap(), "path"), Field::Absent);
    }

    #[test]
    fn of_two_members_of_one_name_the_last_counts() {
        let fields = encode(r#"{"a": 1, "b": 0, "a": 2}"#).unwrap();
        assert_eq!(find(&fields, "a"), Field::Is("2"));
    }

    #[test]
    fn what_does_not_fit_sends_to_the_payload() {
        let long_name = format!(r#"{{"a": 1, "{}": 2}}"#, "n".repeat(255));
        let many: Vec<String> = (0..500).map(|number| format!(r#""m{number}": {number}"#)).collect();
        for payload in [long_name, format!("{{{}}}", many.join(","))] {
            let fields = encode(&payload).unwrap();
            assert!(fields.len() <= MOST + 2 * LONGEST);
            assert_eq!(find(&fields, "a"), Field::LeftOut);
            assert_eq!(find(&fields, "m499"), Field::LeftOut);
        }
    }

    #[test]
    fn what_is_no_object_is_refused() {
        for payload in ["", "[]", "1", r#"{"a": }"#, r#"{"a": 1} x"#, r#"{"a": 1"#] {
            assert!(encode(payload).is_err(), "{payload}");
        }
    }
}
