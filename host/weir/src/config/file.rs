//! Finding `weir.toml` and reading it into a [tree](super::tree), `${VAR}` resolved.

use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use toml::de::{DeTable, DeValue};

use super::environment::Environment;
use super::error::ConfigError;
use super::tree::{Node, Origin, Place, SourceFile, Table, Value, join};

/// The file's name where no other is given.
pub const FILE_NAME: &str = "weir.toml";

/// The configuration file: `flag`, `$WEIR_CONFIG`, `weir.toml` in the working folder, then in the user's folder. The
/// first two must exist where they are given.
pub fn find(
    flag: Option<&Path>,
    environment: &Environment,
    working_dir: &Path,
    user_dir: Option<&Path>,
) -> Result<Option<PathBuf>, ConfigError> {
    for (given, by) in [
        (flag, "--config"),
        (environment.get("WEIR_CONFIG").map(Path::new), "WEIR_CONFIG"),
    ] {
        if let Some(path) = given {
            let path = working_dir.join(path);
            return if path.is_file() {
                Ok(Some(path))
            } else {
                Err(ConfigError::NoFile { path, by })
            };
        }
    }
    let found = [Some(working_dir), user_dir]
        .into_iter()
        .flatten()
        .map(|dir| dir.join(FILE_NAME));
    Ok(found.into_iter().find(|path| path.is_file()))
}

/// Reads the file and resolves `${VAR}` in its strings. Relative paths in it are taken from its folder.
pub fn read(path: &Path, environment: &Environment) -> Result<Node, ConfigError> {
    let text = std::fs::read_to_string(path).map_err(|error| ConfigError::Unreadable {
        path: path.to_owned(),
        reason: error.to_string(),
    })?;
    parse(path, text, environment)
}

/// As [`read`], of a text that is there.
pub fn parse(path: &Path, text: String, environment: &Environment) -> Result<Node, ConfigError> {
    let file = Arc::new(SourceFile {
        path: path.to_owned(),
        text,
    });
    let places = Places {
        file: Arc::clone(&file),
    };
    let document = DeTable::parse(&file.text).map_err(|error| {
        let origin = error.span().map(|span| places.of(span));
        ConfigError::syntax(origin.unwrap_or_else(|| places.of(0..0)), error.message())
    })?;
    let mut root = Node::root();
    root.value = Value::Table(table(document.get_ref(), "", &places, environment)?);
    root.origin = places.of(0..0);
    root.key_origin = places.of(0..0);
    if let Some(folder) = path.parent() {
        anchor_paths(&mut root, folder);
    }
    Ok(root)
}

/// The value of a piece of TOML that has no place in a file. None for a date.
pub(super) fn value_of_toml(value: &DeValue<'_>, path: &str, origin: &Origin) -> Option<Value> {
    Some(match value {
        DeValue::Array(items) => Value::List(
            items
                .iter()
                .enumerate()
                .map(|(index, item)| {
                    let path = format!("{path}[{index}]");
                    Some(Node::new(
                        value_of_toml(item.get_ref(), &path, origin)?,
                        path,
                        origin.clone(),
                    ))
                })
                .collect::<Option<_>>()?,
        ),
        DeValue::Table(entries) => Value::Table(
            entries
                .iter()
                .map(|(key, value)| {
                    let path = join(path, key.get_ref());
                    let node = Node::new(value_of_toml(value.get_ref(), &path, origin)?, path, origin.clone());
                    Some((key.get_ref().clone().into_owned(), node))
                })
                .collect::<Option<_>>()?,
        ),
        DeValue::String(text) => Value::Text(text.clone().into_owned()),
        other => return scalar(other),
    })
}

fn scalar(value: &DeValue<'_>) -> Option<Value> {
    Some(match value {
        DeValue::Boolean(value) => Value::Boolean(*value),
        DeValue::Integer(integer) => Value::Integer(i64::from_str_radix(integer.as_str(), integer.radix()).ok()?),
        DeValue::Float(float) => Value::Float(float.as_str().parse().ok()?),
        _ => return None,
    })
}

struct Places {
    file: Arc<SourceFile>,
}

