//! Judges requests by the providers' own descriptions of their APIs: OpenAPI documents, and AWS's models of services.
//!
//! The folder of the documents is the argument. Standard input is a list of requests, `{"file", "left_out", "method",
//! "target", "content_type", "body"}`; standard output a list for each of what it departs in from the document `file`,
//! whose paths lack `left_out`.

mod document;
mod service_model;

use std::collections::BTreeMap;
use std::path::PathBuf;

use anyhow::Context;
use document::Document;
use serde::Deserialize;

/// A request.
#[derive(Deserialize)]
pub struct Request {
    file: String,
    left_out: String,
    /// Its method.
    pub method: String,
    /// Its path and query.
    pub target: String,
    /// Its `content-type`.
    pub content_type: Option<String>,
    /// Its body.
    pub body: String,
}

fn main() -> anyhow::Result<()> {
    let folder = PathBuf::from(std::env::args_os().nth(1).context("no folder of documents")?);
    let requests: Vec<Request> = serde_json::from_reader(std::io::stdin())?;
    let mut documents: BTreeMap<&str, Document> = BTreeMap::new();
    for request in &requests {
        if !documents.contains_key(&*request.file) {
            documents.insert(&request.file, Document::read(&folder.join(&request.file))?);
        }
    }
    let departures = requests.iter().map(|request| match documents.get(&*request.file) {
        Some(document) => document.departures(request, &request.left_out),
        None => Vec::new(),
    });
    serde_json::to_writer(std::io::stdout(), &departures.collect::<Vec<_>>())?;
    Ok(())
}
