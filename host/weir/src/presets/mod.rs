//! The providers that need no configuration: which component, which variables hold the key, which limits suit.
//!
//! Base URLs stand here only where the component's own default is not the answer (`ollama` is the component `openai`
//! at another address) or where an address of this machine is granted. Pool settings are `weir-pool`'s own presets.

mod table;

use std::collections::BTreeMap;

pub use table::PRESETS;

use crate::config::Environment;
use crate::config::settings::{HttpPool, Isolation};
use crate::config::tree::{Node, Origin, Value};

/// A provider that is known by its name.
#[derive(Debug)]
pub struct Preset {
    /// The provider's name.
    pub name: &'static str,
    /// The bundled component.
    pub component: &'static str,
    /// Where it is, if not where the component looks by itself.
    base_url: Option<&'static str>,
    /// Variables that say where it is, the first that is set wins.
    base_url_variables: &'static [&'static str],
    /// The path that the address in such a variable lacks.
    base_url_path: &'static str,
    /// Keys that start so belong to another address.
    base_url_by_key: Option<(&'static str, &'static str)>,
    /// Variables that hold the secret `api_key`, the first that is set wins.
    pub key_variables: &'static [&'static str],
    /// The component's settings that variables hold: the setting, and its variables, the first that is set wins.
    setting_variables: &'static [(&'static str, &'static [&'static str])],
    /// Seconds to wait for a conversation's answer, and between two pieces of it, where the default is too little.
    chat_timeout: Option<u32>,
    /// Whether it serves without being asked for.
    always: bool,
    /// Addresses of this machine or its networks that it may reach.
    allow_private: &'static [&'static str],
    /// Memory of one instance, where the default is too little.
    memory: Option<&'static str>,
    /// Bytes it may keep, where the default is too little.
    storage: Option<&'static str>,
    /// Seconds of processor time of one call, where the default is too little.
    cpu_time: Option<u32>,
    isolation: Isolation,
}

const PLAIN: Preset = Preset {
    name: "",
    component: "",
    base_url: None,
    base_url_variables: &[],
    base_url_path: "",
    base_url_by_key: None,
    key_variables: &[],
    setting_variables: &[],
    chat_timeout: None,
    always: false,
    allow_private: &[],
    memory: None,
    storage: None,
    cpu_time: None,
    isolation: Isolation::Reuse,
};

/// The preset of this name.
pub fn find(name: &str) -> Option<&'static Preset> {
    PRESETS.iter().find(|preset| preset.name == name)
}

/// The presets' names.
pub fn names() -> Vec<&'static str> {
    PRESETS.iter().map(|preset| preset.name).collect()
}

impl Preset {
    /// Whether it serves in every configuration: it needs neither key nor network.
    pub fn is_always_there(&self) -> bool {
        self.always
    }

    /// Whether the environment says that it is to be used: it has the key or the address.
    pub fn is_in(&self, environment: &Environment) -> bool {
        let address_alone = self.key_variables.is_empty() || self.base_url.is_some();
        environment.first(self.key_variables).is_some()
            || (address_alone && environment.first(self.base_url_variables).is_some())
    }

    /// The settings that the preset stands for. The key's variable is among them if it is set, and if `with_key`.
    pub fn settings(&self, environment: &Environment, with_key: bool) -> Node {
        let mut settings = Settings {
            root: Node::root(),
            origin: Origin::Preset(self.name.to_owned()),
        };
        settings.set(&["component"], text(self.component));
        let key = environment.first(self.key_variables).filter(|_| with_key);
        let by_key = self
            .base_url_by_key
            .filter(|(start, _)| key.is_some_and(|(_, key)| key.starts_with(start)));
        if let Some((_, url)) = by_key {
            settings.set(&["config", "base_url"], text(url));
        } else if let Some((variable, url)) = environment.first(self.base_url_variables) {
            let origin = Origin::Environment(variable.to_owned());
            settings.set_from(&["config", "base_url"], text(&self.address(url)), origin);
        } else if let Some(url) = self.base_url {
            settings.set(&["config", "base_url"], text(url));
        }
        if let Some((variable, _)) = key {
            settings.set(&["secrets", "api_key", "env"], text(variable));
        }
        for (setting, variables) in self.setting_variables {
            if let Some((variable, value)) = environment.first(variables) {
                let origin = Origin::Environment(variable.to_owned());
                settings.set_from(&["config", setting], text(value), origin);
            }
        }
        if let Some(seconds) = self.chat_timeout {
            settings.set(&["operations", "chat", "read_timeout"], seconds.into());
            settings.set(&["limits", "call_timeout"], seconds.into());
        }
        if !self.allow_private.is_empty() {
            settings.set(&["egress", "allow_private"], self.allow_private.into());
        }
        if let Some(memory) = self.memory {
            settings.set(&["limits", "memory"], text(memory));
        }
        if let Some(storage) = self.storage {
            settings.set(&["limits", "storage"], text(storage));
        }
        if let Some(seconds) = self.cpu_time {
            settings.set(&["limits", "cpu_time"], seconds.into());
        }
        if self.isolation == Isolation::Resident {
            settings.set(&["limits", "isolation"], text("resident"));
        }
        for (key, value) in self.pool() {
            settings.set(&["http_pool", &key], value);
        }
        settings.root
    }

