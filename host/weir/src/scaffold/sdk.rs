//! The SDK's manifest as a crate needs it that is in no workspace with it: what is inherited here is written out.

use toml::{Table, Value};

/// Its place in a new crate.
pub(super) const MANIFEST: &str = "vendor/weir-guest/Cargo.toml";

const SDK: &str = include_str!("../../../../guest-providers/sdk/Cargo.toml");
const WORKSPACE: &str = include_str!("../../../../guest-providers/Cargo.toml");

/// The manifest, or why there is none.
pub(super) fn manifest() -> Result<String, String> {
    let read = |text: &str| text.parse::<Table>().map_err(|error| error.to_string());
    let (mut sdk, here) = (read(SDK)?, read(WORKSPACE)?);
    let workspace = |name: &str| here.get("workspace").and_then(|workspace| workspace.get(name));
    for table in ["package", "dependencies"] {
        let given = workspace(table).and_then(Value::as_table);
        let written = sdk.get_mut(table).and_then(Value::as_table_mut);
        for (name, value) in written.into_iter().flatten() {
            if value.get("workspace").is_some() {
                *value = given
                    .and_then(|given| given.get(name.as_str()))
                    .ok_or_else(|| format!("`{table}.{name}` is inherited from nowhere"))?
                    .clone();
            }
        }
    }
    // How its code is judged is decided where it is written.
    sdk.remove("lints");
    toml::to_string(&sdk).map_err(|error| error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_is_inherited_any_more() {
        let manifest = manifest().unwrap();
        assert!(!manifest.contains("workspace"), "{manifest}");
        let table: Table = manifest.parse().unwrap();
        assert_eq!(table["package"]["name"].as_str(), Some("weir-guest"));
        assert_eq!(table["dependencies"]["serde"]["features"][0].as_str(), Some("derive"));
    }
}
