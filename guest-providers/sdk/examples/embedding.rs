//! A whole adapter: embeddings of an API that does not exist.

use serde::Deserialize;
use weir_guest::types::{EmbeddingRequest, Error, Usage};
use weir_guest::vectors::{self, Vector};
use weir_guest::{Limits, Manifest, Request, Setting};

struct Example;

// Makes the modules `metadata` and `embedding`, each with its trait `Guest`.
weir_guest::provider!(
    Example,
    "
    package weir:example;
    world adapter {
        include weir:provider/embedding-provider@0.1.0;
    }
    "
);

const BASE_URL: Setting = Setting::new("base_url", "Where the API is served.").default("https://api.example.com/v1");
const MODEL: Setting = Setting::new("model", "The model when a call names none.").default("example-1");

impl metadata::Guest for Example {
    fn describe() -> Manifest {
        Manifest::new("example", env!("CARGO_PKG_VERSION"), "Embeddings by Example.")
            .origin_of(BASE_URL)
            .secret("api_key", "A key of Example's.")
            .setting(BASE_URL)
            .setting(MODEL)
            .default_model("embed", "example-1")
            .limits(
                "embed",
                Limits {
                    max_items: Some(128),
                    ..Limits::NONE
                },
            )
    }
}

#[derive(Deserialize)]
struct Answer {
    data: Vec<Item>,
}

#[derive(Deserialize)]
struct Item {
    index: usize,
    embedding: Vector,
}

impl embedding::Guest for Example {
    async fn embed(request: EmbeddingRequest) -> Result<embedding::Response, Error> {
        let model = MODEL.or(request.model)?;
        let answer = Request::post(format!("{}/embeddings", BASE_URL.url()?))
            .operation("embed")
            .bearer("api_key")
            .json(&serde_json::json!({"model": model, "input": request.inputs}))
            .replay_safe()
            .send()
            .await?;
        let Answer { data } = answer.json()?;
        let items = data.into_iter().map(|item| vectors::Item {
            index: Some(item.index),
            vector: item.embedding,
        });
        let vectors = vectors::in_order("data", items, request.inputs.len(), request.dimensions)?;
        Ok(embedding::Response {
            model,
            dimensions: vectors.dimensions,
            vectors: vectors.values,
            usage: Usage {
                input_tokens: 0,
                output_tokens: 0,
            },
        })
    }
}
