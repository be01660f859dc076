//! Flags over environment over file over presets over defaults, each only where it says something.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use secrecy::SecretString;

use super::environment::Environment;
use super::error::ConfigError;
use super::resilience::Resilience;
use super::secrets::{KeyLimits, SecretError};
use super::settings::{Config, HttpPool, Index, Limits, Server};
use super::tree::{Node, Origin, Table, Value, join};
use super::{de, environment, file, validate};
use crate::presets::{self, PRESETS, Preset};
use crate::{bundled, suggest};

/// Folders of the user and of the process.
#[derive(Debug, Clone)]
pub struct Folders {
    /// From which relative paths on the command line and in the environment are taken.
    pub working: PathBuf,
    /// Where the user's `weir.toml` is.
    pub config: Option<PathBuf>,
    /// Where data goes if nothing else is said.
    pub data: PathBuf,
    /// Where compiled components go if nothing else is said.
    pub cache: PathBuf,
}

impl Folders {
    /// The platform's folders. Without a home, everything is kept in `.weir` of the working folder.
    pub fn of_platform(working: PathBuf) -> Folders {
        match directories::ProjectDirs::from("", "", "weir") {
            Some(dirs) => Folders {
                config: Some(dirs.config_dir().to_owned()),
                data: dirs.data_dir().to_owned(),
                cache: dirs.cache_dir().to_owned(),
                working,
            },
            None => Folders {
                config: None,
                data: working.join(".weir"),
                cache: working.join(".weir").join("cache"),
                working,
            },
        }
    }
}

/// Where settings may come from.
#[derive(Debug, Clone)]
pub struct Sources {
    /// The file that `--config` names.
    pub file: Option<PathBuf>,
    /// The environment.
    pub environment: Environment,
    /// The platform's folders.
    pub folders: Folders,
    /// What the command's flags say: the flag, the setting's keys, the text given.
    pub flags: Vec<(&'static str, Vec<String>, String)>,
}

/// The settings in force.
#[derive(Debug, Clone)]
pub struct EffectiveConfig {
    /// The settings.
    pub config: Config,
    /// The same with the origin of each.
    pub tree: Node,
    /// The environment they were read from: secrets are looked up in it.
    pub environment: Environment,
    /// The file, if there was one.
    pub file: Option<PathBuf>,
    /// Whether the file is there and sets nothing.
    pub is_blank: bool,
    /// Whether the file lists the providers; if not, the keys in the environment make them.
    pub lists_providers: bool,
}

impl EffectiveConfig {
    /// The keys that callers of the server may show, and what each may ask for.
    ///
    /// # Errors
    /// Where one is not where the configuration says.
    pub fn api_keys(&self) -> Result<Vec<(SecretString, KeyLimits)>, SecretError> {
        let keys = self.config.server.api_keys.iter();
        keys.map(|key| Ok((key.source.read(&self.environment)?, key.limits)))
            .collect()
    }

