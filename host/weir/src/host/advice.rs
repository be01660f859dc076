//! What to do where a provider or its secret is missing.

use super::HostError;
use crate::config::{EffectiveConfig, ProviderConfig};
use crate::{presets, suggest};

/// A provider that the configuration does not have.
pub(super) fn unknown(name: &str, config: &EffectiveConfig) -> HostError {
    match presets::find(name) {
        Some(preset) => HostError::UnknownProvider {
            name: name.to_owned(),
            suggestion: " in this configuration".to_owned(),
            hint: format!("; {}", how_to_add(preset, config.lists_providers)),
        },
        None => {
            let names: Vec<&str> = config.config.providers.keys().map(String::as_str).collect();
            HostError::UnknownProvider {
                name: name.to_owned(),
                suggestion: suggest::ending(name, &names),
                hint: String::new(),
            }
        }
    }
}

/// How to give a secret that is missing.
pub(super) fn how_to_give(provider: &str, secret: &str, config: &ProviderConfig) -> String {
    let table = format!("`{secret} = {{ env = \"NAME\" }}` under [providers.{provider}.secrets]");
    let preset = presets::find(provider).or_else(|| presets::find(&config.component));
    match preset.and_then(|preset| preset.variables_of(secret).first()) {
        Some(variable) => format!("set the environment variable {variable}, or say where it is kept with {table}"),
        None => format!("say where it is kept with {table}"),
    }
}

/// How to add a preset that the configuration leaves out. Its key in the environment is enough where no file lists
/// the providers.
fn how_to_add(preset: &presets::Preset, lists_providers: bool) -> String {
    let table = format!("add [providers.{}] to weir.toml", preset.name);
    match preset.first_variable() {
        Some(variable) if !lists_providers => format!("set {variable} or {table}"),
        _ => table,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn advice_names_the_presets_variable() {
        let config: ProviderConfig = serde_json::from_value(serde_json::json!({"component": "voyage"})).unwrap();
        assert_eq!(
            how_to_give("fast", "api_key", &config),
            "set the environment variable VOYAGE_API_KEY, or say where it is kept with `api_key = { env = \"NAME\" }` under \
             [providers.fast.secrets]"
        );
    }
}
