//! Settings before they have types: a tree of values, each knowing where it was written.
//!
//! Every layer (defaults, presets, file, environment, flags) is such a tree. Laying one over another keeps the origin of
//! each value, so that an error can point at the line and `weir config show` can tell where a setting comes from.

use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;

/// A configuration file as it was read.
#[derive(Debug)]
pub struct SourceFile {
    /// Where it was found.
    pub path: PathBuf,
    /// Its text.
    pub text: String,
}

/// A place in a configuration file. Lines and columns count from 1.
#[derive(Debug, Clone)]
pub struct Place {
    /// The file.
    pub file: Arc<SourceFile>,
    /// The line.
    pub line: usize,
    /// The column, in characters.
    pub column: usize,
    /// Characters that the excerpt marks.
    pub width: usize,
}

/// Who set a value.
#[derive(Debug, Clone)]
pub enum Origin {
    /// The program.
    Default,
    /// The preset of a bundled provider.
    Preset(String),
    /// A line of the configuration file.
    File(Place),
    /// An environment variable.
    Environment(String),
    /// A flag of the command.
    Flag(&'static str),
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Origin::Default => f.write_str("default"),
            Origin::Preset(name) => write!(f, "preset {name}"),
            Origin::File(place) => write!(f, "{}:{}", place.file.path.display(), place.line),
            Origin::Environment(name) => write!(f, "environment {name}"),
            Origin::Flag(flag) => write!(f, "flag {flag}"),
        }
    }
}

/// A value, or a table of them.
#[derive(Debug, Clone)]
pub enum Value {
    /// A string.
    Text(String),
    /// A whole number.
    Integer(i64),
    /// A number.
    Float(f64),
    /// `true` or `false`.
    Boolean(bool),
    /// A list.
    List(Vec<Node>),
    /// Values by key.
    Table(Table),
}

/// Values by key.
pub type Table = BTreeMap<String, Node>;

/// A value with its place.
#[derive(Debug, Clone)]
pub struct Node {
    /// The value.
    pub value: Value,
    /// The dotted path of keys under which it was written.
    pub path: String,
    /// Where the value was written.
    pub origin: Origin,
    /// Where its key was written.
    pub key_origin: Origin,
    /// The text of an environment variable: what a string setting takes, whatever the value parses as.
    pub raw: Option<String>,
    /// The text before `${…}` was resolved. Shown in place of the value, which may hold what is not to be seen.
    pub as_written: Option<String>,
}

impl Node {
    /// A value that has one place for itself and its key.
    pub fn new(value: Value, path: impl Into<String>, origin: Origin) -> Node {
        Node {
            value,
            path: path.into(),
            key_origin: origin.clone(),
            origin,
            raw: None,
            as_written: None,
        }
    }

    /// An empty table at the root.
    pub fn root() -> Node {
        Node::new(Value::Table(Table::new()), "", Origin::Default)
    }

    /// A tree of the values that `settings` has; what is absent in it stays absent.
    pub fn from_json(json: &serde_json::Value, path: &str, origin: &Origin) -> Option<Node> {
        let value = match json {
            serde_json::Value::Null => return None,
            serde_json::Value::Bool(value) => Value::Boolean(*value),
            serde_json::Value::Number(number) => match number.as_i64() {
                Some(integer) => Value::Integer(integer),
                None => Value::Float(number.as_f64()?),
            },
            serde_json::Value::String(text) => Value::Text(text.clone()),
            serde_json::Value::Array(items) => Value::List(
                items
                    .iter()
                    .enumerate()
                    .filter_map(|(index, item)| Node::from_json(item, &format!("{path}[{index}]"), origin))
                    .collect(),
            ),
            serde_json::Value::Object(entries) => Value::Table(
                entries
                    .iter()
                    .filter_map(|(key, value)| Some((key.clone(), Node::from_json(value, &join(path, key), origin)?)))
                    .collect(),
            ),
        };
        Some(Node::new(value, path, origin.clone()))
    }

    /// The table, if it is one.
    pub fn table(&self) -> Option<&Table> {
        match &self.value {
            Value::Table(table) => Some(table),
            _ => None,
        }
    }

    /// The text, if it is one.
    pub fn text(&self) -> Option<&str> {
        match (&self.raw, &self.value) {
            (Some(raw), _) => Some(raw),
            (None, Value::Text(text)) => Some(text),
            _ => None,
        }
    }

    /// The node under these keys.
    pub fn get(&self, keys: &[&str]) -> Option<&Node> {
        keys.iter().try_fold(self, |node, key| node.table()?.get(*key))
    }

    /// Takes the node under a key out.
    pub fn take(&mut self, key: &str) -> Option<Node> {
        match &mut self.value {
            Value::Table(table) => table.remove(key),
            _ => None,
        }
    }

    /// Sets the node under these keys; tables are made where there are none, and a value in the way is replaced.
    pub fn set(&mut self, keys: &[&str], node: Node) {
        let Some((first, rest)) = keys.split_first() else {
            *self = node;
            return;
        };
        if !matches!(self.value, Value::Table(_)) {
            self.value = Value::Table(Table::new());
        }
        let path = join(&self.path, first);
        if let Value::Table(table) = &mut self.value {
            let origin = node.key_origin.clone();
            table
                .entry((*first).to_owned())
                .or_insert_with(|| Node::new(Value::Table(Table::new()), path, origin))
                .set(rest, node);
        }
    }

    /// Lays `over` on this one: tables merge key by key, anything else is replaced.
    pub fn lay(&mut self, over: Node) {
        self.lay_over(over, false);
    }

    fn lay_over(&mut self, over: Node, holds_secrets: bool) {
        match (&mut self.value, over) {
            (
                Value::Table(under),
                Node {
                    value: Value::Table(entries),
                    origin,
                    key_origin,
                    path,
                    ..
                },
            ) => {
                for (key, node) in entries {
                    match under.get_mut(&key) {
                        Some(existing) => {
                            if holds_secrets {
                                existing.forget_source(&node);
                            }
                            existing.lay_over(node, key == "secrets");
                        }
                        None => _ = under.insert(key, node),
                    }
                }
                (self.origin, self.key_origin, self.path) = (origin, key_origin, path);
            }
            (_, over) => *self = over,
        }
    }

    /// `{ env = … }` and `{ file = … }` are one secret's source, not two settings to merge. What else is said of the
    /// secret holds for any source.
    fn forget_source(&mut self, over: &Node) {
        const SOURCES: [&str; 2] = ["env", "file"];
        if SOURCES.iter().any(|source| over.get(&[source]).is_some()) {
            for source in SOURCES {
                self.take(source);
            }
        }
    }
}

/// A path and one more key.
pub fn join(path: &str, key: &str) -> String {
    let bare = !key.is_empty() && key.chars().all(|c| c.is_ascii_alphanumeric() || c == '_' || c == '-');
    let key = if bare { key.to_owned() } else { format!("{key:?}") };
    if path.is_empty() { key } else { format!("{path}.{key}") }
}

/// Whether a text holds a URL with a user name or a password.
pub fn names_user(text: &str) -> bool {
    text.split_once("://").is_some_and(|(_, rest)| rest.contains('@'))
}

/// Whether a name says that what it holds is not to be shown, or a line holds a URL with a user name or a password.
pub fn is_sensitive(name: &str) -> bool {
    let name = name.to_ascii_lowercase();
    names_user(&name)
        || ["key", "secret", "token", "password", "passwd", "credential", "proxy"]
            .iter()
            .any(|word| name.contains(word))
}
