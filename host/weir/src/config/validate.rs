//! What no single type can tell: names that must exist elsewhere, addresses that need a grant.

use std::net::IpAddr;

use url::{Host, Url};
use weir_runtime::{Capability, Origin as HttpOrigin};

use super::error::ConfigError;
use super::proxy::ProxySetting;
use super::resilience::probe_uri;
use super::settings::{Config, HttpPool, ProviderConfig};
use super::tree::{Node, Value};
use crate::suggest;

/// Checks settings against one another.
pub(super) fn check(config: &Config, tree: &Node) -> Result<(), ConfigError> {
    let names: Vec<&str> = config.providers.keys().map(String::as_str).collect();
    for (node, name) in references(tree) {
        if !names.contains(&name) {
            let name = node.as_written.as_deref().unwrap_or(name);
            let message = format!("no provider `{name}` is configured{}", suggest::ending(name, &names));
            return Err(ConfigError::setting(node.origin.clone(), node.path.clone(), message));
        }
    }
    if let Some(node) = tree.get(&["http_pool"]) {
        check_pool(&config.http_pool, node)?;
    }
    for (name, provider) in &config.providers {
        if let Some(node) = tree.get(&["providers", name]) {
            check_name(name, node)?;
            check_operations(provider, node)?;
            if let Some(pool) = node.get(&["http_pool"]) {
                check_pool(&provider.http_pool, pool)?;
            }
            check_probe(provider, node)?;
            check_addresses(name, provider, node)?;
        }
    }
    Ok(())
}

/// Every place where the index or a route names a provider.
pub(super) fn references(tree: &Node) -> Vec<(&Node, &str)> {
    let mut found = Vec::new();
    for key in ["embedding", "sparse_embedding", "store", "rerank"] {
        if let Some(node) = tree.get(&["index", key])
            && let Some(name) = node.text()
            && name != "none"
        {
            found.push((node, name));
        }
    }
    let tables = tree.get(&["routes"]).and_then(Node::table).into_iter().flatten();
    for route in tables
        .filter_map(|(_, routes)| routes.table())
        .flatten()
        .map(|(_, route)| route)
    {
        if let Value::List(targets) = &route.value {
            found.extend(
                targets
                    .iter()
                    .filter_map(|node| Some((node, target_provider(node.text()?)))),
            );
        }
    }
    found
}

/// The provider of a route's target, `PROVIDER` or `PROVIDER/MODEL`.
fn target_provider(target: &str) -> &str {
    target.split_once('/').map_or(target, |(provider, _)| provider)
}

/// Names stand in metrics, routes and file names.
fn check_name(name: &str, node: &Node) -> Result<(), ConfigError> {
    let usable = name
        .chars()
        .all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-' || c == '_')
        && name.starts_with(|c: char| c.is_ascii_alphanumeric());
    if usable {
        return Ok(());
    }
    let message = "a provider's name is made of lower-case letters, digits, `-` and `_`, and starts with no sign";
    Err(ConfigError::setting(
        node.key_origin.clone(),
        node.path.clone(),
        message,
    ))
}

fn check_operations(provider: &ProviderConfig, node: &Node) -> Result<(), ConfigError> {
    let known: Vec<&str> = Capability::ALL
        .iter()
        .flat_map(|capability| capability.operations())
        .copied()
        .collect();
    let Some(operation) = provider
        .operations
        .keys()
        .find(|operation| !known.contains(&operation.as_str()))
    else {
        return Ok(());
    };
    let place = node.get(&["operations", operation]).unwrap_or(node);
    let message = format!(
        "there is no operation `{operation}`{}",
        suggest::ending(operation, &known)
    );
    Err(ConfigError::setting(
        place.key_origin.clone(),
        place.path.clone(),
        message,
    ))
}

