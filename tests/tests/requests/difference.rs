//! In what two requests differ.

use std::collections::BTreeSet;
use std::fmt;

use serde_json::Value;
use weir_tests::recordings::Sent;

/// Where keys are shown.
const CREDENTIALS: [&str; 6] = [
    "authorization",
    "api-key",
    "x-api-key",
    "x-chroma-token",
    "x-goog-api-key",
    "anthropic-version",
];

/// Something that is not the same in both.
#[derive(Debug)]
pub struct Difference {
    /// Where: `body.input_type`.
    pub place: String,
    /// What the adapter sends; none if nothing.
    pub ours: Option<Value>,
    /// What the client sends.
    pub theirs: Option<Value>,
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Difference { place, ours, theirs } = self;
        let shown = |value: &Option<Value>| value.as_ref().map_or_else(|| "nothing".to_owned(), Value::to_string);
        write!(f, "{place}: {}, not {}", shown(ours), shown(theirs))
    }
}

/// All of them: method, path, query, credentials, body.
pub fn between(ours: &Sent, theirs: &Sent) -> Vec<Difference> {
    let mut found = Vec::new();
    compare(
        "method",
        Some(&ours.method.as_str().into()),
        Some(&theirs.method.as_str().into()),
        &mut found,
    );
    let target = |sent: &Sent| {
        let (path, query) = sent.target.split_once('?').unwrap_or((&sent.target, ""));
        let query: Value = url::form_urlencoded::parse(query.as_bytes())
            .map(|(name, value)| (name.into_owned(), Value::from(value.into_owned())))
            .collect::<serde_json::Map<_, _>>()
            .into();
        (Value::from(path), query)
    };
    let ((our_path, our_query), (their_path, their_query)) = (target(ours), target(theirs));
    compare("path", Some(&our_path), Some(&their_path), &mut found);
    compare("query", Some(&our_query), Some(&their_query), &mut found);
    for name in CREDENTIALS {
        let header = |sent: &Sent| sent.header(name).map(|value| Value::from(without_signature(value)));
        compare(name, header(ours).as_ref(), header(theirs).as_ref(), &mut found);
    }
    let body = |sent: &Sent| (!sent.body.is_empty()).then(|| serde_json::from_slice(&sent.body).unwrap_or(Value::Null));
    compare("body", body(ours).as_ref(), body(theirs).as_ref(), &mut found);
    found
}

/// A signature is over the host, the time and whichever headers; its scope is the same.
fn without_signature(value: &str) -> String {
    let scope = value
        .strip_prefix("AWS4-HMAC-SHA256 Credential=")
        .and_then(|rest| rest.split_once(','));
    let scope = scope.map(|(scope, _)| scope.split('/').skip(2).collect::<Vec<_>>().join("/"));
    scope.unwrap_or_else(|| value.to_owned())
}

fn compare(place: &str, ours: Option<&Value>, theirs: Option<&Value>, found: &mut Vec<Difference>) {
    match (ours, theirs) {
        (Some(Value::Object(mine)), Some(Value::Object(other))) => {
            let names: BTreeSet<&String> = mine.keys().chain(other.keys()).collect();
            for name in names {
                compare(&format!("{place}.{name}"), mine.get(name), other.get(name), found);
            }
        }
        (Some(Value::Array(mine)), Some(Value::Array(other))) if mine.len() == other.len() => {
            for (at, (mine, other)) in mine.iter().zip(other).enumerate() {
                compare(&format!("{place}.{at}"), Some(mine), Some(other), found);
            }
        }
        (Some(Value::Number(mine)), Some(Value::Number(other))) if mine.as_f64() == other.as_f64() => {}
        _ if ours == theirs => {}
        _ => found.push(Difference {
            place: place.to_owned(),
            ours: ours.cloned(),
            theirs: theirs.cloned(),
        }),
    }
}
