//! From a [tree](super::tree) to typed settings: errors keep the place of the value they are about.
//!
//! What comes from an environment variable is taken as the setting wants it: a string setting gets the variable's text
//! even where it reads as a number, and a list setting splits it at commas.

use std::fmt;

use serde::de::value::StrDeserializer;
use serde::de::{self, DeserializeOwned, DeserializeSeed, Expected, IntoDeserializer, Unexpected, Visitor};

use super::error::ConfigError;
use super::tree::{Node, Origin, Value, is_sensitive, names_user};

/// Reads typed settings from a tree.
pub fn from_tree<T: DeserializeOwned>(node: &Node) -> Result<T, ConfigError> {
    T::deserialize(node).map_err(|problem| problem.into_error(node))
}

/// What a type found wrong, placed as soon as a node is at hand.
#[derive(Debug)]
pub struct Problem {
    what: What,
    place: Option<(Origin, String)>,
}

#[derive(Debug)]
enum What {
    UnknownKey {
        key: String,
        expected: &'static [&'static str],
    },
    MissingKey(&'static str),
    /// `found` is filled in from the node.
    Wrong {
        found: Option<String>,
        expected: String,
    },
    Said(String),
}

impl Problem {
    fn new(what: What) -> Problem {
        Problem { what, place: None }
    }

    /// Places the problem at this node, unless a node further in was the one.
    fn at(mut self, node: &Node) -> Problem {
        if self.place.is_none() {
            self.place = Some(match &self.what {
                What::UnknownKey { .. } | What::MissingKey(_) => (node.key_origin.clone(), node.path.clone()),
                _ => (node.origin.clone(), node.path.clone()),
            });
            if let What::Wrong {
                found: found @ None, ..
            } = &mut self.what
            {
                *found = Some(describe(node));
            }
        }
        self
    }

    fn into_error(self, root: &Node) -> ConfigError {
        let (origin, path) = self.place.unwrap_or_else(|| (root.origin.clone(), root.path.clone()));
        let (path, message) = match self.what {
            What::UnknownKey { key, expected } => return ConfigError::unknown_key(origin, &path, &key, expected),
            What::MissingKey(key) => (path, format!("`{key}` is missing")),
            What::Wrong { found, expected } => (
                path,
                format!(
                    "expected {expected}, found {}",
                    found.as_deref().unwrap_or("another value")
                ),
            ),
            What::Said(message) => (path, message),
        };
        ConfigError::setting(origin, path, message)
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", self.what)
    }
}

impl std::error::Error for Problem {}

impl de::Error for Problem {
    fn custom<T: fmt::Display>(message: T) -> Self {
        Problem::new(What::Said(message.to_string()))
    }

    fn invalid_type(_: Unexpected<'_>, expected: &dyn Expected) -> Self {
        Problem::new(What::Wrong {
            found: None,
            expected: plain(expected),
        })
    }

    fn invalid_value(_: Unexpected<'_>, expected: &dyn Expected) -> Self {
        Problem::new(What::Wrong {
            found: None,
            expected: plain(expected),
        })
    }

    fn unknown_variant(_: &str, expected: &'static [&'static str]) -> Self {
        let choices: Vec<String> = expected.iter().map(|choice| format!("\"{choice}\"")).collect();
        Problem::new(What::Wrong {
            found: None,
            expected: choices.join(" or "),
        })
    }

    fn unknown_field(field: &str, expected: &'static [&'static str]) -> Self {
        Problem::new(What::UnknownKey {
            key: field.to_owned(),
            expected,
        })
    }

    fn missing_field(field: &'static str) -> Self {
        Problem::new(What::MissingKey(field))
    }
}

/// Serde's names of types, in words that a configuration's author has.
fn plain(expected: &dyn Expected) -> String {
    let expected = expected.to_string();
    match expected.as_str() {
        "usize" | "u64" | "u32" | "u16" | "i64" => "a whole number".to_owned(),
        "a nonzero usize" | "a nonzero u32" => "a whole number above 0".to_owned(),
        "f64" => "a number".to_owned(),
        "a boolean" => "true or false".to_owned(),
        "a sequence" => "a list".to_owned(),
        "a map" => "a table".to_owned(),
        other if other.starts_with("struct ") => "a table".to_owned(),
        _ => expected,
    }
}

