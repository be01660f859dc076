//! Where requests go, worked out once for each authority that they name.

use arc_swap::ArcSwap;
use http::uri::{Authority, Scheme};
use http::{HeaderValue, Uri};

use crate::origin::Origin;

/// Authorities remembered by a pool. Most pools have one; a caller who makes them up gains nothing by it.
const REMEMBERED: usize = 16;

/// An origin, and its name in a `Host` header.
#[derive(Clone, Debug)]
pub(crate) struct Destination {
    pub origin: Origin,
    pub host: HeaderValue,
}

impl Destination {
    fn of(uri: &Uri) -> Result<Self, String> {
        let origin = Origin::of(uri)?;
        let host = HeaderValue::from_str(&origin.authority()).map_err(|error| error.to_string())?;
        Ok(Self { origin, host })
    }
}

/// The destinations a pool has seen.
#[derive(Debug, Default)]
pub(crate) struct Destinations {
    known: ArcSwap<Vec<(Scheme, Authority, Destination)>>,
}

impl Destinations {
    /// Where a request with this URI goes, or what is wrong with it.
    pub fn of(&self, uri: &Uri) -> Result<Destination, String> {
        let (Some(scheme), Some(authority)) = (uri.scheme(), uri.authority()) else {
            return Destination::of(uri);
        };
        let known = self.known.load();
        let found = known
            .iter()
            .find(|(as_before, known, _)| known == authority && as_before == scheme);
        if let Some((.., destination)) = found {
            return Ok(destination.clone());
        }
        let destination = Destination::of(uri)?;
        if known.len() < REMEMBERED {
            self.known.rcu(|known| {
                let mut known = Vec::clone(known);
                known.push((scheme.clone(), authority.clone(), destination.clone()));
                known
            });
        }
        Ok(destination)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_destination_is_the_same_the_second_time_and_never_anothers() {
        let destinations = Destinations::default();
        let uris = [
            "http://a/x",
            "https://a/x",
            "http://a:81/",
            "http://b/",
            "http://A/y",
            "http://[::1]:80/",
        ];
        for _ in 0..2 {
            for uri in uris {
                let uri: Uri = uri.parse().unwrap();
                let destination = destinations.of(&uri).unwrap();
                assert_eq!(destination.origin, Origin::of(&uri).unwrap());
                assert_eq!(destination.host, destination.origin.authority());
            }
        }
        assert!(destinations.of(&"http://me@a/".parse().unwrap()).is_err());
    }

    #[test]
    fn there_is_an_end_to_what_is_remembered() {
        let destinations = Destinations::default();
        for number in 0..100 {
            let uri = format!("http://host-{number}/").parse().unwrap();
            assert_eq!(destinations.of(&uri).unwrap().origin.host(), format!("host-{number}"));
        }
        assert_eq!(destinations.known.load().len(), REMEMBERED);
    }
}
