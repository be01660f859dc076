//! Secrets, put into a request after it was admitted.

use std::collections::BTreeMap;
use std::fmt;
use std::time::SystemTime;

use aws_credential_types::Credentials;
use aws_sigv4::http_request::{SignableBody, SignableRequest, SigningSettings, UriPathNormalizationMode, sign};
use aws_sigv4::sign::v4;
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use http::{HeaderMap, HeaderName, HeaderValue, header};
use secrecy::ExposeSecret;
use tracing::Dispatch;
use tracing::dispatcher::with_default;
use url::Url;

use crate::bindings::v0_1_0::pooled_http::{AwsCredential, Credential};
use crate::bindings::v0_1_0::types::HttpError;
use crate::lend::headers::is_reserved;
use crate::origin::Origin;
use crate::spec::SecretGrant;

/// The secrets granted to one provider. They go to no origin that is not granted to it: whatever is given here has
/// passed the egress check. Those bound to some of its origins go to these alone.
pub(crate) struct Secrets(BTreeMap<String, SecretGrant>);

impl fmt::Debug for Secrets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.0.keys()).finish()
    }
}

/// What is signed beside the headers.
pub(super) struct Signed<'a> {
    pub(super) method: &'a str,
    pub(super) body: &'a [u8],
    pub(super) now: SystemTime,
}

impl Secrets {
    pub(crate) fn new(secrets: BTreeMap<String, SecretGrant>) -> Self {
        Secrets(secrets)
    }

    /// Whether there is one of that name.
    pub(super) fn holds(&self, name: &str) -> bool {
        self.0.contains_key(name)
    }

    /// Puts a credential into the headers, or into the URL's query.
    pub(super) fn apply(
        &self,
        credential: &Credential,
        url: &mut Url,
        headers: &mut HeaderMap,
        signed: &Signed<'_>,
    ) -> Result<(), HttpError> {
        match credential {
            Credential::Bearer(secret) => {
                let value = format!("Bearer {}", self.reveal(secret, url)?);
                headers.insert(header::AUTHORIZATION, sensitive(&value, secret)?);
            }
            Credential::Basic(basic) => {
                let pair = format!("{}:{}", basic.username, self.reveal(&basic.secret, url)?);
                let value = format!("Basic {}", BASE64_STANDARD.encode(pair));
                headers.insert(header::AUTHORIZATION, sensitive(&value, &basic.secret)?);
            }
            Credential::Header(wanted) => {
                let name = HeaderName::from_bytes(wanted.name.as_bytes())
                    .map_err(|_| HttpError::InvalidRequest("the credential's header has an invalid name".to_owned()))?;
                if is_reserved(&name) {
                    return Err(HttpError::InvalidRequest(format!(
                        "the header `{name}` is the host's to set"
                    )));
                }
                let value = format!("{}{}", wanted.prefix, self.reveal(&wanted.secret, url)?);
                headers.insert(name, sensitive(&value, &wanted.secret)?);
            }
            Credential::Query(wanted) => {
                let secret = self.reveal(&wanted.secret, url)?;
                url.query_pairs_mut().append_pair(&wanted.name, secret);
            }
            Credential::AwsSigv4(aws) => self.sign(aws, url, headers, signed)?,
        }
        Ok(())
    }

