//! One field of a payload, found without reading the rest of it into memory.

use std::borrow::Cow;
use std::fmt;

use serde::Deserialize;
use serde::de::{Deserializer, IgnoredAny, MapAccess, Visitor};
use serde_json::Value;
use serde_json::value::RawValue;

/// The value at `path` in a JSON object, `.` leading into objects; none where there is none.
pub fn field(object: &str, path: &str) -> Option<Value> {
    let (name, rest) = match path.split_once('.') {
        Some((name, rest)) => (name, Some(rest)),
        None => (path, None),
    };
    let value = member(object, name)?;
    match rest {
        Some(rest) => field(value, rest),
        None => serde_json::from_str(value).ok(),
    }
}

/// The text of a member of a JSON object. The last one counts where a name occurs twice, as in all of serde_json.
fn member<'a>(object: &'a str, name: &str) -> Option<&'a str> {
    let mut deserializer = serde_json::Deserializer::from_str(object);
    deserializer.deserialize_map(Member(name)).ok()?
}

struct Member<'a>(&'a str);

/// A name, borrowed from the JSON unless it has escapes.
#[derive(Deserialize)]
struct Name<'a>(#[serde(borrow)] Cow<'a, str>);

impl<'de> Visitor<'de> for Member<'_> {
    type Value = Option<&'de str>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut found = None;
        while let Some(Name(name)) = map.next_key()? {
            if name == self.0 {
                found = Some(map.next_value::<&RawValue>()?.get());
            } else {
                map.next_value::<IgnoredAny>()?;
            }
        }
        Ok(found)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_dot_leads_into_objects() {
        let payload = r#" {"a": {"b": {"c": [1, 2]}}, "d": "x", "a.b": 0} "#;
        assert_eq!(field(payload, "a.b.c"), Some(json!([1, 2])));
        assert_eq!(field(payload, "a.b"), Some(json!({"c": [1, 2]})));
        assert_eq!(field(payload, "d"), Some(json!("x")));
    }

    #[test]
    fn what_is_not_there_is_none() {
        for path in ["x", "a.x", "d.x", "n.x", "l.0", "", ".", "a."] {
            assert_eq!(
                field(r#"{"a": {"b": 1}, "d": "text", "n": null, "l": [1]}"#, path),
                None,
                "{path}"
            );
        }
    }

    #[test]
    fn names_with_escapes_and_doubled_names_are_read_as_json_has_them() {
        assert_eq!(field(r#"{"\u00e4\n": 1}"#, "ä\n"), Some(json!(1)));
        assert_eq!(field(r#"{"a": 1, "a": 2}"#, "a"), Some(json!(2)));
    }
}
