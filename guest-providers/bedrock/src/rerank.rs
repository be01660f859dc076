//! Reranking, by the model itself or by bedrock-agent-runtime.

use serde::{Deserialize, Serialize};
use weir_guest::json;
use weir_guest::ranking::{self, Ranked};
use weir_guest::types::{Error, Usage};

use crate::reranking;

/// Cohere's body, which Amazon's model takes too.
#[derive(Serialize)]
pub(crate) struct ByModel<'a> {
    query: &'a str,
    documents: &'a [String],
    #[serde(skip_serializing_if = "Option::is_none")]
    top_n: Option<u32>,
    /// Cohere's models want it, Amazon's don't know it.
    #[serde(skip_serializing_if = "Option::is_none")]
    api_version: Option<u32>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct ByAgent<'a> {
    queries: [Query<'a>; 1],
    sources: Vec<Source<'a>>,
    reranking_configuration: Configuration,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Query<'a> {
    r#type: &'static str,
    text_query: Text<'a>,
}

#[derive(Serialize)]
struct Text<'a> {
    text: &'a str,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Source<'a> {
    r#type: &'static str,
    inline_document_source: Document<'a>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Document<'a> {
    r#type: &'static str,
    text_document: Text<'a>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Configuration {
    r#type: &'static str,
    bedrock_reranking_configuration: Model,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Model {
    number_of_results: usize,
    model_configuration: Arn,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Arn {
    model_arn: String,
}

#[derive(Deserialize)]
struct Answer {
    results: Vec<Item>,
}

/// The model and the agent write one field differently.
#[derive(Deserialize)]
struct Item {
    index: u32,
    #[serde(alias = "relevanceScore")]
    relevance_score: f32,
}

pub(crate) fn by_model<'a>(model: &str, request: &'a reranking::Request) -> ByModel<'a> {
    ByModel {
        query: &request.query,
        documents: &request.documents,
        top_n: request.top_n,
        api_version: model.contains("cohere.").then_some(2),
    }
}

pub(crate) fn by_agent<'a>(model: &str, region: &str, request: &'a reranking::Request) -> ByAgent<'a> {
    let model_arn = if model.starts_with("arn:") {
        model.to_owned()
    } else {
        format!("arn:aws:bedrock:{region}::foundation-model/{model}")
    };
    let source = |text: &'a String| Source {
        r#type: "INLINE",
        inline_document_source: Document {
            r#type: "TEXT",
            text_document: Text { text },
        },
    };
    ByAgent {
        queries: [Query {
            r#type: "TEXT",
            text_query: Text { text: &request.query },
        }],
        sources: request.documents.iter().map(source).collect(),
        reranking_configuration: Configuration {
            r#type: "BEDROCK_RERANKING_MODEL",
            bedrock_reranking_configuration: Model {
                // Without it the service gives as many as it likes.
                number_of_results: expected(request),
                model_configuration: Arn { model_arn },
            },
        },
    }
}

pub(crate) fn read(body: &[u8], model: String, request: &reranking::Request) -> Result<reranking::Response, Error> {
    let Answer { results } = json::read(body)?;
    let items = results.into_iter().map(|item| Ranked {
        index: item.index,
        score: item.relevance_score,
    });
    let results = ranking::best_first("results", items, request.documents.len(), request.top_n)?
        .into_iter()
        .map(|Ranked { index, score }| reranking::Ranked { index, score })
        .collect();
    Ok(reranking::Response {
        model,
        results,
        // Reranking is billed by queries, and tells no tokens.
        usage: Usage {
            input_tokens: 0,
            output_tokens: 0,
        },
    })
}

fn expected(request: &reranking::Request) -> usize {
    let all = request.documents.len();
    request.top_n.map_or(all, |top_n| all.min(top_n as usize))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn asked(top_n: Option<u32>) -> reranking::Request {
        reranking::Request {
            query: "q".to_owned(),
            documents: vec!["a".to_owned(), "b".to_owned()],
            top_n,
            model: None,
        }
    }

    #[test]
    fn a_model_is_asked_in_its_own_words() {
        assert_eq!(
            serde_json::to_value(by_model("cohere.rerank-v3-5:0", &asked(Some(1)))).unwrap(),
            json!({"query": "q", "documents": ["a", "b"], "top_n": 1, "api_version": 2})
        );
        assert_eq!(
            serde_json::to_value(by_model("amazon.rerank-v1:0", &asked(None))).unwrap(),
            json!({"query": "q", "documents": ["a", "b"]})
        );
    }

    #[test]
    fn the_agent_is_asked_for_the_model_by_its_arn() {
        let document =
            |text| json!({"type": "INLINE", "inlineDocumentSource": {"type": "TEXT", "textDocument": {"text": text}}});
        assert_eq!(
            serde_json::to_value(by_agent("cohere.rerank-v3-5:0", "eu-west-1", &asked(Some(9)))).unwrap(),
            json!({
                "queries": [{"type": "TEXT", "textQuery": {"text": "q"}}],
                "sources": [document("a"), document("b")],
                "rerankingConfiguration": {
                    "type": "BEDROCK_RERANKING_MODEL",
                    "bedrockRerankingConfiguration": {
                        "numberOfResults": 2,
                        "modelConfiguration": {
                            "modelArn": "arn:aws:bedrock:eu-west-1::foundation-model/cohere.rerank-v3-5:0",
                        },
                    },
                },
            })
        );
    }

    #[test]
    fn both_answers_give_the_documents_best_first() {
        for score in ["relevance_score", "relevanceScore"] {
            let body = format!(r#"{{"results": [{{"index": 0, "{score}": 0.1}}, {{"index": 1, "{score}": 0.9}}]}}"#);
            let response = read(body.as_bytes(), "m".to_owned(), &asked(None)).unwrap();
            let ranking: Vec<_> = response
                .results
                .iter()
                .map(|ranked| (ranked.index, ranked.score))
                .collect();
            assert_eq!(ranking, [(1, 0.9), (0, 0.1)]);
        }
    }
}
