//! Requests: JSON sent with the HTTP the host lends.
//!
//! ```no_run
//! # async fn send() -> Result<(), weir_guest::Error> {
//! use weir_guest::Request;
//!
//! let answer = Request::post("https://api.example.com/v1/embeddings")
//!     .operation("embed")
//!     .bearer("api_key")
//!     .json(&serde_json::json!({"input": ["a text"]}))
//!     .replay_safe()
//!     .send()
//!     .await?;
//! let answer: serde_json::Value = answer.json()?;
//! # Ok(()) }
//! ```

use serde::Serialize;

use crate::events::Framing;
use crate::pooled_http::{self, Credential, HeaderCredential};
use crate::types::Header;
use crate::{Error, Events, Response, failure};

/// Corrects the error a refusal is taken for.
pub type Classify = fn(Error) -> Error;

/// Reads the error out of an answer whose status is not 2xx: [`failure::of_answer`], or what calls it.
pub type Refusal = fn(status: u16, headers: &[Header], body: &[u8]) -> Error;

/// A request to be sent.
#[derive(Debug)]
#[must_use = "a request does nothing until it is sent"]
pub struct Request {
    wire: pooled_http::Request,
    classify: Classify,
    refusal: Refusal,
    unserializable: Option<String>,
}

impl Request {
    /// A GET of `url`.
    pub fn get(url: impl Into<String>) -> Self {
        Self::new("GET", url.into())
    }

    /// A POST to `url`.
    pub fn post(url: impl Into<String>) -> Self {
        Self::new("POST", url.into())
    }

    /// A PUT of `url`.
    pub fn put(url: impl Into<String>) -> Self {
        Self::new("PUT", url.into())
    }

    /// A DELETE of `url`.
    pub fn delete(url: impl Into<String>) -> Self {
        Self::new("DELETE", url.into())
    }

    /// The label for metrics and for the operator's time-outs: `embed`, `rerank`, ….
    pub fn operation(mut self, operation: &str) -> Self {
        operation.clone_into(&mut self.wire.operation);
        self
    }

    /// `Authorization: Bearer` and the value of the secret of this name.
    pub fn bearer(self, secret: &str) -> Self {
        self.credential(Credential::Bearer(secret.to_owned()))
    }

    /// The header `name` with the value of the secret of the name `secret`.
    pub fn key_header(self, name: &str, secret: &str) -> Self {
        self.credential(Credential::Header(HeaderCredential {
            name: name.to_owned(),
            prefix: String::new(),
            secret: secret.to_owned(),
        }))
    }

    /// A credential of any kind.
    pub fn credential(mut self, credential: Credential) -> Self {
        self.wire.credential = Some(credential);
        self
    }

    /// One more header.
    pub fn header(mut self, name: &str, value: &str) -> Self {
        self.wire.headers.push(Header {
            name: name.to_owned(),
            value: value.to_owned(),
        });
        self
    }

    /// `body` as JSON.
    pub fn json(mut self, body: &impl Serialize) -> Self {
        match serde_json::to_vec(body) {
            Ok(body) => self.wire.body = Some(body),
            Err(error) => self.unserializable = Some(error.to_string()),
        }
        self.header("content-type", "application/json")
    }

    /// Sending it twice does no more than sending it once.
    pub fn replay_safe(mut self) -> Self {
        self.wire.replay_safe = true;
        self
    }

    /// Corrects the error a refusal is taken for, where the provider means something else by its status.
    pub fn classify(mut self, correct: Classify) -> Self {
        self.classify = correct;
        self
    }

    /// Reads refusals in a way of its own, where a provider tells more than its words and its status.
    pub fn refusal(mut self, read: Refusal) -> Self {
        self.refusal = read;
        self
    }

    /// Sends it and waits for the whole answer.
    ///
    /// # Errors
    /// `http` if no whole answer came, else what a status other than 2xx means ([`failure`]).
    pub async fn send(self) -> Result<Response, Error> {
        let refusal = self.refusal;
        let (wire, classify) = self.header("accept", "application/json").into_wire()?;
        let answer = pooled_http::send(wire).await.map_err(Error::Http)?;
        Response::accept(answer, refusal).map_err(classify)
    }

    /// Sends it and returns when the answer's headers are there: the body comes in events.
    ///
    /// # Errors
    /// As [`Request::send`].
    pub async fn send_streaming(self) -> Result<Events, Error> {
        self.send_framed().await
    }

    /// As [`Request::send_streaming`], for events that are not server-sent ones.
    ///
    /// # Errors
    /// As [`Request::send`].
    pub async fn send_framed<F: Framing>(self) -> Result<Events<F>, Error> {
        let refusal = self.refusal;
        let (wire, classify) = self.header("accept", F::MEDIA_TYPE).into_wire()?;
        let answer = pooled_http::send_streaming(wire).await.map_err(Error::Http)?;
        Events::accept(answer, refusal).await.map_err(classify)
    }

    /// What is handed to the host, and how its refusals are corrected.
    ///
    /// # Errors
    /// `invalid-input` if the body could not be made JSON.
    pub fn into_wire(self) -> Result<(pooled_http::Request, Classify), Error> {
        match self.unserializable {
            Some(reason) => Err(failure::refused(format!("the request can't be made JSON: {reason}"))),
            None => Ok((self.wire, self.classify)),
        }
    }

    fn new(method: &str, url: String) -> Self {
        Self {
            wire: pooled_http::Request {
                operation: String::new(),
                method: method.to_owned(),
                url,
                headers: Vec::new(),
                credential: None,
                body: None,
                replay_safe: false,
                timeouts: None,
            },
            classify: std::convert::identity,
            refusal: failure::of_answer,
            unserializable: None,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use super::*;

    #[test]
    fn a_request_names_its_secret_and_carries_its_body() {
        let request = Request::post("https://api.example.com/v1/rerank")
            .operation("rerank")
            .bearer("api_key")
            .json(&serde_json::json!({"query": "q"}))
            .replay_safe();

        let (wire, _) = request.into_wire().unwrap();

        assert_eq!(wire.method, "POST");
        assert_eq!(wire.url, "https://api.example.com/v1/rerank");
        assert_eq!(wire.operation, "rerank");
        assert!(matches!(wire.credential, Some(Credential::Bearer(secret)) if secret == "api_key"));
        assert_eq!(wire.body.as_deref(), Some(br#"{"query":"q"}"#.as_slice()));
        assert_eq!(wire.headers[0].value, "application/json");
        assert!(wire.replay_safe);
    }

    #[test]
    fn a_body_that_cannot_be_json_is_refused_before_anything_is_sent() {
        let request = Request::post("https://x").json(&HashMap::from([((1, 2), 3)]));
        assert!(matches!(request.into_wire(), Err(Error::InvalidInput(_))));
    }
}
