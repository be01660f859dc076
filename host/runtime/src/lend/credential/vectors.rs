//! Signatures of AWS's as its own Python SDK makes them (botocore 1.44.8), at a fixed clock:
//!
//! ```text
//! request = AWSRequest(method=method, url=url, headers=headers, data=body)
//! with mock.patch("botocore.auth.get_current_datetime", return_value=datetime(2015, 8, 30, 12, 36, tzinfo=utc)):
//!     SigV4Auth(Credentials(ID, KEY, TOKEN), "bedrock", "us-east-1").add_auth(request)
//! ```

use std::collections::BTreeMap;
use std::time::{Duration, SystemTime};

use http::{HeaderMap, HeaderName, HeaderValue};
use url::Url;

use super::{Secrets, Signed};
use crate::bindings::v0_1_0::pooled_http::{AwsCredential, Credential};
use crate::spec::SecretGrant;

const ID: &str = "AKIDEXAMPLE";
const KEY: &str = "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY";
const TOKEN: &str = "IQoJb3JpZ2luX2VjEXAMPLE//////////wEaCXVzLWVhc3QtMQ==";

/// The seconds of 2015-08-30T12:36:00Z.
const NOW: u64 = 1_440_938_160;

struct Vector {
    what: &'static str,
    method: &'static str,
    url: &'static str,
    headers: &'static [(&'static str, &'static str)],
    body: &'static str,
    has_token: bool,
    signed_headers: &'static str,
    signature: &'static str,
}

const JSON: &[(&str, &str)] = &[("content-type", "application/json"), ("accept", "application/json")];

const VECTORS: &[Vector] = &[
    Vector {
        what: "a model's id with a colon",
        method: "POST",
        url: "https://bedrock-runtime.us-east-1.amazonaws.com/model/amazon.titan-embed-text-v2%3A0/invoke",
        headers: JSON,
        body: r#"{"inputText":"hello"}"#,
        has_token: false,
        signed_headers: "accept;content-type;host;x-amz-date",
        signature: "dca715dda952a8d688137164bb8887b90c98576a667d4a975d72b8d71ba14512",
    },
    Vector {
        what: "an ARN",
        method: "POST",
        url: "https://bedrock-runtime.us-east-1.amazonaws.com/model/arn%3Aaws%3Abedrock%3Aus-east-1%3A123456789012%3Ainference-profile%2Fus.anthropic.claude-v1%3A0/converse-stream",
        headers: &[
            ("content-type", "application/json"),
            ("accept", "application/vnd.amazon.eventstream"),
        ],
        body: "{}",
        has_token: false,
        signed_headers: "accept;content-type;host;x-amz-date",
        signature: "eb3c334f698ac98cee67b29da628ff7550ad62bcbcabbdd30e2e5bcd1ebfdab5",
    },
    Vector {
        what: "a session token",
        method: "POST",
        url: "https://bedrock-runtime.us-east-1.amazonaws.com/model/amazon.nova-lite-v1%3A0/converse",
        headers: JSON,
        body: r#"{"messages":[]}"#,
        has_token: true,
        signed_headers: "accept;content-type;host;x-amz-date;x-amz-security-token",
        signature: "78ba45d3d3cfb6d0001ce4eafae1d051c5c7fc9812b7941e7ce06f245975719d",
    },
    Vector {
        what: "a body that is not ASCII",
        method: "POST",
        url: "https://bedrock-runtime.us-east-1.amazonaws.com/model/m/invoke",
        headers: JSON,
        body: r#"{"inputText":"größe 🦀"}"#,
        has_token: false,
        signed_headers: "accept;content-type;host;x-amz-date",
        signature: "4fd9b63ecd823dce733e8722ca00cbcab94e62a24e34a15ac4865a38e2fc985e",
    },
    Vector {
        what: "a query",
        method: "GET",
        url: "https://bedrock.us-east-1.amazonaws.com/foundation-models?byProvider=amazon&byOutputModality=EMBEDDING",
        headers: &[("accept", "application/json")],
        body: "",
        has_token: false,
        signed_headers: "accept;host;x-amz-date",
        signature: "6f9bc9ea6ee096f3cef8142476dcab08f4a0b1563572c83c27510d4b74b70c21",
    },
    Vector {
        what: "a query out of order, encoded, with a key without a value",
        method: "GET",
        url: "https://bedrock.us-east-1.amazonaws.com/x?b=2&a=%2Fb%20c&a=%2B&empty=",
        headers: &[],
        body: "",
        has_token: false,
        signed_headers: "host;x-amz-date",
        signature: "959adc20b9cc97e4863a6889a6555b32ba18f0a80c796ca84e964a4383cfb03a",
    },
    Vector {
        what: "another port",
        method: "POST",
        url: "http://127.0.0.1:9000/model/a%3A0/invoke",
        headers: JSON,
        body: "{}",
        has_token: true,
        signed_headers: "accept;content-type;host;x-amz-date;x-amz-security-token",
        signature: "6acf05a5c9328201ea987de401c62098bb5b71a2072367cc17074416ce6f835a",
    },
    Vector {
        what: "a path that is not ASCII",
        method: "POST",
        url: "https://bedrock-runtime.us-east-1.amazonaws.com/model/%C3%BC~-._%20x/invoke",
        headers: JSON,
        body: "{}",
        has_token: false,
        signed_headers: "accept;content-type;host;x-amz-date",
        signature: "0ebfe6b1c147c64d48d3e3590d84d7f87cdfbbcb52fb78e1e7736f2b1d5b304d",
    },
];

#[test]
fn signatures_equal_those_of_awss_own_sdk() {
    let secret = |name: &str, value: &str| (name.to_owned(), SecretGrant::from(value));
    let secrets = Secrets::new(BTreeMap::from([
        secret("id", ID),
        secret("key", KEY),
        secret("token", TOKEN),
    ]));
    for vector in VECTORS {
        let mut url = Url::parse(vector.url).unwrap();
        assert_eq!(url.as_str(), vector.url, "it is sent as it is signed");
        let mut headers: HeaderMap = vector
            .headers
            .iter()
            .map(|(name, value)| (HeaderName::from_static(name), HeaderValue::from_static(value)))
            .collect();
        let credential = Credential::AwsSigv4(AwsCredential {
            region: "us-east-1".to_owned(),
            service: "bedrock".to_owned(),
            access_key_id: "id".to_owned(),
            secret_access_key: "key".to_owned(),
            session_token: vector.has_token.then(|| "token".to_owned()),
        });
        let signed = Signed {
            method: vector.method,
            body: vector.body.as_bytes(),
            now: SystemTime::UNIX_EPOCH + Duration::from_secs(NOW),
        };
        secrets.apply(&credential, &mut url, &mut headers, &signed).unwrap();

        assert_eq!(
            headers["authorization"],
            format!(
                "AWS4-HMAC-SHA256 Credential={ID}/20150830/us-east-1/bedrock/aws4_request, SignedHeaders={}, Signature={}",
                vector.signed_headers, vector.signature
            ),
            "{}",
            vector.what
        );
        assert_eq!(headers["x-amz-date"], "20150830T123600Z");
        let token = headers.get("x-amz-security-token").map(HeaderValue::as_bytes);
        assert_eq!(token, vector.has_token.then_some(TOKEN.as_bytes()), "{}", vector.what);
    }
}
