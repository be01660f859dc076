//! The effective settings, each with its origin. Secrets are shown by the place they are kept in.

use std::fmt::Write as _;

use serde::Serialize;

use super::layers::EffectiveConfig;
use super::proxy;
use super::tree::{Node, Origin, Value, is_sensitive, join};

/// One setting.
#[derive(Debug, Serialize)]
pub struct Setting {
    /// Its dotted path.
    pub key: String,
    /// Its value.
    pub value: serde_json::Value,
    /// Who set it, as text: `default`, `preset NAME`, `FILE:LINE`, `environment NAME`, `flag --NAME`.
    pub origin: String,
    #[serde(skip)]
    table: String,
    #[serde(skip)]
    name: String,
}

/// Every setting in force.
pub fn settings(config: &EffectiveConfig) -> Vec<Setting> {
    let mut found = Vec::new();
    collect("", &config.tree, &mut found);
    found
}

/// The settings as TOML, the origin of each behind it.
pub fn render(config: &EffectiveConfig) -> String {
    let mut out = match &config.file {
        Some(file) => format!("# {}\n", file.display()),
        None => "# no configuration file\n".to_owned(),
    };
    let settings = settings(config);
    let mut tables: Vec<&str> = Vec::new();
    for setting in &settings {
        if !tables.contains(&setting.table.as_str()) {
            tables.push(&setting.table);
        }
    }
    // What belongs to no table comes first, or TOML would read it as part of the table before it.
    tables.sort_by_key(|table| !table.is_empty());
    for table in tables {
        if !table.is_empty() {
            let _ = writeln!(out, "\n[{table}]");
        }
        let lines: Vec<(String, &str)> = settings
            .iter()
            .filter(|setting| setting.table == table)
            .map(|setting| {
                (
                    format!("{} = {}", setting.name, toml_text(&setting.value)),
                    setting.origin.as_str(),
                )
            })
            .collect();
        let width = lines
            .iter()
            .map(|(line, _)| line.chars().count())
            .max()
            .unwrap_or_default();
        for (line, origin) in lines {
            let _ = writeln!(out, "{line:width$}  # {origin}");
        }
    }
    out
}

fn collect(path: &str, node: &Node, found: &mut Vec<Setting>) {
    let Value::Table(table) = &node.value else { return };
    let mut tables = Vec::new();
    for (key, child) in table {
        let child_path = join(path, key);
        if matches!(child.value, Value::Table(_)) && !is_secret_source(path) {
            tables.push((child_path, child));
            continue;
        }
        found.push(Setting {
            value: shown(key, path, child),
            origin: origin_of(child).to_string(),
            table: path.to_owned(),
            name: join("", key),
            key: child_path,
        });
    }
    for (path, child) in tables {
        collect(&path, child, found);
    }
}

/// Entries of a `secrets` table say where a secret is kept, and are shown on one line.
fn is_secret_source(table: &str) -> bool {
    table.starts_with("providers.") && table.ends_with(".secrets")
}

/// The origin of a value; of a secret's source, that of its one key.
fn origin_of(node: &Node) -> &Origin {
    match &node.value {
        Value::Table(table) => table.values().next().map_or(&node.origin, |inner| &inner.origin),
        _ => &node.origin,
    }
}

fn shown(key: &str, table: &str, node: &Node) -> serde_json::Value {
    // A component's setting that is named like a secret may be one, put in the wrong place.
    if table.starts_with("providers.") && table.ends_with(".config") && is_sensitive(key) {
        return "(masked)".into();
    }
    match plain(node) {
        // A proxy's URL may hold a password.
        serde_json::Value::String(url) if key == "proxy" => proxy::masked(&url).into(),
        shown => shown,
    }
}

fn plain(node: &Node) -> serde_json::Value {
    if let Some(written) = node
        .as_written
        .as_ref()
        .or(node.raw.as_ref().filter(|_| matches!(node.value, Value::Text(_))))
    {
        return written.clone().into();
    }
    match &node.value {
        Value::Text(text) => text.clone().into(),
        Value::Integer(integer) => (*integer).into(),
        Value::Float(float) => (*float).into(),
        Value::Boolean(value) => (*value).into(),
        Value::List(items) => items.iter().map(plain).collect(),
        Value::Table(table) => table.iter().map(|(key, node)| (key.clone(), plain(node))).collect(),
    }
}

/// A value as TOML on one line.
fn toml_text(value: &serde_json::Value) -> String {
    match value {
        serde_json::Value::String(text) => toml::Value::String(text.clone()).to_string(),
        serde_json::Value::Array(items) => format!("[{}]", items.iter().map(toml_text).collect::<Vec<_>>().join(", ")),
        serde_json::Value::Object(entries) => {
            let entries: Vec<String> = entries
                .iter()
                .map(|(key, value)| format!("{} = {}", join("", key), toml_text(value)))
                .collect();
            format!("{{ {} }}", entries.join(", "))
        }
        other => other.to_string(),
    }
}
