//! Embeddings. Each family of models has a body of its own, and says by its id which it is.
//!
//! | family | texts in a request |
//! |---|---|
//! | Cohere (<https://docs.aws.amazon.com/bedrock/latest/userguide/model-parameters-embed.html>) | 96 |
//! | Titan (<https://docs.aws.amazon.com/bedrock/latest/userguide/model-parameters-titan-embed-text.html>) | 1 |
//! | Titan for images too (<https://docs.aws.amazon.com/bedrock/latest/userguide/model-parameters-titan-embed-mm.html>) | 1 |
//! | Nova (<https://docs.aws.amazon.com/nova/latest/userguide/embeddings-schema.html>) | 1 |

use futures_util::{StreamExt, TryStreamExt, stream};
use serde::{Deserialize, Serialize};
use weir_guest::types::{EmbeddingRequest, Error, InputKind, Usage};
use weir_guest::vectors::{self, Item, Vector};
use weir_guest::{Response, Setting, failure};

use crate::embedding;
use crate::endpoint::Endpoint;
use crate::numbers::Numbers;

/// For the ids that do not say it: of application inference profiles, of provisioned and of imported models.
pub(crate) const FAMILY: Setting = Setting::new(
    "embedding_family",
    "What embedding models take whose id does not tell: `cohere`, `titan`, `titan-image`, `nova`.",
);

/// Requests of one call under way at once: a quarter of what the host lends a call when the operator names no number
/// (`limits.max_concurrent_requests`), so that the operator can lower that a good way.
const IN_FLIGHT: usize = 8;

/// The tokens Bedrock counts, whatever the model's own answer tells.
const TOKENS_HEADER: &str = "x-amzn-bedrock-input-token-count";

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Family {
    Cohere,
    Titan,
    TitanImage,
    Nova,
}

#[derive(Serialize)]
#[serde(untagged)]
enum Body<'a> {
    Cohere {
        texts: &'a [String],
        input_type: &'static str,
        embedding_types: [&'static str; 1],
        #[serde(skip_serializing_if = "Option::is_none")]
        output_dimension: Option<u32>,
    },
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
    truncation_mode: &'static str,
    value: &'a str,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Answer {
    /// One vector of Titan's, or all of the others'.
    #[serde(alias = "embedding")]
    embeddings: Numbers,
    input_text_token_count: Option<u64>,
}

pub(crate) async fn run(
    endpoint: &Endpoint,
    model: String,
    request: &EmbeddingRequest,
) -> Result<embedding::Response, Error> {
    let family = family(&model, FAMILY.get()?.as_deref())?;
    let mut posts = Vec::new();
    for texts in request.inputs.chunks(family.texts()) {
        let post = endpoint.model("embed", &model, "invoke")?.replay_safe();
        posts.push(post.json(&body(family, texts, request)).send());
    }
    let answers: Vec<Response> = stream::iter(posts).buffered(IN_FLIGHT).try_collect().await?;

    let mut items = Vec::with_capacity(request.inputs.len());
    let mut input_tokens = 0_u64;
    for (answer, texts) in answers.iter().zip(request.inputs.chunks(family.texts())) {
        let (vectors, tokens) = read(answer, texts.len())?;
        items.extend(vectors.into_iter().map(|vector| Item::from(Vector(vector))));
        input_tokens = input_tokens.saturating_add(tokens);
    }
    let vectors = vectors::in_order("embeddings", items, request.inputs.len(), request.dimensions)?;
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

/// An id may have a region's prefix (`us.cohere.embed-v4:0`), or stand at the end of an ARN.
/// The id of a profile of one's own says nothing, and `told` does.
fn family(model: &str, told: Option<&str>) -> Result<Family, Error> {
    let families = [
        ("cohere.embed", "cohere", Family::Cohere),
        ("titan-embed-image", "titan-image", Family::TitanImage),
        ("titan-embed", "titan", Family::Titan),
        ("multimodal-embeddings", "nova", Family::Nova),
    ];
    let known = families.iter().find(|(part, _, _)| model.contains(part));
    let known = known.or_else(|| families.iter().find(|(_, name, _)| told == Some(*name)));
    known.map(|(_, _, family)| *family).ok_or_else(|| {
        failure::refused(format!(
            "the id `{model}` does not tell what the model takes; say it in the setting `embedding_family`"
        ))
    })
}

impl Family {
    fn texts(self) -> usize {
        match self {
            Self::Cohere => 96,
            Self::Titan | Self::TitanImage | Self::Nova => 1,
        }
    }
}

fn body<'a>(family: Family, texts: &'a [String], request: &EmbeddingRequest) -> Body<'a> {
    let text = texts.first().map_or("", String::as_str);
    let is_query = matches!(request.kind, Some(InputKind::Query));
    match family {
        Family::Cohere => Body::Cohere {
            texts,
            // Cohere wants one or the other. What is kept in a store is a document.
            input_type: if is_query { "search_query" } else { "search_document" },
            embedding_types: ["float"],
            output_dimension: request.dimensions,
        },
        Family::Titan => Body::Titan {
            input_text: text,
            dimensions: request.dimensions,
            embedding_config: None,
        },
        Family::TitanImage => Body::Titan {
            input_text: text,
            dimensions: None,
            embedding_config: request.dimensions.map(|length| EmbeddingConfig {
                output_embedding_length: length,
            }),
        },
        Family::Nova => Body::Nova {
            task_type: "SINGLE_EMBEDDING",
            single_embedding_params: NovaParameters {
                embedding_purpose: if is_query { "TEXT_RETRIEVAL" } else { "GENERIC_INDEX" },
                embedding_dimension: request.dimensions,
                text: NovaText {
                    // What is cut without a word has a wrong vector.
                    truncation_mode: "NONE",
                    value: text,
                },
            },
        },
    }
}