    fn sign(
        &self,
        aws: &AwsCredential,
        url: &Url,
        headers: &mut HeaderMap,
        signed: &Signed<'_>,
    ) -> Result<(), HttpError> {
        let session_token = match &aws.session_token {
            Some(name) => Some(self.reveal(name, url)?.to_owned()),
            None => None,
        };
        let identity = Credentials::new(
            self.reveal(&aws.access_key_id, url)?,
            self.reveal(&aws.secret_access_key, url)?,
            session_token,
            None,
            "weir",
        )
        .into();
        let refused = |what: String| HttpError::InvalidRequest(format!("the request can't be signed: {what}"));
        let mut settings = SigningSettings::default();
        // The path reaches the server as it is written; AWS encodes it once more in the canonical request.
        settings.uri_path_normalization_mode = UriPathNormalizationMode::Disabled;
        let parameters = v4::SigningParams::builder()
            .identity(&identity)
            .region(&aws.region)
            .name(&aws.service)
            .time(signed.now)
            .settings(settings)
            .build()
            .map_err(|error| refused(error.to_string()))?
            .into();
        let plain: Vec<(&str, &str)> = headers
            .iter()
            .filter_map(|(name, value)| Some((name.as_str(), value.to_str().ok()?)))
            .collect();
        let request = SignableRequest::new(
            signed.method,
            url.as_str(),
            plain.into_iter(),
            SignableBody::Bytes(signed.body),
        )
        .map_err(|error| refused(error.to_string()))?;
        // Its log, at the level of traces, has the key's id and the token in it.
        let (instructions, _) = with_default(&Dispatch::none(), || sign(request, &parameters))
            .map_err(|error| refused(error.to_string()))?
            .into_parts();
        for (name, value) in instructions.headers() {
            let name = HeaderName::from_bytes(name.as_bytes()).map_err(|error| refused(error.to_string()))?;
            headers.insert(name, sensitive(value, &aws.secret_access_key)?);
        }
        Ok(())
    }

    /// The secret's value, for a request to this URL.
    fn reveal(&self, name: &str, url: &Url) -> Result<&str, HttpError> {
        let secret = self.0.get(name).ok_or_else(|| {
            HttpError::CredentialDenied(format!(
                "no secret `{}` is granted to this provider",
                name.escape_debug()
            ))
        })?;
        if let Some(bound) = &secret.origins {
            let origin = Origin::of(url).map_err(|error| HttpError::EgressDenied(error.to_string()))?;
            if !bound.contains(&origin) {
                return Err(HttpError::CredentialDenied(format!(
                    "the secret `{name}` is not bound to {origin} (secrets.{name}.origins)"
                )));
            }
        }
        Ok(secret.value.expose_secret())
    }
}

/// A header value that is never shown in debug output, nor kept in HPACK's table.
fn sensitive(value: &str, secret: &str) -> Result<HeaderValue, HttpError> {
    let mut value = HeaderValue::from_str(value)
        .map_err(|_| HttpError::CredentialDenied(format!("the secret `{secret}` can't be sent in a header")))?;
    value.set_sensitive(true);
    Ok(value)
}