/// Settings of a pool that need one another.
fn check_pool(pool: &HttpPool, node: &Node) -> Result<(), ConfigError> {
    let problem = match (&pool.client_cert, &pool.client_key) {
        (Some(_), None) => Some(("client_cert", "a certificate needs its private key, `client_key`")),
        (None, Some(_)) => Some(("client_key", "a private key needs its certificate, `client_cert`")),
        _ if pool.proxy.0 == ProxySetting::Environment && !pool.no_proxy.is_empty() => Some((
            "no_proxy",
            "this goes with the URL of a `proxy`; beside the environment's, set the variable NO_PROXY",
        )),
        _ => None,
    };
    let Some((key, message)) = problem else { return Ok(()) };
    let place = node.get(&[key]).unwrap_or(node);
    Err(ConfigError::setting(place.origin.clone(), place.path.clone(), message))
}

fn check_probe(provider: &ProviderConfig, node: &Node) -> Result<(), ConfigError> {
    let Some(probe) = &provider.resilience.health_probe else {
        return Ok(());
    };
    let base_url = provider.config.get("base_url").map(|text| text.0.as_str());
    let Err(message) = probe_uri(probe, base_url) else {
        return Ok(());
    };
    let place = node.get(&["resilience", "health_probe"]).unwrap_or(node);
    Err(ConfigError::setting(place.origin.clone(), place.path.clone(), message))
}

/// A URL that leads into a private network is of no use without the grant for it: better said now than at each call.
fn check_addresses(name: &str, provider: &ProviderConfig, node: &Node) -> Result<(), ConfigError> {
    if let Some(place) = node.get(&["config", "base_url"])
        && let Some(text) = place.text()
    {
        let url = Url::parse(text)
            .ok()
            .filter(|url| HttpOrigin::of(url).is_ok())
            .ok_or_else(|| {
                let message = "expected an http or https URL without user name and password, such as \
                           \"https://api.example.com/v1\"";
                ConfigError::setting(place.origin.clone(), place.path.clone(), message)
            })?;
        check_address(name, &url, provider, place)?;
    }
    let Some(Value::List(places)) = node.get(&["egress", "allow"]).map(|node| &node.value) else {
        return Ok(());
    };
    for place in places {
        if let Some(url) = place.text().and_then(|text| Url::parse(text).ok()) {
            check_address(name, &url, provider, place)?;
        }
    }
    Ok(())
}

fn check_address(name: &str, url: &Url, provider: &ProviderConfig, place: &Node) -> Result<(), ConfigError> {
    let granted = |address: IpAddr| {
        provider
            .egress
            .allow_private
            .iter()
            .any(|network| network.0.0.contains(&address))
    };
    let (host, grants) = match url.host() {
        Some(Host::Ipv4(address)) if is_private(address.into()) && !granted(address.into()) => {
            (address.to_string(), format!("\"{address}/32\""))
        }
        Some(Host::Ipv6(address)) if is_private(address.into()) && !granted(address.into()) => {
            (address.to_string(), format!("\"{address}/128\""))
        }
        Some(Host::Domain("localhost"))
            if !granted([127, 0, 0, 1].into()) && !granted(std::net::Ipv6Addr::LOCALHOST.into()) =>
        {
            ("localhost".to_owned(), "\"127.0.0.0/8\", \"::1/128\"".to_owned())
        }
        _ => return Ok(()),
    };
    let message = format!(
        "{host} is a private address, and provider `{name}` is not granted it; to allow it, add \
         `allow_private = [{grants}]` under [providers.{name}.egress]"
    );
    Err(ConfigError::setting(place.origin.clone(), place.path.clone(), message))
}

/// The private addresses that people write into configurations (RFC 1918, 3927, 4193, 4291, 6598). The whole list is
/// enforced where connections are made.
fn is_private(address: IpAddr) -> bool {
    match address.to_canonical() {
        IpAddr::V4(address) => {
            let shared = address.octets()[0] == 100 && (64..128).contains(&address.octets()[1]);
            address.is_private()
                || address.is_loopback()
                || address.is_link_local()
                || address.is_unspecified()
                || shared
        }
        IpAddr::V6(address) => {
            address.is_loopback()
                || address.is_unspecified()
                || address.is_unique_local()
                || address.is_unicast_link_local()
        }
    }
}
