//! Paths into a payload (`meta.author`, `sections[].name`), and the parts of it an answer is asked for.

use serde::Deserialize;
use serde_json::{Map, Value};

/// The values a path leads to: `a.b` goes into objects, `a[]` into every element, `a[2]` into one.
pub(crate) fn values_at<'a>(payload: &'a Map<String, Value>, path: &str) -> Vec<&'a Value> {
    // A key that holds dots itself is found whole.
    if let Some(value) = payload.get(path) {
        return vec![value];
    }
    let (step, rest) = match path.split_once('.') {
        Some((step, rest)) => (step, Some(rest)),
        None => (path, None),
    };
    let (key, element) = match step.split_once('[') {
        Some((key, element)) => (key, Some(element.trim_end_matches(']'))),
        None => (step, None),
    };
    let Some(value) = payload.get(key) else {
        return Vec::new();
    };
    let found: Vec<&Value> = match (element, value) {
        (None, value) => vec![value],
        (Some(""), Value::Array(elements)) => elements.iter().collect(),
        (Some(at), Value::Array(elements)) => at
            .parse::<usize>()
            .ok()
            .and_then(|at| elements.get(at))
            .into_iter()
            .collect(),
        (Some(_), _) => Vec::new(),
    };
    match rest {
        None => found,
        Some(rest) => found
            .into_iter()
            .filter_map(Value::as_object)
            .flat_map(|inner| values_at(inner, rest))
            .collect(),
    }
}

/// `with_payload`: everything or nothing, or some paths.
#[derive(Debug, Clone, Deserialize)]
#[serde(untagged)]
pub(crate) enum WithPayload {
    All(bool),
    Paths(Vec<String>),
    Include { include: Vec<String> },
    Exclude { exclude: Vec<String> },
}

impl WithPayload {
    /// The payload as the answer shows it, or nothing if it was not asked for.
    pub(crate) fn select(&self, payload: &Map<String, Value>) -> Option<Map<String, Value>> {
        match self {
            Self::All(wanted) => wanted.then(|| payload.clone()),
            Self::Paths(paths) | Self::Include { include: paths } => {
                Some(kept(payload, "", &|path| match relation(path, paths) {
                    Relation::Inside => Keep::Whole,
                    Relation::Above => Keep::Parts,
                    Relation::Apart => Keep::Nothing,
                }))
            }
            Self::Exclude { exclude } => Some(kept(payload, "", &|path| match relation(path, exclude) {
                Relation::Inside => Keep::Nothing,
                Relation::Above => Keep::Parts,
                Relation::Apart => Keep::Whole,
            })),
        }
    }
}

enum Keep {
    Whole,
    Parts,
    Nothing,
}

/// Where a key stands to the paths of a selector.
enum Relation {
    /// It is one of them or within one.
    Inside,
    /// One of them is within it.
    Above,
    Apart,
}

fn relation(path: &str, paths: &[String]) -> Relation {
    let within = |inner: &str, outer: &str| {
        inner
            .strip_prefix(outer)
            .is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
    };
    if paths.iter().any(|wanted| within(path, wanted)) {
        Relation::Inside
    } else if paths.iter().any(|wanted| within(wanted, path)) {
        Relation::Above
    } else {
        Relation::Apart
    }
}

fn kept(object: &Map<String, Value>, above: &str, judge: &dyn Fn(&str) -> Keep) -> Map<String, Value> {
    let mut out = Map::new();
    for (key, value) in object {
        let path = if above.is_empty() {
            key.clone()
        } else {
            format!("{above}.{key}")
        };
        match (judge(&path), value) {
            (Keep::Whole, value) => {
                out.insert(key.clone(), value.clone());
            }
            (Keep::Parts, Value::Object(inner)) => {
                out.insert(key.clone(), Value::Object(kept(inner, &path, judge)));
            }
            _ => {}
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn payload() -> Map<String, Value> {
        let value = json!({
            "title": "alpha", "tags": ["a", "b"], "meta": {"author": {"name": "Ann"}, "pages": 10},
            "sections": [{"name": "intro", "len": 1}, {"name": "end", "len": 9}],
        });
        value.as_object().unwrap().clone()
    }

    fn selected(selector: Value) -> Value {
        let selector: WithPayload = serde_json::from_value(selector).unwrap();
        selector.select(&payload()).map_or(Value::Null, Value::Object)
    }

    #[test]
    fn a_path_goes_into_objects_and_where_marked_into_arrays() {
        let payload = payload();
        assert_eq!(values_at(&payload, "meta.author.name"), [&json!("Ann")]);
        assert_eq!(values_at(&payload, "sections[].name"), [&json!("intro"), &json!("end")]);
        assert_eq!(values_at(&payload, "sections[1].len"), [&json!(9)]);
        assert!(values_at(&payload, "sections.name").is_empty());
        assert!(values_at(&payload, "title.x").is_empty());
        assert!(values_at(&payload, "tags[7]").is_empty());
    }

    #[test]
    fn only_the_parts_asked_for_are_returned() {
        assert_eq!(selected(json!(false)), Value::Null);
        assert_eq!(
            selected(json!(["title", "meta.author"])),
            json!({"title": "alpha", "meta": {"author": {"name": "Ann"}}})
        );
        assert_eq!(
            selected(json!({"include": ["title", "meta.pages"]})),
            json!({"title": "alpha", "meta": {"pages": 10}})
        );
        assert_eq!(
            selected(json!({"exclude": ["sections", "tags", "meta.author"]})),
            json!({"title": "alpha", "meta": {"pages": 10}})
        );
    }
}
