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
    /// Where it is in each region, if it is in many.
    regions: Option<Regions>,
    /// Variables that hold the secret `api_key`, the first that is set wins.
    key_variables: &'static [&'static str],
    /// Other secrets, each with the variables that hold it.
    secrets: &'static [(&'static str, &'static [&'static str])],
    /// The component's settings that variables hold: the setting, and its variables, the first that is set wins.
    setting_variables: &'static [(&'static str, &'static [&'static str])],
    /// Settings of the component's that are the provider's own.
    config: &'static [(&'static str, &'static str)],
    /// Seconds to wait for a conversation's answer, and between two pieces of it, where the default is too little.
    chat_timeout: Option<u32>,
    /// Whether a 429 that tells no time to wait is about the request and not about when it was sent.
    untold_429_is_final: bool,
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

/// The addresses of a provider that has one in each of its regions, which its setting `region` names.
#[derive(Debug)]
struct Regions {
    /// The one when nobody names another.
    default: &'static str,
    /// Each setting that is an address, `base_url` first, and the address before and behind the region.
    addresses: &'static [(&'static str, &'static str, &'static str)],
}

/// The secret of most providers.
const API_KEY: &str = "api_key";

const PLAIN: Preset = Preset {
    name: "",
    component: "",
    base_url: None,
    base_url_variables: &[],
    base_url_path: "",
    base_url_by_key: None,
    regions: None,
    key_variables: &[],
    secrets: &[],
    setting_variables: &[],
    config: &[],
    chat_timeout: None,
    untold_429_is_final: false,
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

    /// Whether the environment says that it is to be used: it has a secret or the address.
    pub fn is_in(&self, environment: &Environment) -> bool {
        let address_alone = self.first_variable().is_none() || self.base_url.is_some();
        self.all_secrets()
            .any(|(_, variables)| environment.first(variables).is_some())
            || (address_alone && environment.first(self.base_url_variables).is_some())
    }

    /// The variables that may hold this secret.
    pub fn variables_of(&self, secret: &str) -> &'static [&'static str] {
        self.all_secrets()
            .find(|(name, _)| *name == secret)
            .map_or(&[], |(_, variables)| variables)
    }

    /// The variable to set for the provider to be there, if it takes any secret.
    pub fn first_variable(&self) -> Option<&'static str> {
        self.all_secrets().find_map(|(_, variables)| variables.first().copied())
    }

    fn all_secrets(&self) -> impl Iterator<Item = (&'static str, &'static [&'static str])> {
        std::iter::once((API_KEY, self.key_variables)).chain(self.secrets.iter().copied())
    }

    /// The settings that the preset stands for. The variables that hold its secrets are among them if they are set, and
    /// if `with_key`.
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
        if let Some((variable, url)) = environment.first(self.base_url_variables) {
            let origin = Origin::Environment(variable.to_owned());
            settings.set_from(&["config", "base_url"], text(&self.address(url)), origin);
        } else if let Some((_, url)) = by_key {
            settings.set(&["config", "base_url"], text(url));
        } else if let Some(url) = self.base_url {
            settings.set(&["config", "base_url"], text(url));
        }
        for (secret, variables) in self.all_secrets().filter(|_| with_key) {
            if let Some((variable, _)) = environment.first(variables) {
                settings.set(&["secrets", secret, "env"], text(variable));
            }
        }
        for (setting, value) in self.config {
            settings.set(&["config", setting], text(value));
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
        if self.untold_429_is_final {
            settings.set(&["resilience", "retry_429_without_retry_after"], false.into());
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

    /// Fills in what follows from a provider's settings, whoever made them: its addresses, from its region, unless another
    /// address is given.
    pub fn complete(&self, provider: &mut Node) {
        let Some(regions) = &self.regions else { return };
        if provider.get(&["config", "base_url"]).is_some() {
            return;
        }
        let region = provider.get(&["config", "region"]).and_then(Node::text);
        let region = region.unwrap_or(regions.default).to_owned();
        for (setting, before, behind) in regions.addresses {
            if provider.get(&["config", setting]).is_none() {
                let url = Value::Text(format!("{before}{region}{behind}"));
                let origin = Origin::Preset(self.name.to_owned());
                let node = Node::new(url, format!("config.{setting}"), origin);
                provider.set(&["config", setting], node);
            }
        }
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
mod tests;
