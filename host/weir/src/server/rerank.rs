//! `POST /v1/rerank` and `POST /v2/rerank`: Cohere's shape, which Jina's clients read too; Voyage's where the request
//! is Voyage's.
//!
//! | the request has | answered |
//! |---|---|
//! | `top_k` (a number or null) | Voyage's `{object, data, model, usage}` |
//! | anything else | Cohere's `{id, results, meta}` |

use std::fmt;
use std::sync::Arc;

use axum::extract::State;
use axum::response::Response;
use axum::{Extension, Json};
use serde::de::value::MapAccessDeserializer;
use serde::de::{self, MapAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize};
use weir_runtime::reranking::{self, Ranked};

use super::allowance::Spending;
use super::app::App;
use super::attempt::first_answer;
use super::backend::RouteTable;
use super::error::ApiError;
use super::json::JsonBody;
use super::observe::told;
use super::request_id::RequestId;
use super::resolve::resolve;

/// Documents that one of Cohere's search units covers (its pricing page: "a query with up to 100 documents").
const DOCUMENTS_A_SEARCH_UNIT: usize = 100;

/// What clients send; other fields are ignored.
#[derive(Debug, Deserialize)]
pub(crate) struct RerankBody {
    model: Option<String>,
    query: String,
    documents: Vec<DocumentText>,
    top_n: Option<u32>,
    /// Voyage's name for `top_n`. Its client sends null where none was given, and reads Voyage's shape in any case.
    #[serde(default, deserialize_with = "present")]
    top_k: Option<Option<u32>>,
    return_documents: Option<bool>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Shape {
    Cohere,
    Voyage,
}

#[derive(Debug, Serialize)]
#[serde(untagged)]
enum RerankAnswer<'a> {
    Cohere {
        id: &'a str,
        results: Vec<RankedDocument<'a>>,
        meta: Meta,
    },
    Voyage {
        object: &'static str,
        data: Vec<RankedDocument<'a>>,
        model: &'a str,
        usage: Usage,
    },
}

#[derive(Debug, Serialize)]
struct RankedDocument<'a> {
    index: u32,
    relevance_score: f32,
    #[serde(skip_serializing_if = "Option::is_none")]
    document: Option<Document<'a>>,
}

#[derive(Debug, Serialize)]
#[serde(untagged)]
enum Document<'a> {
    Object { text: &'a str },
    Text(&'a str),
}

#[derive(Debug, Serialize)]
struct Meta {
    billed_units: BilledUnits,
}

#[derive(Debug, Serialize)]
struct BilledUnits {
    search_units: usize,
}

#[derive(Debug, Serialize)]
struct Usage {
    total_tokens: u64,
}

pub(crate) async fn rerank(
    State(app): State<Arc<App>>,
    Extension(id): Extension<RequestId>,
    Extension(spending): Extension<Spending>,
    JsonBody(body): JsonBody<RerankBody>,
) -> Result<Response, ApiError> {
    let backend = app.backend();
    let targets = resolve(backend.as_ref(), RouteTable::Rerank, body.model.as_deref())?;
    let shape = if body.top_k.is_some() {
        Shape::Voyage
    } else {
        Shape::Cohere
    };
    let with_documents = body.return_documents.unwrap_or(false);
    let request = request(body)?;

    let operation = RouteTable::Rerank.operation();
    let (response, answered) = first_answer(backend.as_ref(), &targets, operation, |provider, model| {
        provider.rerank(reranking::Request {
            model,
            ..request.clone()
        })
    })
    .await?;

    spending.spend(response.usage.input_tokens);
    let documents = with_documents.then_some(request.documents.as_slice());
    let results = results(&response.results, request.documents.len(), documents, shape)
        .map_err(|reason| ApiError::malformed(&answered.provider, &reason).answered(answered.clone()))?;
    let answer = match shape {
        Shape::Cohere => {
            let search_units = request.documents.len().div_ceil(DOCUMENTS_A_SEARCH_UNIT);
            let meta = Meta {
                billed_units: BilledUnits { search_units },
            };
            Json(RerankAnswer::Cohere {
                id: id.as_str(),
                results,
                meta,
            })
        }
        Shape::Voyage => {
            let usage = Usage {
                total_tokens: response.usage.input_tokens,
            };
            Json(RerankAnswer::Voyage {
                object: "list",
                data: results,
                model: &response.model,
                usage,
            })
        }
    };
    Ok(told(answer, answered))
}

/// The typed request; its model is filled in for each provider.
fn request(body: RerankBody) -> Result<reranking::Request, ApiError> {
    let top_n = match (body.top_n, body.top_k.flatten()) {
        (Some(_), Some(_)) => return Err(ApiError::invalid("top_k", "send top_n or top_k, not both")),
        (top_n, top_k) => top_n.or(top_k),
    };
    if top_n == Some(0) {
        return Err(ApiError::invalid(
            "top_n",
            "top_n is at least 1; leave it out to get every document",
        ));
    }
    if body.documents.is_empty() {
        return Err(ApiError::invalid("documents", "documents: the list is empty"));
    }
    Ok(reranking::Request {
        query: body.query,
        documents: body.documents.into_iter().map(|DocumentText(text)| text).collect(),
        top_n,
        model: None,
    })
}

/// A text, or an object with one.
#[derive(Debug)]
struct DocumentText(String);

impl<'de> Deserialize<'de> for DocumentText {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct TextOrObject;
        impl<'de> Visitor<'de> for TextOrObject {
            type Value = DocumentText;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(r#"a string or {"text": "…"}"#)
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<DocumentText, E> {
                Ok(DocumentText(text.to_owned()))
            }

            fn visit_string<E: de::Error>(self, text: String) -> Result<DocumentText, E> {
                Ok(DocumentText(text))
            }

            fn visit_map<A: MapAccess<'de>>(self, fields: A) -> Result<DocumentText, A::Error> {
                #[derive(Deserialize)]
                struct Object {
                    text: Option<String>,
                }
                let object = Object::deserialize(MapAccessDeserializer::new(fields))?;
                let missing = || de::Error::custom(r#"send a string or {"text": "…"}"#);
                object.text.map(DocumentText).ok_or_else(missing)
            }
        }
        deserializer.deserialize_any(TextOrObject)
    }
}

fn results<'a>(
    ranked: &[Ranked],
    sent: usize,
    documents: Option<&'a [String]>,
    shape: Shape,
) -> Result<Vec<RankedDocument<'a>>, String> {
    ranked
        .iter()
        .map(|&Ranked { index, score }| {
            let place = index as usize;
            if place >= sent || !score.is_finite() {
                return Err(format!(
                    "a result names document {index} of {sent} with the score {score}"
                ));
            }
            let text = documents.and_then(|documents| documents.get(place));
            let document = text.map(|text| match shape {
                Shape::Cohere => Document::Object { text },
                Shape::Voyage => Document::Text(text),
            });
            Ok(RankedDocument {
                index,
                relevance_score: score,
                document,
            })
        })
        .collect()
}

