//! The components that the program carries: those in `guest-providers/dist` when it was built.

use crate::presets::PRESETS;

mod table {
    include!(concat!(env!("OUT_DIR"), "/bundled.rs"));
}

/// A component inside the program.
#[derive(Debug, Clone, Copy)]
pub struct Bundled {
    /// Its name: that of the file it was built as.
    pub name: &'static str,
    /// Its bytes.
    pub bytes: &'static [u8],
}

/// All of them, by name.
pub fn all() -> impl Iterator<Item = Bundled> {
    table::COMPONENTS.iter().map(|(name, bytes)| Bundled { name, bytes })
}

/// The one of this name.
pub fn find(name: &str) -> Option<Bundled> {
    all().find(|bundled| bundled.name == name)
}

/// What `component = "…"` may name without being a path: presets, and components that are bundled.
pub fn known_names() -> Vec<&'static str> {
    let mut names: Vec<&str> = PRESETS
        .iter()
        .map(|preset| preset.name)
        .chain(all().map(|bundled| bundled.name))
        .collect();
    names.sort_unstable();
    names.dedup();
    names
}
