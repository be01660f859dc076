//! A whole answer of status 2xx.

use serde::Deserialize;

use crate::request::Refusal;
use crate::types::Header;
use crate::{Error, failure, json, pooled_http};

/// An answer. One of another status than 2xx never becomes one: it is an [`Error`].
#[derive(Debug)]
pub struct Response {
    status: u16,
    headers: Vec<Header>,
    body: Vec<u8>,
}

impl Response {
    /// The answer, or the error it means.
    ///
    /// # Errors
    /// What `refusal` reads in an answer of another status than 2xx.
    pub fn accept(answer: pooled_http::Response, refusal: Refusal) -> Result<Self, Error> {
        let pooled_http::Response { status, headers, body } = answer;
        if is_success(status) {
            Ok(Self { status, headers, body })
        } else {
            Err(refusal(status, &headers, &body))
        }
    }

    /// 200 to 299.
    pub fn status(&self) -> u16 {
        self.status
    }

    /// The value of the first header of that name.
    pub fn header(&self, name: &str) -> Option<&str> {
        failure::find(&self.headers, name)
    }

    /// The body as it came.
    pub fn body(&self) -> &[u8] {
        &self.body
    }

    /// The body, decoded.
    ///
    /// # Errors
    /// As [`json::read`].
    pub fn json<'a, T: Deserialize<'a>>(&'a self) -> Result<T, Error> {
        json::read(&self.body)
    }
}

pub(crate) fn is_success(status: u16) -> bool {
    (200..300).contains(&status)
}
