//! Where a provider's requests may go: the first check, on the URL. The second, on resolved addresses, is the
//! pool's, with [`crate::lend::address::AddressGrant`].

use std::sync::{Mutex, PoisonError};

use url::Url;

use crate::bindings::v0_1_0::types::HttpError;
use crate::origin::Origin;

/// The origins a provider may send to.
#[derive(Debug)]
pub(crate) struct Egress {
    origins: Vec<Origin>,
    /// What was admitted last, as it was written and as it was read: most adapters send to one URL again and again.
    last: Mutex<Option<(String, Url)>>,
}

/// The longest URL that is remembered, in bytes.
const REMEMBERED: usize = 1 << 10;

impl Egress {
    pub(crate) fn new(origins: Vec<Origin>) -> Self {
        Egress {
            origins,
            last: Mutex::default(),
        }
    }

    pub(crate) fn origins(&self) -> &[Origin] {
        &self.origins
    }

    /// The URL, if it is one and its origin is granted. No message repeats the query, which may be secret.
    pub(crate) fn admit(&self, url: &str) -> Result<Url, HttpError> {
        if let Some((written, admitted)) = &*self.last.lock().unwrap_or_else(PoisonError::into_inner)
            && written == url
        {
            return Ok(admitted.clone());
        }
        let admitted = self.check(url)?;
        if url.len() <= REMEMBERED {
            let remembered = Some((url.to_owned(), admitted.clone()));
            *self.last.lock().unwrap_or_else(PoisonError::into_inner) = remembered;
        }
        Ok(admitted)
    }

    fn check(&self, url: &str) -> Result<Url, HttpError> {
        let url = Url::parse(url).map_err(|error| HttpError::InvalidRequest(format!("the URL is invalid: {error}")))?;
        if url.fragment().is_some() {
            return Err(HttpError::InvalidRequest("the URL has a fragment".to_owned()));
        }
        let origin = Origin::of(&url).map_err(|error| HttpError::EgressDenied(error.to_string()))?;
        if self.origins.contains(&origin) {
            Ok(url)
        } else {
            Err(HttpError::EgressDenied(format!(
                "{origin} is not granted (egress.allow)"
            )))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn egress() -> Egress {
        Egress::new(vec![
            "https://api.example.com".parse().unwrap(),
            "http://127.0.0.1:6333".parse().unwrap(),
        ])
    }

    #[test]
    fn a_granted_origin_is_admitted_whatever_the_path() {
        assert!(egress().admit("https://api.example.com/v1/embeddings?x=1").is_ok());
        assert!(egress().admit("https://API.EXAMPLE.COM:443/").is_ok());
        assert!(
            egress().admit("http://0x7f.1:6333/").is_ok(),
            "another form of a granted address"
        );
    }

    #[test]
    fn every_other_origin_is_denied() {
        for url in [
            "http://api.example.com/",
            "https://api.example.com:8443/",
            "https://api.example.com.evil.example/",
            "https://me:secret@api.example.com/",
            "http://169.254.169.254/latest/meta-data",
            "http://127.0.0.1:6334/",
            "file:///etc/passwd",
        ] {
            assert!(matches!(egress().admit(url), Err(HttpError::EgressDenied(_))), "{url}");
        }
    }

    #[test]
    fn what_was_admitted_before_lets_nothing_else_through() {
        let egress = egress();
        let admitted = egress.admit("https://api.example.com/v1").unwrap();
        assert_eq!(egress.admit("https://api.example.com/v1").unwrap(), admitted);
        for url in [
            "https://api.example.com/v1#x",
            "https://api.example.com.evil.example/v1",
        ] {
            assert!(egress.admit(url).is_err(), "{url}");
        }
        assert_eq!(egress.admit("https://api.example.com/v2").unwrap().path(), "/v2");
    }

    #[test]
    fn a_denial_does_not_repeat_the_query_or_the_password() {
        let Err(HttpError::EgressDenied(message)) = egress().admit("https://u:hush@evil.example/?key=hush") else {
            panic!("must be denied");
        };
        assert!(!message.contains("hush"), "{message}");
    }
}