/// What stands there as it was written, unless it may be a secret.
fn describe(node: &Node) -> String {
    let shown = !is_sensitive(&node.path);
    match &node.value {
        Value::Text(text) => match node.as_written.as_ref().unwrap_or(text) {
            written if shown && !names_user(written) => format!("the text {written:?}"),
            _ => "a text".to_owned(),
        },
        Value::Integer(integer) if shown => format!("the number {integer}"),
        Value::Float(float) if shown => format!("the number {float}"),
        Value::Integer(_) | Value::Float(_) => "a number".to_owned(),
        Value::Boolean(value) => value.to_string(),
        Value::List(_) => "a list".to_owned(),
        Value::Table(_) => "a table".to_owned(),
    }
}

impl<'de> de::Deserializer<'de> for &'de Node {
    type Error = Problem;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Problem> {
        match &self.value {
            Value::Text(text) => visitor.visit_str(text),
            Value::Integer(integer) => match u64::try_from(*integer) {
                Ok(positive) => visitor.visit_u64(positive),
                Err(_) => visitor.visit_i64(*integer),
            },
            Value::Float(float) => visitor.visit_f64(*float),
            Value::Boolean(value) => visitor.visit_bool(*value),
            Value::List(items) => visitor.visit_seq(Items { items: items.iter() }),
            Value::Table(table) => visitor.visit_map(Entries {
                table: table.iter(),
                current: None,
            }),
        }
        .map_err(|problem: Problem| problem.at(self))
    }

    fn deserialize_str<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Problem> {
        match &self.raw {
            Some(raw) => visitor.visit_str(raw).map_err(|problem: Problem| problem.at(self)),
            None => self.deserialize_any(visitor),
        }
    }

    fn deserialize_string<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Problem> {
        self.deserialize_str(visitor)
    }

    fn deserialize_seq<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Problem> {
        match (&self.raw, &self.value) {
            (Some(raw), value) if !matches!(value, Value::List(_)) => {
                let items = raw
                    .split(',')
                    .map(str::trim)
                    .filter(|item| !item.is_empty())
                    .map(str::to_owned);
                visitor
                    .visit_seq(de::value::SeqDeserializer::new(items))
                    .map_err(|problem: Problem| problem.at(self))
            }
            _ => self.deserialize_any(visitor),
        }
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Problem> {
        visitor.visit_some(self).map_err(|problem: Problem| problem.at(self))
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(self, _: &'static str, visitor: V) -> Result<V::Value, Problem> {
        visitor
            .visit_newtype_struct(self)
            .map_err(|problem: Problem| problem.at(self))
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _: &'static str,
        _: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Problem> {
        let text = self.text().unwrap_or_default();
        visitor
            .visit_enum(IntoDeserializer::<Problem>::into_deserializer(text))
            .map_err(|problem: Problem| problem.at(self))
    }

    serde::forward_to_deserialize_any! {
        bool i8 i16 i32 i64 u8 u16 u32 u64 f32 f64 char bytes byte_buf unit unit_struct tuple tuple_struct map struct
        identifier ignored_any
    }
}

struct Items<'de> {
    items: std::slice::Iter<'de, Node>,
}

impl<'de> de::SeqAccess<'de> for Items<'de> {
    type Error = Problem;

    fn next_element_seed<T: DeserializeSeed<'de>>(&mut self, seed: T) -> Result<Option<T::Value>, Problem> {
        self.items
            .next()
            .map(|item| seed.deserialize(item).map_err(|problem| problem.at(item)))
            .transpose()
    }
}

struct Entries<'de> {
    table: std::collections::btree_map::Iter<'de, String, Node>,
    current: Option<&'de Node>,
}

impl<'de> de::MapAccess<'de> for Entries<'de> {
    type Error = Problem;

    fn next_key_seed<K: DeserializeSeed<'de>>(&mut self, seed: K) -> Result<Option<K::Value>, Problem> {
        let Some((key, node)) = self.table.next() else {
            return Ok(None);
        };
        self.current = Some(node);
        let key: StrDeserializer<'_, Problem> = key.as_str().into_deserializer();
        seed.deserialize(key).map(Some).map_err(|problem| Problem {
            place: Some((node.key_origin.clone(), parent(&node.path))),
            ..problem
        })
    }

    fn next_value_seed<T: DeserializeSeed<'de>>(&mut self, seed: T) -> Result<T::Value, Problem> {
        let node = self
            .current
            .take()
            .ok_or_else(|| de::Error::custom("a value without a key"))?;
        seed.deserialize(node).map_err(|problem| problem.at(node))
    }
}

fn parent(path: &str) -> String {
    path.rsplit_once('.')
        .map(|(parent, _)| parent.to_owned())
        .unwrap_or_default()
}