/// Tells a field that is null from one that is not there.
fn present<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Option<u32>>, D::Error> {
    Option::deserialize(deserializer).map(Some)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::server::fake::{FakeBackend, FakeProvider, post};
    use serde_json::{Value, json};

    async fn rerank(path: &str, extra: Value) -> crate::server::fake::Answer {
        let mut body = json!({"model": "cohere", "query": "q", "documents": ["a", {"text": "b"}, "c"]});
        body.as_object_mut().unwrap().extend(extra.as_object().unwrap().clone());
        post(FakeBackend::default().provider(FakeProvider::new("cohere")), path, body).await
    }

    /// The fake ranks the documents last to first, with scores 0.5, 0.25, ….
    #[tokio::test]
    async fn the_answer_has_coheres_shape_without_documents() {
        for path in ["/v1/rerank", "/v2/rerank"] {
            let answer = rerank(path, json!({"top_n": 2})).await;
            let expected = json!({
                "id": answer.headers["x-request-id"].to_str().unwrap(),
                "results": [{"index": 2, "relevance_score": 0.5}, {"index": 1, "relevance_score": 0.25}],
                "meta": {"billed_units": {"search_units": 1}},
            });
            assert_eq!((answer.status, &answer.json), (200, &expected));
        }
    }

    #[tokio::test]
    async fn documents_are_returned_when_asked_for() {
        let answer = rerank("/v1/rerank", json!({"return_documents": true, "top_n": 2})).await;
        assert_eq!(answer.json["results"][1]["document"], json!({"text": "b"}));
    }

    #[tokio::test]
    async fn top_k_gets_voyages_shape_even_when_it_is_null() {
        let answer = rerank("/v1/rerank", json!({"top_k": 1, "return_documents": true})).await;
        let expected = json!({
            "object": "list",
            "data": [{"index": 2, "relevance_score": 0.5, "document": "c"}],
            "model": "default",
            "usage": {"total_tokens": 3},
        });
        assert_eq!((answer.status, &answer.json), (200, &expected));
        let answer = rerank("/v1/rerank", json!({"top_k": null, "truncation": true})).await;
        assert_eq!(answer.json["data"].as_array().unwrap().len(), 3);
    }

    #[tokio::test]
    async fn what_can_not_be_ranked_is_refused_by_place() {
        for (extra, param) in [
            (json!({"documents": []}), "documents"),
            (json!({"documents": ["a", {"image": "b"}]}), "documents[1]"),
            (json!({"top_n": 0}), "top_n"),
            (json!({"top_n": 1, "top_k": 1}), "top_k"),
        ] {
            let answer = rerank("/v2/rerank", extra).await;
            assert_eq!(
                (answer.status, answer.json["error"]["param"].as_str()),
                (400, Some(param))
            );
        }
    }

    #[test]
    fn a_result_that_names_no_document_is_never_passed_on() {
        let ranked = [Ranked { index: 3, score: 0.5 }];
        assert!(results(&ranked, 3, None, Shape::Cohere).is_err());
        assert!(
            results(
                &[Ranked {
                    index: 0,
                    score: f32::NAN
                }],
                3,
                None,
                Shape::Cohere
            )
            .is_err()
        );
    }

    #[test]
    fn a_search_unit_covers_a_hundred_documents() {
        assert_eq!(
            [1usize, 100, 101].map(|n| n.div_ceil(DOCUMENTS_A_SEARCH_UNIT)),
            [1, 1, 2]
        );
    }
}
