//! One field of a payload, found without reading the rest of it into memory.

use std::borrow::Cow;
use std::fmt;

use serde::Deserialize;
use serde::de::{Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;

/// A JSON value, as far as a filter looks at one.
#[derive(Debug, PartialEq)]
pub enum Json {
    /// `null`.
    Null,
    /// `true` or `false`.
    Boolean(bool),
    /// A number, and the integer that it is, if it is one.
    Number(f64, Option<i64>),
    /// A text.
    Text(String),
    /// A list.
    List(Vec<Json>),
    /// An object; no filter asks what is in it.
    Object,
}

/// The value at `path` in a JSON object, `.` leading into objects; none where there is none.
pub fn field(object: &str, path: &str) -> Option<Json> {
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

impl<'de> Deserialize<'de> for Json {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(AnyJson)
    }
}

struct AnyJson;

impl<'de> Visitor<'de> for AnyJson {
    type Value = Json;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_unit<E>(self) -> Result<Json, E> {
        Ok(Json::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Json, E> {
        Ok(Json::Boolean(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Json, E> {
        Ok(Json::Number(value as f64, Some(value)))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Json, E> {
        Ok(Json::Number(value as f64, i64::try_from(value).ok()))
    }

    fn visit_f64<E>(self, value: f64) -> Result<Json, E> {
        Ok(Json::Number(value, None))
    }

    fn visit_str<E>(self, value: &str) -> Result<Json, E> {
        Ok(Json::Text(value.to_owned()))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut elements: A) -> Result<Json, A::Error> {
        let mut list = Vec::new();
        while let Some(element) = elements.next_element()? {
            list.push(element);
        }
        Ok(Json::List(list))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<Json, A::Error> {
        while members.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
        Ok(Json::Object)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn number(number: i64) -> Json {
        Json::Number(number as f64, Some(number))
    }

    #[test]
    fn a_dot_leads_into_objects() {
        let payload = r#" {"a": {"b": {"c": [1, 2]}}, "d": "x", "a.b": 0} "#;
        assert_eq!(field(payload, "a.b.c"), Some(Json::List(vec![number(1), number(2)])));
        assert_eq!(field(payload, "a.b"), Some(Json::Object));
        assert_eq!(field(payload, "d"), Some(Json::Text("x".to_owned())));
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
        assert_eq!(field(r#"{"\u00e4\n": 1}"#, "ä\n"), Some(number(1)));
        assert_eq!(field(r#"{"a": 1, "a": 2}"#, "a"), Some(number(2)));
    }
}
