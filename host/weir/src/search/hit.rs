//! What a search found.

use schemars::JsonSchema;
use serde::Serialize;
use weir_runtime::vector_store::ScoredPoint;

use crate::index::payload::Payload;

/// A chunk that was found.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
pub struct Hit {
    /// The file, from the root of the tree.
    pub path: String,
    /// Its first line, from 1.
    pub start_line: u32,
    /// Its last line.
    pub end_line: u32,
    /// Higher is better. Only comparable with the other hits of the same search.
    pub score: f32,
    /// The language's name.
    pub language: String,
    /// The item it belongs to or begins.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub symbol: Option<String>,
    /// What that is: `function`, `struct`, ….
    #[serde(skip_serializing_if = "Option::is_none")]
    pub kind: Option<String>,
    /// The text.
    pub text: String,
}

/// Who put the hits in order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum RankedBy {
    /// A reranking model.
    Rerank,
    /// The store, by dense and sparse vectors.
    Hybrid,
    /// The store, by dense vectors.
    Dense,
    /// The store, by sparse vectors.
    Sparse,
}

impl RankedBy {
    /// As it is shown.
    pub fn as_str(self) -> &'static str {
        match self {
            RankedBy::Rerank => "rerank",
            RankedBy::Hybrid => "hybrid",
            RankedBy::Dense => "dense",
            RankedBy::Sparse => "sparse",
        }
    }
}

/// The hits of a search, best first.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
pub struct SearchResult {
    /// Best first.
    pub hits: Vec<Hit>,
    /// Who says so.
    pub ranked_by: RankedBy,
    /// What failed on the way.
    #[serde(skip)]
    pub warnings: Vec<String>,
}

impl Hit {
    /// The hit of a point. A point that no index run has written is none, and is said.
    pub(super) fn new(point: ScoredPoint, warnings: &mut Vec<String>) -> Option<Hit> {
        match serde_json::from_str::<Payload>(&point.payload) {
            Ok(payload) => Some(Hit {
                path: payload.path,
                start_line: payload.start_line,
                end_line: payload.end_line,
                score: point.score,
                language: payload.language,
                symbol: payload.symbol,
                kind: payload.kind,
                text: payload.text,
            }),
            Err(error) => {
                warnings.push(format!(
                    "a point of the collection was not written by `weir index`: {error}"
                ));
                None
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hit(text: &str) -> Hit {
        Hit {
            path: "src/a.rs".into(),
            start_line: 3,
            end_line: 9,
            score: 0.5,
            language: "rust".into(),
            symbol: Some("A::b".into()),
            kind: None,
            text: text.into(),
        }
    }

    #[test]
    fn the_json_form_has_the_fields_that_programs_read() {
        let result = SearchResult {
            hits: vec![hit("x")],
            ranked_by: RankedBy::Hybrid,
            warnings: vec!["w".into()],
        };
        let expected = serde_json::json!({
            "hits": [{"path": "src/a.rs", "start_line": 3, "end_line": 9, "score": 0.5, "language": "rust",
                      "symbol": "A::b", "text": "x"}],
            "ranked_by": "hybrid",
        });
        assert_eq!(serde_json::to_value(&result).unwrap(), expected);
    }

    #[test]
    fn a_point_of_someone_else_is_no_hit_and_is_said() {
        let id = weir_runtime::vector_store::PointId::Number(1);
        let mut warnings = Vec::new();
        let point = ScoredPoint {
            id,
            score: 1.0,
            payload: r#"{"title": "x"}"#.into(),
        };
        assert_eq!(Hit::new(point, &mut warnings), None);
        assert_eq!(warnings.len(), 1);
    }
}
