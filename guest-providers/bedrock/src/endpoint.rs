//! Where requests go, and with which credential.

use weir_guest::pooled_http::{AwsCredential, Credential};
use weir_guest::types::Error;
use weir_guest::url::segment;
use weir_guest::{Request, Setting};

use crate::refusal;

pub(crate) const BEARER_TOKEN: &str = "bearer_token";
pub(crate) const ACCESS_KEY_ID: &str = "access_key_id";
pub(crate) const SECRET_ACCESS_KEY: &str = "secret_access_key";
pub(crate) const SESSION_TOKEN: &str = "session_token";

/// Where `base_url` and `region` tell none: the first region that Bedrock was in.
const DEFAULT_REGION: &str = "us-east-1";

pub(crate) const BASE_URL: Setting = Setting::new(
    "base_url",
    "Where bedrock-runtime is served. As a preset, that of the region.",
)
.default("https://bedrock-runtime.us-east-1.amazonaws.com");
pub(crate) const AGENT_BASE_URL: Setting = Setting::new(
    "agent_base_url",
    "Where bedrock-agent-runtime is served. If given, reranking goes to its `/rerank`, else to the model itself.",
);
pub(crate) const CONTROL_BASE_URL: Setting = Setting::new(
    "control_base_url",
    "Where models are listed. As a preset, the region's; else `base_url`.",
);
pub(crate) const REGION: Setting = Setting::new(
    "region",
    "The region requests are signed for. Where it is not given, the one that `base_url` names.",
);
pub(crate) const GRANTED_SECRETS: Setting = Setting::new(
    "granted_secrets",
    "The names of the granted secrets, with commas between. The host says them.",
);

/// Bedrock, as it is configured.
#[derive(Debug)]
pub(crate) struct Endpoint {
    base_url: String,
    pub(crate) region: String,
    credential: Credential,
}

impl Endpoint {
    pub(crate) fn configured() -> Result<Self, Error> {
        let base_url = BASE_URL.url()?;
        let region = REGION
            .get()?
            .or_else(|| region_of(&base_url))
            .unwrap_or_else(|| DEFAULT_REGION.to_owned());
        let credential = credential(&GRANTED_SECRETS.text()?, &region);
        Ok(Self {
            base_url,
            region,
            credential,
        })
    }

    /// A request to a model. Its id is one segment of the path, whatever is in it: `:`, and the `/` of an ARN.
    pub(crate) fn model(&self, operation: &str, model: &str, action: &str) -> Result<Request, Error> {
        Ok(self.post(operation, self.model_url(model, action)?))
    }

    /// The list of models.
    pub(crate) fn models(&self) -> Result<Request, Error> {
        let control = CONTROL_BASE_URL.url()?;
        let base = Some(control.as_str())
            .filter(|url| !url.is_empty())
            .unwrap_or(&self.base_url);
        Ok(self.authorized("models", Request::get(format!("{base}/foundation-models"))))
    }

    pub(crate) fn post(&self, operation: &str, url: String) -> Request {
        self.authorized(operation, Request::post(url))
    }

    fn authorized(&self, operation: &str, request: Request) -> Request {
        request
            .operation(operation)
            .credential(self.credential.clone())
            .refusal(refusal::read)
            .classify(refusal::classify)
    }

    fn model_url(&self, model: &str, action: &str) -> Result<String, Error> {
        Ok(format!("{}/model/{}/{action}", self.base_url, segment(model)?))
    }
}

/// The address of bedrock-agent-runtime, if reranking goes there.
pub(crate) fn agent_base_url() -> Result<Option<String>, Error> {
    Ok(Some(AGENT_BASE_URL.url()?).filter(|url| !url.is_empty()))
}

/// As AWS's own SDKs choose: a bearer token before a key.
fn credential(granted: &str, region: &str) -> Credential {
    let is_granted = |secret: &str| granted.split(',').any(|name| name == secret);
    if is_granted(BEARER_TOKEN) {
        return Credential::Bearer(BEARER_TOKEN.to_owned());
    }
    Credential::AwsSigv4(AwsCredential {
        region: region.to_owned(),
        service: "bedrock".to_owned(),
        access_key_id: ACCESS_KEY_ID.to_owned(),
        secret_access_key: SECRET_ACCESS_KEY.to_owned(),
        session_token: is_granted(SESSION_TOKEN).then(|| SESSION_TOKEN.to_owned()),
    })
}

/// The region in the name of a host of AWS's: `bedrock-runtime.REGION.amazonaws.com`, `-fips` and private ones too.
fn region_of(base_url: &str) -> Option<String> {
    let host = base_url.split_once("://")?.1.split(['/', ':']).next()?;
    let mut labels = host.split('.').skip_while(|label| !label.starts_with("bedrock-"));
    let region = labels.nth(1)?;
    host.contains(".amazonaws.com").then(|| region.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn endpoint(granted: &str) -> Endpoint {
        Endpoint {
            base_url: "http://a".to_owned(),
            region: "eu-west-1".to_owned(),
            credential: credential(granted, "eu-west-1"),
        }
    }

    #[test]
    fn a_region_stands_in_the_hosts_name() {
        let region = |url| region_of(url).unwrap_or_default();
        assert_eq!(region("https://bedrock-runtime.eu-west-1.amazonaws.com"), "eu-west-1");
        assert_eq!(
            region("https://bedrock-runtime-fips.us-gov-west-1.amazonaws.com/x"),
            "us-gov-west-1"
        );
        assert_eq!(
            region("https://vpce-1.bedrock-runtime.us-east-2.vpce.amazonaws.com"),
            "us-east-2"
        );
        assert_eq!(region("http://127.0.0.1:9000"), "");
        assert_eq!(region("http://bedrock-proxy.internal"), "");
    }

    #[test]
    fn a_models_id_is_one_segment() {
        let url = |model| endpoint("").model_url(model, "invoke").unwrap();
        assert_eq!(
            url("amazon.nova-lite-v1:0"),
            "http://a/model/amazon.nova-lite-v1%3A0/invoke"
        );
        assert_eq!(
            url("arn:aws:bedrock:us-east-1:1:inference-profile/us.x-v1:0"),
            "http://a/model/arn%3Aaws%3Abedrock%3Aus-east-1%3A1%3Ainference-profile%2Fus.x-v1%3A0/invoke"
        );
    }

    #[test]
    fn a_bearer_token_goes_before_a_key() {
        assert!(matches!(
            endpoint("access_key_id,bearer_token,secret_access_key").credential,
            Credential::Bearer(name) if name == "bearer_token"
        ));
        let signed = |granted| match endpoint(granted).credential {
            Credential::AwsSigv4(aws) => aws,
            other => panic!("{other:?}"),
        };
        let aws = signed("access_key_id,secret_access_key,session_token");
        assert_eq!((aws.region.as_str(), aws.service.as_str()), ("eu-west-1", "bedrock"));
        assert_eq!(aws.session_token.as_deref(), Some("session_token"));
        assert!(signed("access_key_id,secret_access_key").session_token.is_none());
    }
}
