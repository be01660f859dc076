//! From a host's name to the addresses that may be dialled.

use std::net::{IpAddr, SocketAddr};

use crate::error::SendError;
use crate::origin::Origin;
use crate::settings::AddressFilter;

/// The addresses of `origin` that `filter` permits, in the order the resolver gave them. The resolver runs on threads
/// made for blocking work.
pub(super) async fn resolve(origin: &Origin, filter: Option<&dyn AddressFilter>) -> Result<Vec<SocketAddr>, SendError> {
    let failed = |source| SendError::Dns {
        origin: origin.clone(),
        source,
    };
    let found: Vec<SocketAddr> = match origin.host().parse::<IpAddr>() {
        Ok(address) => vec![SocketAddr::new(address, origin.port())],
        Err(_) => tokio::net::lookup_host((origin.host(), origin.port()))
            .await
            .map_err(failed)?
            .collect(),
    };
    let (permitted, denied): (Vec<_>, Vec<_>) = found
        .into_iter()
        .partition(|address| filter.is_none_or(|filter| filter.permits(address.ip())));
    match (permitted.is_empty(), denied.first()) {
        (false, _) => Ok(permitted),
        (true, Some(address)) => Err(SendError::AddressDenied {
            origin: origin.clone(),
            address: address.ip(),
        }),
        (true, None) => Err(failed(std::io::Error::new(
            std::io::ErrorKind::NotFound,
            "the name has no address",
        ))),
    }
}
