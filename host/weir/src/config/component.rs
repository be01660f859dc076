//! What `component = "…"` names.

use std::path::PathBuf;

/// Where a component's bytes come from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ComponentSource {
    /// The program itself, by this name.
    Bundled(String),
    /// A file.
    File(PathBuf),
}

impl ComponentSource {
    /// Reads the setting.
    pub fn of(text: &str) -> ComponentSource {
        if is_path(text) {
            ComponentSource::File(text.into())
        } else {
            ComponentSource::Bundled(text.to_owned())
        }
    }
}

/// Whether the setting is a path rather than a bundled component's name.
pub(super) fn is_path(text: &str) -> bool {
    text.contains(['/', '\\']) || text.ends_with(".wasm")
}