impl Places {
    fn of(&self, span: Range<usize>) -> Origin {
        let text = &self.file.text;
        let start = span.start.min(text.len());
        let before = text.get(..start).unwrap_or_default();
        let line_start = before.rfind('\n').map_or(0, |newline| newline + 1);
        let marked = text.get(start..span.end.min(text.len())).unwrap_or_default();
        Origin::File(Place {
            file: Arc::clone(&self.file),
            line: before.matches('\n').count() + 1,
            column: before.get(line_start..).unwrap_or_default().chars().count() + 1,
            width: marked
                .lines()
                .next()
                .unwrap_or_default()
                .trim_end()
                .chars()
                .count()
                .max(1),
        })
    }
}

fn table(entries: &DeTable<'_>, path: &str, places: &Places, environment: &Environment) -> Result<Table, ConfigError> {
    entries
        .iter()
        .map(|(key, value)| {
            let mut child = node(
                value.get_ref(),
                value.span(),
                &join(path, key.get_ref()),
                places,
                environment,
            )?;
            child.key_origin = places.of(key.span());
            Ok((key.get_ref().clone().into_owned(), child))
        })
        .collect()
}

fn node(
    value: &DeValue<'_>,
    span: Range<usize>,
    path: &str,
    places: &Places,
    environment: &Environment,
) -> Result<Node, ConfigError> {
    let origin = places.of(span);
    let mut as_written = None;
    let value = match value {
        DeValue::Table(entries) => Value::Table(table(entries, path, places, environment)?),
        DeValue::Array(items) => Value::List(
            items
                .iter()
                .enumerate()
                .map(|(index, item)| {
                    node(
                        item.get_ref(),
                        item.span(),
                        &format!("{path}[{index}]"),
                        places,
                        environment,
                    )
                })
                .collect::<Result<_, _>>()?,
        ),
        // A secret's variable is named, not resolved: its value would be taken for the name.
        DeValue::String(text) if path.ends_with(".env") && is_secret_source(path) => {
            Value::Text(text.clone().into_owned())
        }
        DeValue::String(text) => {
            let resolved = interpolate(text, environment)
                .map_err(|problem| ConfigError::interpolation(origin.clone(), path, &problem))?;
            as_written = (resolved != *text).then(|| text.clone().into_owned());
            Value::Text(resolved)
        }
        other => scalar(other).ok_or_else(|| ConfigError::unusable_value(origin.clone(), path, other.type_str()))?,
    };
    Ok(Node {
        as_written,
        ..Node::new(value, path, origin)
    })
}

/// Whether what stands there says where a secret is kept.
fn is_secret_source(path: &str) -> bool {
    path.starts_with("server.api_keys[") || (path.starts_with("providers.") && path.contains(".secrets."))
}

/// Why `${…}` could not be resolved.
#[derive(Debug, PartialEq, Eq)]
pub enum InterpolationProblem {
    /// The variable is not set.
    Undefined(String),
    /// The brace is not closed, or what it holds is no name.
    Malformed,
}

/// Replaces `${VAR}` by the variable's value; `$${` stands for `${` itself.
fn interpolate(text: &str, environment: &Environment) -> Result<String, InterpolationProblem> {
    let mut resolved = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, after)) = rest.split_once("${") {
        if let Some(escaped) = before.strip_suffix('$') {
            resolved.push_str(escaped);
            resolved.push_str("${");
            rest = after;
            continue;
        }
        let (name, tail) = after.split_once('}').ok_or(InterpolationProblem::Malformed)?;
        if name.is_empty() || !name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_') {
            return Err(InterpolationProblem::Malformed);
        }
        let value = environment
            .defined(name)
            .ok_or_else(|| InterpolationProblem::Undefined(name.to_owned()))?;
        resolved.push_str(before);
        resolved.push_str(value);
        rest = tail;
    }
    resolved.push_str(rest);
    Ok(resolved)
}