    /// Checks what the server would refuse to start with.
    ///
    /// # Errors
    /// An address that others reach, without keys to tell friend from stranger.
    pub fn check_server(&self) -> Result<(), ConfigError> {
        let server = &self.config.server;
        if !server.api_keys.is_empty() || server.address().ip().is_loopback() {
            return Ok(());
        }
        let message = format!(
            "without keys only a loopback address may be listened on, and {} is none; set WEIR_API_KEY, or `api_keys` \
             under [server]",
            server.address()
        );
        let origin = self
            .tree
            .get(&["server", "listen"])
            .map_or(Origin::Default, |node| node.origin.clone());
        Err(ConfigError::setting(origin, "server.listen", message))
    }
}

/// Reads and checks all layers.
pub fn load(sources: &Sources) -> Result<EffectiveConfig, ConfigError> {
    let Sources {
        environment, folders, ..
    } = sources;
    let path = file::find(
        sources.file.as_deref(),
        environment,
        &folders.working,
        folders.config.as_deref(),
    )?;
    let text = match &path {
        Some(path) => file::read(path, environment)?,
        None => Node::root(),
    };
    effective(text, path, sources)
}

/// As [`load`], of a file that was read.
fn effective(file: Node, path: Option<PathBuf>, sources: &Sources) -> Result<EffectiveConfig, ConfigError> {
    let environment = &sources.environment;
    let lists_providers = file.get(&["providers"]).is_some();
    let is_blank = path.is_some() && file.table().is_none_or(Table::is_empty);
    let mut operator = file;
    operator.lay(environment.settings(&operator));
    operator.lay(flags(&sources.flags));

    let mut tree = defaults(&sources.folders);
    let providers = operator.take("providers");
    tree.lay(operator);
    authenticate_by_variable(&mut tree, environment);
    anchor(&mut tree, &sources.folders.working);
    let mut providers = entries(providers)?;
    for name in wanted(&tree, environment, lists_providers) {
        providers.entry(name.to_owned()).or_insert_with(|| {
            Node::new(
                Value::Table(Table::new()),
                join("providers", name),
                Origin::Preset(name.to_owned()),
            )
        });
    }
    let own_pool = operator_pool(&tree);
    let mut resolved = Table::new();
    for (name, provider) in providers {
        let provider = resolve(&name, provider, own_pool.as_ref(), environment)?;
        resolved.insert(name, provider);
    }
    tree.set(
        &["providers"],
        Node::new(Value::Table(resolved), "providers", Origin::Default),
    );

    let config: Config = de::from_tree(&tree)?;
    validate::check(&config, &tree)?;
    Ok(EffectiveConfig {
        config,
        tree,
        environment: environment.clone(),
        file: path,
        is_blank,
        lists_providers,
    })
}

fn flags(given: &[(&'static str, Vec<String>, String)]) -> Node {
    let mut root = Node::root();
    for (flag, keys, text) in given {
        let path = keys.iter().fold(String::new(), |path, key| join(&path, key));
        let keys: Vec<&str> = keys.iter().map(String::as_str).collect();
        root.set(&keys, environment::setting(text, &path, Origin::Flag(flag)));
    }
    root
}

fn defaults(folders: &Folders) -> Node {
    let mut root = Node::root();
    let mut set = |keys: &[&str], value: serde_json::Result<serde_json::Value>| {
        // Settings are plain data: turning them into JSON cannot fail.
        if let Some(node) = value
            .ok()
            .and_then(|value| Node::from_json(&value, &keys.join("."), &Origin::Default))
        {
            root.set(keys, node);
        }
    };
    set(&["data_dir"], serde_json::to_value(&folders.data));
    set(&["cache_dir"], serde_json::to_value(&folders.cache));
    set(&["server"], serde_json::to_value(Server::default()));
    set(&["http_pool"], serde_json::to_value(HttpPool::default()));
    set(&["index"], serde_json::to_value(Index::default()));
    root
}

/// `WEIR_API_KEY` is the server's key where the configuration names none.
fn authenticate_by_variable(tree: &mut Node, environment: &Environment) {
    const VARIABLE: &str = "WEIR_API_KEY";
    let unnamed = tree
        .get(&["server", "api_keys"])
        .is_some_and(|node| matches!(node.origin, Origin::Default));
    if unnamed && environment.get(VARIABLE).is_some() {
        let keys = serde_json::json!([{ "env": VARIABLE }]);
        if let Some(node) = Node::from_json(&keys, "server.api_keys", &Origin::Environment(VARIABLE.to_owned())) {
            tree.set(&["server", "api_keys"], node);
        }
    }
}

/// Makes the folders absolute that the environment or a flag gave.
fn anchor(tree: &mut Node, working: &Path) {
    for key in ["data_dir", "cache_dir"] {
        if let Some(node) = tree.get(&[key]).cloned()
            && let Some(text) = node.text()
        {
            let absolute = working.join(text).to_string_lossy().into_owned();
            tree.set(
                &[key],
                Node {
                    value: Value::Text(absolute),
                    raw: None,
                    ..node
                },
            );
        }
    }
}

fn entries(providers: Option<Node>) -> Result<Table, ConfigError> {
    match providers {
        None => Ok(Table::new()),
        Some(Node {
            value: Value::Table(table),
            ..
        }) => Ok(table),
        Some(node) => Err(ConfigError::setting(
            node.origin,
            node.path,
            "expected a table for each provider, such as [providers.voyage]",
        )),
    }
}

/// The presets that serve without a table of their own: those that always do, those that an index or a route names,
/// and, where the file lists no providers at all, those that the environment has a key for.
fn wanted(tree: &Node, environment: &Environment, lists_providers: bool) -> BTreeSet<&'static str> {
    let named: BTreeSet<&str> = validate::references(tree).into_iter().map(|(_, name)| name).collect();
    PRESETS
        .iter()
        .filter(|preset| {
            preset.is_always_there() || named.contains(preset.name) || (!lists_providers && preset.is_in(environment))
        })
        .map(|preset| preset.name)
        .collect()
}

/// What the operator, and not the program, says in `[http_pool]`.
fn operator_pool(tree: &Node) -> Option<Node> {
    let mut pool = tree.get(&["http_pool"])?.clone();
    if let Value::Table(table) = &mut pool.value {
        table.retain(|_, node| !matches!(node.origin, Origin::Default));
    }
    Some(pool)
}

/// Lays a provider's settings over `[http_pool]`, its preset and the defaults.
fn resolve(
    name: &str,
    provider: Node,
    own_pool: Option<&Node>,
    environment: &Environment,
) -> Result<Node, ConfigError> {
    if provider.table().is_none() {
        let message = format!("expected a table, [providers.{name}]");
        return Err(ConfigError::setting(provider.origin, provider.path, message));
    }
    let (preset, component) = component(name, &provider)?;
    let mut layers = Node::root();
    for (key, value) in [
        ("http_pool", serde_json::to_value(HttpPool::default())),
        ("limits", serde_json::to_value(Limits::default())),
        ("resilience", serde_json::to_value(Resilience::default())),
    ] {
        let path = format!("{}.{key}", provider.path);
        if let Some(node) = value
            .ok()
            .and_then(|value| Node::from_json(&value, &path, &Origin::Default))
        {
            layers.set(&[key], node);
        }
    }
    if let Some(preset) = preset {
        // A key is for the preset's own address: with another one, the operator says which key goes there.
        let with_key = name == preset.name || provider.get(&["config", "base_url"]).is_none();
        layers.lay(preset.settings(environment, with_key));
    }
    if let Some(pool) = own_pool {
        let mut http_pool = Node::root();
        http_pool.set(&["http_pool"], pool.clone());
        layers.lay(http_pool);
    }
    layers.lay(provider);
    if let Some(preset) = preset {
        preset.complete(&mut layers);
    }
    if let Some(component) = component {
        layers.set(&["component"], component);
    }
    Ok(layers)
}

/// The preset that a provider builds on, and its component where it is not the preset's.
fn component(name: &str, provider: &Node) -> Result<(Option<&'static Preset>, Option<Node>), ConfigError> {
    let Some(node) = provider.get(&["component"]) else {
        if let Some(preset) = presets::find(name) {
            return Ok((Some(preset), None));
        }
        if bundled::find(name).is_some() {
            let origin = Origin::Preset(name.to_owned());
            return Ok((
                None,
                Some(Node::new(
                    Value::Text(name.to_owned()),
                    join(&provider.path, "component"),
                    origin,
                )),
            ));
        }
        let message = format!(
            "`component` is missing, and `{name}` is no bundled provider{}",
            suggest::ending(name, &presets::names())
        );
        return Err(ConfigError::setting(
            provider.key_origin.clone(),
            provider.path.clone(),
            message,
        ));
    };
    let Some(text) = node.text() else {
        return Ok((None, None));
    };
    if super::component::is_path(text) {
        return Ok((None, None));
    }
    if let Some(preset) = presets::find(text) {
        let component = Node {
            value: Value::Text(preset.component.to_owned()),
            raw: None,
            ..node.clone()
        };
        return Ok((Some(preset), Some(component)));
    }
    if bundled::find(text).is_some() {
        return Ok((None, None));
    }
    let text = node.as_written.as_deref().unwrap_or(text);
    let message = format!(
        "no component `{text}` is bundled{} (a file is named by its path, such as `./{text}.wasm`)",
        suggest::ending(text, &bundled::known_names())
    );
    Err(ConfigError::setting(node.origin.clone(), node.path.clone(), message))
}

#[cfg(test)]
#[path = "layers_tests.rs"]
mod tests;
