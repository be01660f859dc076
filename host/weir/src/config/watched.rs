//! The files that a running server watches: what it was configured from, and what the configuration names.

use std::path::PathBuf;

use super::component::ComponentSource;
use super::file::FILE_NAME;
use super::layers::{EffectiveConfig, Sources};
use super::secrets::SecretSource;
use super::settings::HttpPool;

/// Where the configuration file is, or would be found. A folder that is not there yet is none to watch.
pub fn configuration(sources: &Sources) -> Vec<PathBuf> {
    let Sources {
        file,
        environment,
        folders,
        ..
    } = sources;
    let named = file
        .as_deref()
        .or_else(|| environment.get("WEIR_CONFIG").map(std::path::Path::new));
    if let Some(file) = named {
        return vec![folders.working.join(file)];
    }
    let folders = [Some(&folders.working), folders.config.as_ref()];
    let folders = folders.into_iter().flatten().filter(|folder| folder.is_dir());
    folders.map(|folder| folder.join(FILE_NAME)).collect()
}

/// Every file that the configuration names: components, secrets, certificates.
pub fn named(config: &EffectiveConfig) -> Vec<PathBuf> {
    let config = &config.config;
    let mut files: Vec<PathBuf> = config
        .server
        .api_keys
        .iter()
        .filter_map(|key| secret(&key.source))
        .collect();
    for provider in config.providers.values() {
        if let ComponentSource::File(file) = ComponentSource::of(&provider.component) {
            files.push(file);
        }
        files.extend(provider.secrets.values().filter_map(|kept| secret(&kept.source)));
        let HttpPool {
            ca_file,
            client_cert,
            client_key,
            ..
        } = &provider.http_pool;
        files.extend([ca_file, client_cert, client_key].into_iter().flatten().cloned());
    }
    files
}

fn secret(source: &SecretSource) -> Option<PathBuf> {
    match source {
        SecretSource::File(file) => Some(file.clone()),
        SecretSource::Env(_) => None,
    }
}
