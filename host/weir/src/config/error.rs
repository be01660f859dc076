//! What is wrong with a configuration, where, and what to do.

use std::fmt;
use std::path::PathBuf;

use super::file::InterpolationProblem;
use super::tree::{Origin, Place, is_sensitive, join};
use crate::suggest;

/// A configuration that can't be used.
#[derive(Debug, Clone, thiserror::Error)]
pub enum ConfigError {
    /// A file that was named is not there.
    #[error("{by} names {}, which is not a file", path.display())]
    NoFile {
        /// The file.
        path: PathBuf,
        /// The flag or variable that names it.
        by: &'static str,
    },
    /// A file is there and can't be read.
    #[error("can't read {}: {reason}", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// Why, in the system's words.
        reason: String,
    },
    /// A setting is wrong.
    #[error("{0}")]
    Setting(Box<WrongSetting>),
}

/// A setting that is wrong: where it was written, and why.
#[derive(Debug, Clone)]
pub struct WrongSetting {
    /// Where it was written.
    pub origin: Origin,
    /// The dotted path of its key; empty where the error is about the file as a whole.
    pub path: String,
    /// What is wrong, and what to do.
    pub message: String,
    /// Whether what was written there may be a secret, so that the line is not shown.
    sensitive: bool,
}

impl ConfigError {
    /// What is wrong in one line, without the excerpt.
    pub fn line(&self) -> String {
        self.to_string().lines().next().unwrap_or_default().to_owned()
    }

    /// A setting that is wrong.
    pub fn setting(origin: Origin, path: impl Into<String>, message: impl Into<String>) -> ConfigError {
        let path = path.into();
        ConfigError::Setting(Box::new(WrongSetting {
            sensitive: is_sensitive(&path),
            origin,
            path,
            message: message.into(),
        }))
    }

    /// A key that is none; `known` are those that there are beside it.
    pub(super) fn unknown_key(origin: Origin, path: &str, key: &str, known: &[&str]) -> ConfigError {
        let path = join(path, key);
        ConfigError::Setting(Box::new(WrongSetting {
            sensitive: is_sensitive(&path),
            origin,
            message: format!("unknown key `{path}`{}", suggest::ending(key, known)),
            path: String::new(),
        }))
    }

    pub(super) fn syntax(origin: Origin, message: &str) -> ConfigError {
        ConfigError::setting(
            origin,
            "",
            format!("this is not TOML: {}", message.trim_end().replace('\n', ", ")),
        )
    }

    pub(super) fn unusable_value(origin: Origin, path: &str, found: &str) -> ConfigError {
        ConfigError::setting(origin, path, format!("no setting takes a {found} of this kind or size"))
    }

    pub(super) fn interpolation(origin: Origin, path: &str, problem: &InterpolationProblem) -> ConfigError {
        let message = match problem {
            InterpolationProblem::Undefined(name) => {
                format!("the environment variable `{name}` is not defined; set it, or write `$${{` for a plain `${{`")
            }
            InterpolationProblem::Malformed => {
                "`${` must be followed by a variable's name and `}`; write `$${` for a plain `${`".to_owned()
            }
        };
        ConfigError::setting(origin, path, message)
    }
}

impl fmt::Display for WrongSetting {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.origin {
            Origin::File(place) => write!(f, "{}:{}:{}: ", place.file.path.display(), place.line, place.column)?,
            Origin::Environment(name) => write!(f, "environment variable {name}: ")?,
            Origin::Flag(flag) => write!(f, "{flag}: ")?,
            Origin::Preset(_) | Origin::Default => {}
        }
        if !self.path.is_empty() {
            write!(f, "{}: ", self.path)?;
        }
        f.write_str(&self.message)?;
        match &self.origin {
            Origin::File(place) if !self.sensitive => excerpt(place, f),
            _ => Ok(()),
        }
    }
}

/// The line with a mark under the place. Left out where the line may hold a secret.
fn excerpt(place: &Place, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    // Longer lines are of no help, and would wrap under the mark.
    const LONGEST_LINE: usize = 160;
    let Some(line) = place.file.text.lines().nth(place.line - 1) else {
        return Ok(());
    };
    // What is no TOML has no path: its table tells.
    let above = place.file.text.lines().take(place.line);
    let table = above.filter(|line| line.trim_start().starts_with('[')).last();
    if line.trim().is_empty()
        || is_sensitive(line)
        || table.is_some_and(is_sensitive)
        || line.chars().count() > LONGEST_LINE
    {
        return Ok(());
    }
    let number = place.line.to_string();
    let margin = " ".repeat(number.len());
    let indent: String = line
        .chars()
        .take(place.column - 1)
        .map(|c| if c == '\t' { '\t' } else { ' ' })
        .collect();
    write!(
        f,
        "\n {number} | {line}\n {margin} | {indent}{}",
        "^".repeat(place.width)
    )
}
