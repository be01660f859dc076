//! The process's environment as a value, and the settings in it.

use std::collections::BTreeMap;
use std::fmt;

use toml::de::DeValue;

use super::file::value_of_toml;
use super::tree::{Node, Origin, Value, join};

/// Settings at the top level that have a variable without `__`.
const TOP_LEVEL: [&str; 3] = ["data_dir", "cache_dir", "max_sockets"];

/// The environment's variables. Read once and passed on, so that a test can bring its own.
#[derive(Clone, Default)]
pub struct Environment(BTreeMap<String, String>);

impl Environment {
    /// The process's own. Variables that are not Unicode are left out.
    pub fn of_process() -> Environment {
        std::env::vars_os()
            .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
            .collect()
    }

    /// The variable's value. An empty one counts as absent.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(String::as_str).filter(|value| !value.is_empty())
    }

    /// The variable's value, be it empty.
    pub fn defined(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(String::as_str)
    }

    /// The first of these variables that is set: its name and its value.
    pub fn first<'n>(&self, names: &[&'n str]) -> Option<(&'n str, &str)> {
        names.iter().find_map(|name| Some((*name, self.get(name)?)))
    }

    /// The settings written as `WEIR_SECTION__KEY`. `known` are the keys that the file has: `MY_TEI` then finds `my-tei`.
    pub(super) fn settings(&self, known: &Node) -> Node {
        let mut root = Node::root();
        for (name, value) in &self.0 {
            let Some(rest) = name.strip_prefix("WEIR_").map(str::to_ascii_lowercase) else {
                continue;
            };
            if !rest.contains("__") && !TOP_LEVEL.contains(&rest.as_str()) || value.is_empty() {
                continue;
            }
            let mut keys: Vec<String> = Vec::new();
            for segment in rest.split("__") {
                let parent: Vec<&str> = keys.iter().map(String::as_str).collect();
                keys.push(known_key(known.get(&parent), segment));
            }
            let path = keys.iter().fold(String::new(), |path, key| join(&path, key));
            let keys: Vec<&str> = keys.iter().map(String::as_str).collect();
            root.set(&keys, setting(value, &path, Origin::Environment(name.to_owned())));
        }
        root
    }
}

impl<N: Into<String>, V: Into<String>> FromIterator<(N, V)> for Environment {
    fn from_iter<T: IntoIterator<Item = (N, V)>>(variables: T) -> Self {
        Environment(
            variables
                .into_iter()
                .map(|(name, value)| (name.into(), value.into()))
                .collect(),
        )
    }
}

/// The names alone: values may be secrets.
impl fmt::Debug for Environment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.0.keys()).finish()
    }
}

fn known_key(parent: Option<&Node>, segment: &str) -> String {
    parent
        .and_then(Node::table)
        .and_then(|table| {
            table
                .keys()
                .find(|key| key.to_ascii_lowercase().replace('-', "_") == segment)
        })
        .cloned()
        .unwrap_or_else(|| segment.to_owned())
}

/// The value of a variable or a flag: TOML where it reads as such, else the text itself.
pub(super) fn setting(text: &str, path: &str, origin: Origin) -> Node {
    let value = DeValue::parse(text)
        .ok()
        .and_then(|value| value_of_toml(value.get_ref(), path, &origin))
        .unwrap_or_else(|| Value::Text(text.to_owned()));
    Node {
        raw: Some(text.to_owned()),
        ..Node::new(value, path, origin)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_variable_names_a_setting_by_its_path() {
        let environment = Environment::from_iter([
            ("WEIR_HTTP_POOL__MAX_CONNECTIONS", "20"),
            ("WEIR_DATA_DIR", "/d"),
            ("WEIR_API_KEY", "k"),
        ]);

        let settings = environment.settings(&Node::root());

        assert!(matches!(
            settings.get(&["http_pool", "max_connections"]).unwrap().value,
            Value::Integer(20)
        ));
        assert_eq!(settings.get(&["data_dir"]).unwrap().text(), Some("/d"));
        assert!(settings.get(&["api_key"]).is_none());
    }

    #[test]
    fn a_variable_finds_a_provider_with_a_hyphen() {
        let mut file = Node::root();
        file.set(
            &["providers", "my-tei", "component"],
            Node::new(Value::Text("openai".into()), "", Origin::Default),
        );
        let environment = Environment::from_iter([("WEIR_PROVIDERS__MY_TEI__COMPONENT", "cohere")]);

        let settings = environment.settings(&file);

        assert_eq!(
            settings.get(&["providers", "my-tei", "component"]).unwrap().text(),
            Some("cohere")
        );
    }

    #[test]
    fn debugging_output_shows_no_value() {
        let environment = Environment::from_iter([("VOYAGE_API_KEY", "pa-secret")]);
        assert_eq!(format!("{environment:?}"), "{\"VOYAGE_API_KEY\"}");
    }
}
