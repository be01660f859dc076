//! One exchange, as it is kept.

use std::path::Path;

use anyhow::Context;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;

/// One exchange.
#[derive(Debug, Clone)]
pub struct Recording {
    /// The folder and the file, without its ending: `groq/chat-404`.
    pub name: String,
    /// The folder.
    pub provider: String,
    /// The request's method.
    pub method: String,
    /// The request's path; none where only an answer was kept.
    pub path: Option<String>,
    /// The request's query.
    pub query: Vec<(String, String)>,
    /// The request's body, where it was JSON.
    pub asked: Value,
    /// The answer's status.
    pub status: u16,
    /// The answer's header fields.
    pub headers: Vec<(String, String)>,
    /// The answer's body, as it was on the wire, decompressed.
    pub body: Vec<u8>,
}

impl Recording {
    /// Reads a file.
    ///
    /// # Errors
    /// If it is none, naming it.
    pub fn read(file: &Path) -> anyhow::Result<Recording> {
        let text = std::fs::read(file)?;
        Self::of(file, &text).with_context(|| format!("{} is no recording", file.display()))
    }

    fn of(file: &Path, text: &[u8]) -> anyhow::Result<Recording> {
        let json = match serde_json::from_slice::<Value>(text) {
            // What is no number of JSON's was sent to see it refused.
            Err(_) => serde_json::from_str(&String::from_utf8_lossy(text).replace("NaN", "null"))?,
            Ok(json) => json,
        };
        let (request, response) = (&json["request"], &json["response"]);
        let part = |path: Option<&std::ffi::OsStr>| path.map(|part| part.to_string_lossy().into_owned());
        let provider = part(file.parent().and_then(Path::file_name)).unwrap_or_default();
        let headers: Vec<(String, String)> = fields(&response["headers"]);
        let (path, query) = target(request);
        let asked = body(&request["body"], &[])?;
        Ok(Recording {
            name: format!("{provider}/{}", part(file.file_stem()).unwrap_or_default()),
            provider,
            method: request["method"].as_str().unwrap_or_default().to_owned(),
            path,
            query,
            asked: serde_json::from_slice(&asked).unwrap_or(Value::Null),
            status: response["status"]
                .as_u64()
                .and_then(|status| u16::try_from(status).ok())
                .context("`response.status` is missing")?,
            body: body(&response["body"], &headers)?,
            headers,
        })
    }

    /// An answer in JSON made for a test, to any request.
    pub fn of_json(status: u16, body: &str) -> Recording {
        Recording::of_type(status, "application/json", body)
    }

    /// An answer of any type made for a test, to any request.
    pub fn of_type(status: u16, content_type: &str, body: impl Into<Vec<u8>>) -> Recording {
        Recording {
            name: String::new(),
            provider: String::new(),
            method: String::new(),
            path: None,
            query: Vec::new(),
            asked: Value::Null,
            status,
            headers: vec![("content-type".to_owned(), content_type.to_owned())],
            body: body.into(),
        }
    }

    /// Whether the provider did what was asked.
    pub fn is_success(&self) -> bool {
        (200..300).contains(&self.status)
    }

    /// The answer as JSON, null where it is none.
    pub fn answer(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or(Value::Null)
    }

    /// The answer as text.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// The value of the answer's first header field of that name.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers
            .iter()
            .find(|(found, _)| found.eq_ignore_ascii_case(name))
            .map(|(_, value)| value.as_str())
    }

    /// Whether the answer came, or was asked for, in events.
    pub fn is_streamed(&self) -> bool {
        let kind = self.header("content-type").unwrap_or_default();
        self.asked["stream"] == true
            || ["event-stream", "eventstream", "ndjson"]
                .iter()
                .any(|form| kind.contains(form))
    }

    /// Whether the answer says when to come again, or how often.
    pub fn tells_of_a_quota(&self) -> bool {
        let tells = |name: &str| name.contains("retry-after") || name.contains("ratelimit");
        self.status == 429 || self.headers.iter().any(|(name, _)| tells(&name.to_ascii_lowercase()))
    }

    /// The data of the answer's server-sent events, as JSON; what is none, such as `[DONE]`, is left out.
    pub fn events(&self) -> Vec<Value> {
        let text = self.text().replace("\r\n", "\n");
        let data = text.split("\n\n").map(|event| {
            let lines = event.lines().filter_map(|line| line.strip_prefix("data:"));
            lines.map(str::trim_start).collect::<Vec<_>>().join("\n")
        });
        // The first value alone: some servers have a stray byte behind the last one.
        data.filter_map(|data| serde_json::Deserializer::from_str(&data).into_iter().next()?.ok())
            .collect()
    }
}

fn target(request: &Value) -> (Option<String>, Vec<(String, String)>) {
    let mut query: Vec<(String, String)> = fields(&request["query"]);
    if let Some(path) = request["path"].as_str().filter(|path| !path.is_empty()) {
        return (Some(path.to_owned()), query);
    }
    let Some(url) = request["url"].as_str().filter(|url| !url.is_empty()) else {
        return (None, query);
    };
    let url = url.split('#').next().unwrap_or_default();
    let target = match url.split_once("://") {
        Some((_, rest)) => rest.find('/').map_or("/", |start| &rest[start..]),
        None => url,
    };
    let (path, given) = target.split_once('?').unwrap_or((target, ""));
    query.extend(given.split('&').filter(|pair| !pair.is_empty()).map(|pair| {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        (name.to_owned(), value.to_owned())
    }));
    (Some(path.to_owned()), query)
}

fn fields(object: &Value) -> Vec<(String, String)> {
    let fields = object.as_object().into_iter().flatten();
    fields
        .map(|(name, value)| {
            let value = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
            (name.clone(), value)
        })
        .collect()
}

fn body(kept: &Value, headers: &[(String, String)]) -> anyhow::Result<Vec<u8>> {
    if let Some(base64) = kept["base64"].as_str() {
        return Ok(STANDARD.decode(base64)?);
    }
    if let Some(text) = kept["text"].as_str() {
        let is_binary = headers
            .iter()
            .any(|(name, value)| name.eq_ignore_ascii_case("content-type") && value.contains("vnd.amazon.eventstream"));
        return Ok(match STANDARD.decode(text) {
            Ok(bytes) if is_binary => bytes,
            _ => text.as_bytes().to_vec(),
        });
    }
    match kept.get("json") {
        Some(json) => Ok(serde_json::to_vec(json)?),
        None => Ok(Vec::new()),
    }
}
