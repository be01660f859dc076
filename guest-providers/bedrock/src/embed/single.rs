//! Models that take one text a request: several requests are under way at once.

use futures_util::{StreamExt, TryStreamExt, stream};
use serde::{Deserialize, Serialize};
use weir_guest::types::{EmbeddingRequest, Error, InputKind, Usage};
use weir_guest::vectors::{self, Item, Vector};
use weir_guest::{Response, failure};

use super::Family;
use crate::embedding;
use crate::endpoint::Endpoint;

/// Requests of one call under way at once: a quarter of what the host lends a call when the operator names no number
/// (`limits.max_concurrent_requests`), so that the operator can lower that a good way.
const IN_FLIGHT: usize = 8;

/// Counted by Bedrock for every model, in a header.
const TOKENS_HEADER: &str = "x-amzn-bedrock-input-token-count";

#[derive(Serialize)]
#[serde(untagged)]
enum Body<'a> {
    #[serde(rename_all = "camelCase")]
    Titan {
        input_text: &'a str,
        #[serde(skip_serializing_if = "Option::is_none")]
        dimensions: Option<u32>,
        #[serde(skip_serializing_if = "Option::is_none")]
        embedding_config: Option<EmbeddingConfig>,
    },
    #[serde(rename_all = "camelCase")]
    Nova {
        task_type: &'static str,
        single_embedding_params: NovaParameters<'a>,
    },
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct EmbeddingConfig {
    output_embedding_length: u32,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct NovaParameters<'a> {
    embedding_purpose: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    embedding_dimension: Option<u32>,
    text: NovaText<'a>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct NovaText<'a> {
    /// A text that is cut without a word has a wrong vector.
    truncation_mode: &'static str,
    value: &'a str,
}

/// Titan's answer has a vector, Nova's a list of one.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Answer {
    embedding: Option<Vector>,
    #[serde(default)]
    embeddings: Vec<NovaEmbedding>,
    input_text_token_count: Option<u64>,
}

#[derive(Deserialize)]
struct NovaEmbedding {
    embedding: Vector,
}

/// The tokens an answer tells in its header.
pub(super) fn tokens(answer: &Response) -> u64 {
    answer
        .header(TOKENS_HEADER)
        .and_then(|count| count.parse().ok())
        .unwrap_or(0)
}

pub(super) async fn run(
    endpoint: &Endpoint,
    family: Family,
    model: String,
    request: &EmbeddingRequest,
) -> Result<embedding::Response, Error> {
    let mut requests = Vec::with_capacity(request.inputs.len());
    for text in &request.inputs {
        let post = endpoint.invoke("embed", &model)?.replay_safe();
        requests.push(post.json(&body(family, text, request)).send());
    }
    let answers: Vec<Response> = stream::iter(requests).buffered(IN_FLIGHT).try_collect().await?;

    let mut input_tokens = 0_u64;
    let mut items = Vec::with_capacity(answers.len());
    for answer in answers {
        let (item, tokens) = read(&answer)?;
        items.push(item);
        input_tokens = input_tokens.saturating_add(tokens);
    }
    let vectors = vectors::in_order("embedding", items, request.inputs.len(), request.dimensions)?;
    Ok(embedding::Response {
        model,
        dimensions: vectors.dimensions,
        vectors: vectors.values,
        usage: Usage {
            input_tokens,
            output_tokens: 0,
        },
    })
}

fn body<'a>(family: Family, text: &'a str, request: &EmbeddingRequest) -> Body<'a> {
    let image = matches!(family, Family::TitanImage);
    match family {
        Family::Nova => Body::Nova {
            task_type: "SINGLE_EMBEDDING",
            single_embedding_params: NovaParameters {
                embedding_purpose: match request.kind {
                    Some(InputKind::Query) => "TEXT_RETRIEVAL",
                    Some(InputKind::Document) | None => "GENERIC_INDEX",
                },
                embedding_dimension: request.dimensions,
                text: NovaText {
                    truncation_mode: "NONE",
                    value: text,
                },
            },
        },
        _ => Body::Titan {
            input_text: text,
            dimensions: request.dimensions.filter(|_| !image),
            embedding_config: request.dimensions.filter(|_| image).map(|length| EmbeddingConfig {
                output_embedding_length: length,
            }),
        },
    }
}

fn read(answer: &Response) -> Result<(Item, u64), Error> {
    let Answer {
        embedding,
        embeddings,
        input_text_token_count,
    } = answer.json()?;
    let of_nova = embeddings.into_iter().map(|item| item.embedding);
    let vector = embedding
        .into_iter()
        .chain(of_nova)
        .next()
        .ok_or_else(|| failure::malformed("`embedding`: missing"))?;
    Ok((vector.into(), input_text_token_count.unwrap_or_else(|| tokens(answer))))
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};
    use weir_guest::pooled_http;

    use super::*;

    fn sent(family: Family, kind: Option<InputKind>, dimensions: Option<u32>) -> Value {
        let request = EmbeddingRequest {
            inputs: vec![],
            model: None,
            kind,
            dimensions,
        };
        serde_json::to_value(body(family, "a", &request)).unwrap()
    }

    fn answer(body: &str) -> Response {
        let answer = pooled_http::Response {
            status: 200,
            headers: vec![],
            body: body.as_bytes().to_vec(),
        };
        Response::accept(answer, failure::of_answer).unwrap()
    }

    #[test]
    fn each_family_is_asked_in_its_own_words() {
        assert_eq!(sent(Family::Titan, None, None), json!({"inputText": "a"}));
        assert_eq!(
            sent(Family::Titan, None, Some(256)),
            json!({"inputText": "a", "dimensions": 256})
        );
        assert_eq!(
            sent(Family::TitanImage, None, Some(256)),
            json!({"inputText": "a", "embeddingConfig": {"outputEmbeddingLength": 256}})
        );
        let nova = |purpose| {
            json!({
                "taskType": "SINGLE_EMBEDDING",
                "singleEmbeddingParams": {
                    "embeddingPurpose": purpose, "embeddingDimension": 256,
                    "text": {"truncationMode": "NONE", "value": "a"},
                },
            })
        };
        assert_eq!(
            sent(Family::Nova, Some(InputKind::Query), Some(256)),
            nova("TEXT_RETRIEVAL")
        );
        assert_eq!(sent(Family::Nova, None, Some(256)), nova("GENERIC_INDEX"));
    }

    #[test]
    fn every_familys_answer_has_a_vector() {
        let titan = r#"{"embedding": [1, 0.5], "embeddingsByType": {"float": [1, 0.5]}, "inputTextTokenCount": 4}"#;
        let nova = r#"{"embeddings": [{"embeddingType": "TEXT", "embedding": [1, 0.5]}]}"#;
        for (body, tokens) in [(titan, 4), (nova, 0)] {
            let (item, counted) = read(&answer(body)).unwrap();
            assert_eq!((item.vector, counted), (Vector(vec![1.0, 0.5]), tokens));
        }
        let error = read(&answer("{}")).unwrap_err();
        assert!(matches!(error, Error::MalformedResponse(text) if text.contains("`embedding`")));
    }
}