/// The vectors of an answer to so many texts, and their tokens.
fn read(answer: &Response, texts: usize) -> Result<(Vec<Vec<f32>>, u64), Error> {
    let Answer {
        embeddings,
        input_text_token_count,
    } = answer.json()?;
    let vectors = embeddings.into_vectors();
    let found = vectors.len();
    if found != texts {
        return Err(failure::malformed(format!(
            "`embeddings`: {found} vectors for {texts} texts"
        )));
    }
    let told = || answer.header(TOKENS_HEADER).and_then(|count| count.parse().ok());
    Ok((vectors, input_text_token_count.or_else(told).unwrap_or(0)))
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};
    use weir_guest::pooled_http;
    use weir_guest::types::Header;

    use super::*;

    fn sent(family: Family, kind: Option<InputKind>, dimensions: Option<u32>) -> Value {
        let request = EmbeddingRequest {
            inputs: vec![],
            model: None,
            kind,
            dimensions,
        };
        serde_json::to_value(body(family, &["a".to_owned()], &request)).unwrap()
    }

    fn answer(body: &str) -> Response {
        let answer = pooled_http::Response {
            status: 200,
            headers: vec![Header {
                name: "X-Amzn-Bedrock-Input-Token-Count".to_owned(),
                value: "3".to_owned(),
            }],
            body: body.as_bytes().to_vec(),
        };
        Response::accept(answer, failure::of_answer).unwrap()
    }

    #[test]
    fn an_id_says_what_its_model_takes() {
        let family = |model| family(model, None).ok();
        assert_eq!(family("amazon.titan-embed-text-v2:0"), Some(Family::Titan));
        assert_eq!(family("amazon.titan-embed-image-v1"), Some(Family::TitanImage));
        assert_eq!(family("us.cohere.embed-v4:0"), Some(Family::Cohere));
        assert_eq!(
            family("arn:aws:bedrock:us-east-1::foundation-model/cohere.embed-english-v3"),
            Some(Family::Cohere)
        );
        assert_eq!(family("amazon.nova-2-multimodal-embeddings-v1:0"), Some(Family::Nova));
        assert_eq!(family("amazon.nova-lite-v1:0"), None);
    }

    #[test]
    fn an_id_that_says_nothing_is_of_the_family_in_the_settings() {
        let profile = "arn:aws:bedrock:us-east-1:123456789012:application-inference-profile/a1b2c3d4e5f6";
        assert_eq!(family(profile, Some("titan-image")).unwrap(), Family::TitanImage);
        assert_eq!(family(profile, Some("cohere")).unwrap(), Family::Cohere);
        // What the id says goes before.
        assert_eq!(family("cohere.embed-v4:0", Some("titan")).unwrap(), Family::Cohere);
        assert!(matches!(family(profile, None), Err(Error::InvalidInput(failure))
            if failure.message.contains("embedding_family")));
        assert!(family(profile, Some("another")).is_err());
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
        assert_eq!(
            sent(Family::Cohere, Some(InputKind::Query), Some(512)),
            json!({"texts": ["a"], "input_type": "search_query", "embedding_types": ["float"], "output_dimension": 512})
        );
        assert_eq!(
            sent(Family::Cohere, None, None),
            json!({"texts": ["a"], "input_type": "search_document", "embedding_types": ["float"]})
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
    fn every_familys_answer_has_its_vectors() {
        let titan = r#"{"embedding": [1, 0.5], "embeddingsByType": {"float": [1, 0.5]}, "inputTextTokenCount": 4}"#;
        let nova = r#"{"embeddings": [{"embeddingType": "TEXT", "embedding": [1, 0.5]}]}"#;
        for (body, tokens) in [(titan, 4), (nova, 3)] {
            assert_eq!(read(&answer(body), 1).unwrap(), (vec![vec![1.0, 0.5]], tokens));
        }
        for cohere in [
            r#"{"embeddings": [[1, 0.5], [0.5, 1]], "response_type": "embeddings_floats"}"#,
            r#"{"embeddings": {"float": [[1, 0.5], [0.5, 1]]}, "response_type": "embeddings_by_type"}"#,
        ] {
            let expected = vec![vec![1.0, 0.5], vec![0.5, 1.0]];
            assert_eq!(read(&answer(cohere), 2).unwrap(), (expected, 3));
        }
    }

    #[test]
    fn a_missing_vector_is_named() {
        let said = |body: &str| match read(&answer(body), 2) {
            Err(Error::MalformedResponse(text)) => text,
            _ => panic!("taken"),
        };
        assert!(said(r#"{"embeddings": {"float": [[1]]}}"#).contains("1 vectors for 2 texts"));
        assert!(said(r#"{"embeddings": "none"}"#).contains("0 vectors"));
        assert!(said(r#"{"texts": []}"#).contains("missing field `embeddings`"));
        assert!(said("<html>").contains("expected value"));
    }
}
