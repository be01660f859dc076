//! Vectors wherever they stand. Each family of models wraps them in another way: in nothing, in a list, in an object by
//! type, in objects in a list.

use std::fmt;

use serde::de::{Deserialize, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};

/// Numbers in lists, as deep as they are. An object is the list of its values; what is no number is left out.
#[derive(Debug, PartialEq)]
pub(crate) enum Numbers {
    One(f32),
    List(Vec<Numbers>),
}

impl Numbers {
    /// The lists that have numbers in them, in order.
    pub(crate) fn into_vectors(self) -> Vec<Vec<f32>> {
        let mut vectors = Vec::new();
        self.collect(&mut vectors);
        vectors
    }

    fn collect(self, vectors: &mut Vec<Vec<f32>>) {
        let Self::List(items) = self else { return };
        if !items.iter().any(|item| matches!(item, Self::One(_))) {
            for item in items {
                item.collect(vectors);
            }
            return;
        }
        let value = |item| match item {
            Self::One(value) => value,
            // Nothing that a vector may have: the caller's check will find it.
            Self::List(_) => f32::NAN,
        };
        vectors.push(items.into_iter().map(value).collect());
    }
}

impl<'de> Deserialize<'de> for Numbers {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(NumbersVisitor)
    }
}

struct NumbersVisitor;

impl<'de> Visitor<'de> for NumbersVisitor {
    type Value = Numbers;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("vectors")
    }

    fn visit_f64<E>(self, number: f64) -> Result<Numbers, E> {
        Ok(Numbers::One(number as f32))
    }

    fn visit_u64<E>(self, number: u64) -> Result<Numbers, E> {
        Ok(Numbers::One(number as f32))
    }

    fn visit_i64<E>(self, number: i64) -> Result<Numbers, E> {
        Ok(Numbers::One(number as f32))
    }

    fn visit_str<E>(self, _: &str) -> Result<Numbers, E> {
        Ok(Numbers::List(Vec::new()))
    }

    fn visit_bool<E>(self, _: bool) -> Result<Numbers, E> {
        Ok(Numbers::List(Vec::new()))
    }

    fn visit_unit<E>(self) -> Result<Numbers, E> {
        Ok(Numbers::List(Vec::new()))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut sequence: A) -> Result<Numbers, A::Error> {
        let mut items = Vec::new();
        while let Some(item) = sequence.next_element()? {
            items.push(item);
        }
        Ok(Numbers::List(items))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Numbers, A::Error> {
        let mut items = Vec::new();
        while let Some((IgnoredAny, item)) = map.next_entry()? {
            items.push(item);
        }
        Ok(Numbers::List(items))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn vectors(json: &str) -> Vec<Vec<f32>> {
        serde_json::from_str::<Numbers>(json).unwrap().into_vectors()
    }

    #[test]
    fn vectors_are_found_in_whatever_wraps_them() {
        for one in [
            "[1, -2, 0.5]",
            "[[1, -2, 0.5]]",
            r#"{"float": [[1, -2, 0.5]]}"#,
            r#"[{"type": "TEXT", "truncated": false, "embedding": [1, -2, 0.5]}]"#,
        ] {
            assert_eq!(vectors(one), [[1.0, -2.0, 0.5]], "{one}");
        }
        assert_eq!(vectors("[[1], [2]]"), [[1.0], [2.0]]);
    }

    #[test]
    fn what_is_no_vector_is_none_or_not_finite() {
        for none in ["[]", "[[], []]", "{}", "null", "\"base64\"", "7"] {
            assert!(vectors(none).is_empty(), "{none}");
        }
        assert!(vectors("[1, [2], 3]")[0][1].is_nan());
        assert!(vectors("[1, null]")[0][1].is_nan());
    }
}
