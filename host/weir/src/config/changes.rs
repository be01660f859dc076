//! What differs between two configurations: by the providers' names and the settings' keys, never by their values.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use serde_json::Value;

use super::settings::{Config, ProviderConfig};
use super::tree::join;

/// What is another in a new configuration.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Changes {
    /// Providers that were not there before.
    pub added: BTreeSet<String>,
    /// Providers that are not there any more.
    pub removed: BTreeSet<String>,
    /// By provider: the keys in its table.
    pub providers: BTreeMap<String, BTreeSet<String>>,
    /// The keys elsewhere.
    pub settings: BTreeSet<String>,
}

impl Changes {
    /// What `to` has that `from` has not, and the other way round. Settings that mean the same are the same, however they
    /// are written.
    pub fn between(from: &Config, to: &Config) -> Changes {
        let mut changes = Changes::default();
        let (old, new) = (plain(from), plain(to));
        for path in differences(&old, &new) {
            match path.as_slice() {
                ["providers", name] => {
                    let there = new["providers"].get(*name).is_some();
                    let names = if there {
                        &mut changes.added
                    } else {
                        &mut changes.removed
                    };
                    names.insert((*name).to_owned());
                }
                ["providers", name, keys @ ..] => changes.provider(name, &dotted(keys)),
                keys => _ = changes.settings.insert(dotted(keys)),
            }
        }
        // As plain data it is without its password.
        let proxy = |config: &ProviderConfig| config.http_pool.proxy.0.clone();
        for (name, provider) in &from.providers {
            let other = to.providers.get(name);
            if other.is_some_and(|other| proxy(other) != proxy(provider)) {
                changes.provider(name, "http_pool.proxy");
            }
        }
        changes
    }

    /// A key in a provider's table is another, too.
    pub fn provider(&mut self, name: &str, key: &str) {
        self.providers
            .entry(name.to_owned())
            .or_default()
            .insert(key.to_owned());
    }

    /// Whether nothing is another.
    pub fn is_empty(&self) -> bool {
        *self == Changes::default()
    }
}

/// One line for the log.
impl fmt::Display for Changes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names = |names: &BTreeSet<String>| names.iter().map(|name| join("providers", name)).collect();
        let own = self.providers.iter().flat_map(|(name, keys)| {
            let table = join("providers", name);
            keys.iter().map(move |key| format!("{table}.{key}"))
        });
        let lists: [(&str, Vec<String>); 3] = [
            ("added", names(&self.added)),
            ("removed", names(&self.removed)),
            ("changed", own.chain(self.settings.iter().cloned()).collect()),
        ];
        let said = lists.iter().filter(|(_, keys)| !keys.is_empty());
        let said: Vec<String> = said.map(|(what, keys)| format!("{what} {}", keys.join(", "))).collect();
        f.write_str(&said.join("; "))
    }
}

/// The settings as plain data, which they are: this cannot fail.
fn plain(config: &Config) -> Value {
    serde_json::to_value(config).unwrap_or_default()
}

fn dotted(keys: &[&str]) -> String {
    keys.iter().fold(String::new(), |path, key| join(&path, key))
}

/// The paths of what stands on one side alone, or is another on the other.
fn differences<'a>(old: &'a Value, new: &'a Value) -> Vec<Vec<&'a str>> {
    let (Value::Object(one), Value::Object(other)) = (old, new) else {
        return if old == new { Vec::new() } else { vec![Vec::new()] };
    };
    let keys: BTreeSet<&str> = one.keys().chain(other.keys()).map(String::as_str).collect();
    let below = |key: &'a str| {
        let found = match (one.get(key), other.get(key)) {
            (Some(one), Some(other)) => differences(one, other),
            _ => vec![Vec::new()],
        };
        found.into_iter().map(move |mut path| {
            path.insert(0, key);
            path
        })
    };
    keys.into_iter().flat_map(below).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config(text: &str) -> Config {
        toml::from_str(text).unwrap()
    }

    fn said(old: &str, new: &str) -> String {
        Changes::between(&config(old), &config(new)).to_string()
    }

    const ACME: &str = "[providers.acme]\ncomponent = \"a\"\nlimits.memory = \"64MiB\"\nhttp_pool.read_timeout = 60\n";

    #[test]
    fn what_means_the_same_is_no_change() {
        let other = "[providers.acme]\ncomponent = 'a'\nhttp_pool = { read_timeout = 60.0 }\nlimits = { memory = \"65536KiB\" }\n";
        assert!(Changes::between(&config(ACME), &config(other)).is_empty());
        assert_eq!(said(ACME, other), "");
    }

    #[test]
    fn a_change_is_told_by_name_and_key_and_never_by_value() {
        let new = "[server]\napi_keys = [{ env = \"HUSH\" }]\n[providers.acme]\ncomponent = \"a\"\n\
                   config.\"base url\" = \"https://hush\"\nlimits.memory = \"1GiB\"\nhttp_pool.read_timeout = 60\n\
                   secrets.api_key = { file = \"/hush\" }\n";
        let told = said(ACME, new);
        assert_eq!(
            told,
            "changed providers.acme.config.\"base url\", providers.acme.limits.memory, providers.acme.secrets.api_key, \
             server.api_keys"
        );
        assert_eq!(said(new, ACME), told);
    }

    #[test]
    fn a_provider_is_added_or_removed_as_a_whole() {
        let both = format!("{ACME}[providers.\"b-1\"]\ncomponent = \"b\"\n[routes.chat]\ndefault = [\"acme\"]\n");
        assert_eq!(said(ACME, &both), "added providers.b-1; changed routes.chat.default");
        assert_eq!(said(&both, ACME), "removed providers.b-1; changed routes.chat.default");
    }

    #[test]
    fn a_proxys_other_password_is_a_change() {
        let proxy = |password: &str| format!("{ACME}http_pool.proxy = \"http://ada:{password}@proxy.example:1\"\n");
        assert_eq!(
            said(&proxy("one"), &proxy("two")),
            "changed providers.acme.http_pool.proxy"
        );
        assert_eq!(said(&proxy("one"), &proxy("one")), "");
    }

    #[test]
    fn a_list_is_one_setting() {
        let allow = |networks: &str| format!("[providers.a]\negress.allow_private = [{networks}]\n");
        let (one, two) = (allow("\"127.0.0.1\""), allow("\"127.0.0.1\", \"10.0.0.0/8\""));
        assert_eq!(said(&one, &two), "changed providers.a.egress.allow_private");
    }
}