/// Makes the settings that are paths absolute, from `folder`.
fn anchor_paths(root: &mut Node, folder: &Path) {
    let anchor = |node: &mut Node| {
        if let Value::Text(text) = &mut node.value {
            *text = folder.join(&*text).to_string_lossy().into_owned();
        }
    };
    let Value::Table(settings) = &mut root.value else {
        return;
    };
    for key in ["data_dir", "cache_dir"] {
        settings.get_mut(key).map(anchor);
    }
    let pool = |node: &mut Node| {
        if let Value::Table(pool) = &mut node.value {
            for key in ["ca_file", "client_cert", "client_key"] {
                pool.get_mut(key).map(anchor);
            }
        }
    };
    settings.get_mut("http_pool").map(pool);
    let sources = |node: &mut Node| {
        if let Value::Table(source) = &mut node.value {
            source.get_mut("file").map(anchor);
        }
    };
    if let Some(Value::Table(server)) = settings.get_mut("server").map(|node| &mut node.value)
        && let Some(Value::List(keys)) = server.get_mut("api_keys").map(|node| &mut node.value)
    {
        keys.iter_mut().for_each(sources);
    }
    let Some(Value::Table(providers)) = settings.get_mut("providers").map(|node| &mut node.value) else {
        return;
    };
    for provider in providers.values_mut() {
        let Value::Table(provider) = &mut provider.value else {
            continue;
        };
        if let Some(component) = provider.get_mut("component")
            && component.text().is_some_and(super::component::is_path)
        {
            anchor(component);
        }
        provider.get_mut("http_pool").map(pool);
        if let Some(Value::Table(secrets)) = provider.get_mut("secrets").map(|node| &mut node.value) {
            secrets.values_mut().for_each(sources);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_file_there_is_counts_and_one_that_is_named_must_be_there() {
        let (working, user) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let look = |flag: Option<&str>, variable: Option<&str>| {
            let environment: Environment = variable.map(|path| ("WEIR_CONFIG", path)).into_iter().collect();
            find(flag.map(Path::new), &environment, working.path(), Some(user.path()))
        };
        assert_eq!(look(None, None).unwrap(), None);
        for file in [user.path().join(FILE_NAME), working.path().join(FILE_NAME)] {
            std::fs::write(&file, "").unwrap();
            assert_eq!(look(None, None).unwrap(), Some(file));
        }
        for name in ["a.toml", "b.toml"] {
            std::fs::write(working.path().join(name), "").unwrap();
        }
        assert_eq!(look(None, Some("b.toml")).unwrap(), Some(working.path().join("b.toml")));
        assert_eq!(
            look(Some("a.toml"), Some("b.toml")).unwrap(),
            Some(working.path().join("a.toml"))
        );
        for (flag, variable, named) in [(Some("no"), None, "--config"), (None, Some("no"), "WEIR_CONFIG")] {
            assert!(matches!(look(flag, variable), Err(ConfigError::NoFile { by, .. }) if by == named));
        }
    }

    #[test]
    fn variables_are_resolved_inside_a_string() {
        let environment = Environment::from_iter([("HOST", "example.com"), ("PORT", "80")]);
        assert_eq!(
            interpolate("http://${HOST}:${PORT}/", &environment).unwrap(),
            "http://example.com:80/"
        );
        assert_eq!(interpolate("$${HOST} $5", &environment).unwrap(), "${HOST} $5");
        assert_eq!(
            interpolate("${HOST", &environment),
            Err(InterpolationProblem::Malformed)
        );
        assert_eq!(
            interpolate("${X}", &environment),
            Err(InterpolationProblem::Undefined("X".into()))
        );
    }

    #[test]
    fn a_place_counts_lines_and_columns_from_one() {
        let root = parse(
            Path::new("weir.toml"),
            "[server]\n  listen = \"ä\"\n".into(),
            &Environment::default(),
        )
        .unwrap();
        let Origin::File(place) = &root.get(&["server", "listen"]).unwrap().origin else {
            panic!("not from a file")
        };
        assert_eq!((place.line, place.column, place.width), (2, 12, 3));
    }

    #[test]
    fn relative_paths_start_at_the_files_folder() {
        let text = "data_dir = \"data\"\nhttp_pool.ca_file = \"ca.pem\"\n[providers.a]\ncomponent = \"./a.wasm\"\nsecrets.k = { file = \"k\" }";
        let root = parse(Path::new("/etc/weir/weir.toml"), text.into(), &Environment::default()).unwrap();
        assert_eq!(root.get(&["data_dir"]).unwrap().text(), Some("/etc/weir/data"));
        assert_eq!(
            root.get(&["providers", "a", "component"]).unwrap().text(),
            Some("/etc/weir/./a.wasm")
        );
        assert_eq!(
            root.get(&["providers", "a", "secrets", "k", "file"]).unwrap().text(),
            Some("/etc/weir/k")
        );
    }
}