#[cfg(test)]
mod vectors;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bindings::v0_1_0::pooled_http::{BasicCredential, HeaderCredential, QueryCredential};
    use std::time::Duration;

    fn secrets() -> Secrets {
        let secret = |name: &str, value: &str| (name.to_owned(), SecretGrant::from(value));
        Secrets::new(BTreeMap::from([
            secret("api_key", "hush"),
            secret("access_key_id", "AKIDEXAMPLE"),
            secret("secret_access_key", "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY"),
        ]))
    }

    fn apply(credential: Credential, url: &str) -> Result<(Url, HeaderMap), HttpError> {
        let mut url = Url::parse(url).unwrap();
        let mut headers = HeaderMap::new();
        // 2015-08-30T12:36:00Z, the moment of AWS's own examples.
        let now = SystemTime::UNIX_EPOCH + Duration::from_secs(1_440_938_160);
        secrets().apply(
            &credential,
            &mut url,
            &mut headers,
            &Signed {
                method: "GET",
                body: b"",
                now,
            },
        )?;
        Ok((url, headers))
    }

    #[test]
    fn each_kind_lands_where_it_belongs() {
        let url = "https://a.example/x?y=1";
        let (_, headers) = apply(Credential::Bearer("api_key".into()), url).unwrap();
        assert_eq!(headers["authorization"], "Bearer hush");
        let basic = BasicCredential {
            username: "me".into(),
            secret: "api_key".into(),
        };
        assert_eq!(
            apply(Credential::Basic(basic), url).unwrap().1["authorization"],
            "Basic bWU6aHVzaA=="
        );
        let header = HeaderCredential {
            name: "api-key".into(),
            prefix: "".into(),
            secret: "api_key".into(),
        };
        assert_eq!(apply(Credential::Header(header), url).unwrap().1["api-key"], "hush");
        let query = QueryCredential {
            name: "key".into(),
            secret: "api_key".into(),
        };
        assert_eq!(
            apply(Credential::Query(query), url).unwrap().0.as_str(),
            "https://a.example/x?y=1&key=hush"
        );
    }

    #[test]
    fn a_credential_goes_into_no_header_that_is_the_hosts() {
        for name in ["Cookie", "Host", "Proxy-Authorization", "Authorization"] {
            let header = HeaderCredential {
                name: name.into(),
                prefix: "".into(),
                secret: "api_key".into(),
            };
            assert!(
                apply(Credential::Header(header), "https://a.example/").is_err(),
                "{name}"
            );
        }
    }

    #[test]
    fn debug_output_shows_no_secret() {
        let (_, headers) = apply(Credential::Bearer("api_key".into()), "https://a.example/").unwrap();
        assert!(!format!("{headers:?} {:?}", secrets()).contains("hush"));
    }

    #[test]
    fn a_secret_that_is_not_granted_is_denied_by_name() {
        let Err(HttpError::CredentialDenied(message)) = apply(Credential::Bearer("other".into()), "https://a.example/")
        else {
            panic!("must be denied");
        };
        assert!(message.contains("`other`"));
    }

    #[test]
    fn a_bound_secret_goes_to_its_origins_alone() {
        let grant = SecretGrant {
            value: "hush".into(),
            origins: Some(vec!["https://a.example".parse().unwrap()]),
        };
        let secrets = Secrets::new(BTreeMap::from([("api_key".to_owned(), grant)]));
        let send = |credential: Credential, url: &str| {
            let signed = Signed {
                method: "GET",
                body: b"",
                now: SystemTime::UNIX_EPOCH,
            };
            let (mut url, mut headers) = (Url::parse(url).unwrap(), HeaderMap::new());
            secrets.apply(&credential, &mut url, &mut headers, &signed)
        };
        let name = || "api_key".to_owned();
        let kinds = || {
            [
                Credential::Bearer(name()),
                Credential::Basic(BasicCredential {
                    username: "me".into(),
                    secret: name(),
                }),
                Credential::Header(HeaderCredential {
                    name: "api-key".into(),
                    prefix: "".into(),
                    secret: name(),
                }),
                Credential::Query(QueryCredential {
                    name: "key".into(),
                    secret: name(),
                }),
                Credential::AwsSigv4(AwsCredential {
                    region: "us-east-1".into(),
                    service: "service".into(),
                    access_key_id: name(),
                    secret_access_key: name(),
                    session_token: Some(name()),
                }),
            ]
        };
        for credential in kinds() {
            send(credential, "https://a.example/any/path").unwrap();
        }
        for url in ["https://b.example/", "http://a.example/", "https://a.example:8443/"] {
            for credential in kinds() {
                let Err(HttpError::CredentialDenied(message)) = send(credential, url) else {
                    panic!("{url} must be denied");
                };
                let origin: Origin = url.parse().unwrap();
                assert!(
                    message.contains("`api_key`") && message.contains(&origin.to_string()),
                    "{message}"
                );
                assert!(!message.contains("hush"), "{message}");
            }
        }
    }

    /// AWS's published example for IAM (Signature Version 4 documentation, "get-vanilla" of its test suite).
    #[test]
    fn a_signature_equals_the_published_one() {
        let aws = AwsCredential {
            region: "us-east-1".into(),
            service: "service".into(),
            access_key_id: "access_key_id".into(),
            secret_access_key: "secret_access_key".into(),
            session_token: None,
        };
        let (_, headers) = apply(Credential::AwsSigv4(aws), "https://example.amazonaws.com/").unwrap();
        let authorization = headers["authorization"].to_str().unwrap();
        assert!(
            authorization.ends_with("Signature=5fa00fa31553b73ebf1942676e86291e8372ff2a2260956d9b8aae1d763fbf31"),
            "{authorization}"
        );
    }
}