    /// The address that a variable holds, with the path that belongs to it.
    fn address(&self, url: &str) -> String {
        let url = url.trim_end_matches('/');
        let path = Some(self.base_url_path)
            .filter(|path| !url.ends_with(path))
            .unwrap_or_default();
        format!("{url}{path}")
    }

    /// The pool's settings that differ from the default.
    fn pool(&self) -> BTreeMap<String, serde_json::Value> {
        let settings = |pool: &HttpPool| match serde_json::to_value(pool) {
            Ok(serde_json::Value::Object(settings)) => settings,
            _ => serde_json::Map::new(),
        };
        let usual = settings(&HttpPool::default());
        settings(&weir_pool::PoolConfig::preset(self.component).into())
            .into_iter()
            .filter(|(key, value)| usual.get(key) != Some(value))
            .collect()
    }
}

fn text(text: &str) -> serde_json::Value {
    text.into()
}

struct Settings {
    root: Node,
    origin: Origin,
}

impl Settings {
    fn set(&mut self, keys: &[&str], value: serde_json::Value) {
        self.set_from(keys, value, self.origin.clone());
    }

    fn set_from(&mut self, keys: &[&str], value: serde_json::Value, origin: Origin) {
        let path = keys.join(".");
        let node = Node::from_json(&value, &path, &origin).unwrap_or_else(|| {
            // No preset has an empty value.
            Node::new(Value::Text(String::new()), path, origin)
        });
        self.root.set(keys, node);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at<'n>(node: &'n Node, keys: &[&str]) -> Option<&'n str> {
        node.get(keys).and_then(Node::text)
    }

    #[test]
    fn the_first_variable_that_is_set_holds_the_key() {
        let cohere = find("cohere").unwrap();
        let environment = Environment::from_iter([("CO_API_KEY", "k"), ("CO_API_URL", "https://eu.example.com")]);
        let settings = cohere.settings(&environment, true);
        assert_eq!(at(&settings, &["secrets", "api_key", "env"]), Some("CO_API_KEY"));
        assert_eq!(at(&settings, &["config", "base_url"]), Some("https://eu.example.com"));
        assert!(matches!(
            settings.get(&["config", "base_url"]).unwrap().origin,
            Origin::Environment(ref name) if name == "CO_API_URL"
        ));
    }

    #[test]
    fn a_preset_brings_its_pool_and_nothing_that_is_usual() {
        let settings = find("voyage").unwrap().settings(&Environment::default(), true);
        let pool = settings.get(&["http_pool"]).unwrap().table().unwrap();
        assert_eq!(pool.keys().collect::<Vec<_>>(), ["max_connections", "read_timeout"]);
        assert!(settings.get(&["secrets"]).is_none());
    }

    #[test]
    fn an_atlas_key_goes_to_its_own_address() {
        let environment = Environment::from_iter([("VOYAGE_API_KEY", "al-123")]);
        let settings = find("voyage").unwrap().settings(&environment, true);
        assert_eq!(
            at(&settings, &["config", "base_url"]),
            Some("https://ai.mongodb.com/v1")
        );
    }

    #[test]
    fn a_servers_address_and_model_come_from_its_own_variables() {
        let heroku = find("heroku").unwrap();
        for url in ["https://eu.inference.heroku.com", "https://eu.inference.heroku.com/v1/"] {
            let variables = [
                ("INFERENCE_KEY", "k"),
                ("INFERENCE_URL", url),
                ("INFERENCE_MODEL_ID", "claude-4-sonnet"),
            ];
            let settings = heroku.settings(&Environment::from_iter(variables), true);
            assert_eq!(
                at(&settings, &["config", "base_url"]),
                Some("https://eu.inference.heroku.com/v1")
            );
            assert_eq!(at(&settings, &["config", "chat_model"]), Some("claude-4-sonnet"));
            assert_eq!(at(&settings, &["secrets", "api_key", "env"]), Some("INFERENCE_KEY"));
        }
    }

    #[test]
    fn each_preset_has_a_name_of_its_own() {
        let mut names = names();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), PRESETS.len());
    }

    #[test]
    fn the_environment_tells_which_presets_are_wanted() {
        let wanted = |variables: &[(&str, &str)]| -> Vec<&str> {
            let environment = Environment::from_iter(variables.iter().copied());
            PRESETS
                .iter()
                .filter(|preset| preset.is_in(&environment))
                .map(|preset| preset.name)
                .collect()
        };
        assert_eq!(wanted(&[("VOYAGE_API_KEY", "k"), ("OPENAI_API_KEY", "")]), ["voyage"]);
        assert_eq!(wanted(&[("QDRANT_URL", "http://localhost:6333")]), ["qdrant"]);
        // An address without a key is of no use where the provider wants one.
        assert_eq!(
            wanted(&[("OPENAI_BASE_URL", "https://gateway.example")]),
            Vec::<&str>::new()
        );
    }
}
