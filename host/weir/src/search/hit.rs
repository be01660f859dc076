//! What a search found, and how it is shown to people.

use serde::Serialize;
use weir_runtime::vector_store::ScoredPoint;

use crate::index::payload::Payload;

/// Lines of a hit's text that are shown, and their length.
const SHOWN_LINES: usize = 5;
const SHOWN_CHARACTERS: usize = 120;

/// A chunk that was found.
#[derive(Debug, Clone, PartialEq, Serialize)]
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
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
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
#[derive(Debug, Clone, PartialEq, Serialize)]
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

/// The hits for people: a line of place, score and symbol, and the first lines of the text.
pub fn show(result: &SearchResult) -> String {
    if result.hits.is_empty() {
        return "nothing found".to_owned();
    }
    let hits: Vec<String> = result.hits.iter().map(show_hit).collect();
    hits.join("\n\n")
}

fn show_hit(hit: &Hit) -> String {
    let mut text = format!("{}:{}-{}  {:.3}", hit.path, hit.start_line, hit.end_line, hit.score);
    if let Some(symbol) = &hit.symbol {
        text += &format!("  {symbol}");
    }
    let lines: Vec<&str> = hit.text.lines().filter(|line| !line.trim().is_empty()).collect();
    for line in lines.iter().take(SHOWN_LINES) {
        let cut: String = line.chars().take(SHOWN_CHARACTERS).collect();
        text += &format!("\n    {}", cut.trim_end());
    }
    if lines.len() > SHOWN_LINES {
        text += "\n    …";
    }
    text
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
    fn a_hit_is_shown_with_its_place_and_its_first_lines() {
        let result = SearchResult {
            hits: vec![hit("\nfn b() {\n\n    1;\n}\n"), hit("a\nb\nc\nd\ne\nf\n")],
            ranked_by: RankedBy::Dense,
            warnings: vec![],
        };
        assert_eq!(
            show(&result),
            "src/a.rs:3-9  0.500  A::b\n    fn b() {\n        1;\n    }\n\n\
             src/a.rs:3-9  0.500  A::b\n    a\n    b\n    c\n    d\n    e\n    …"
        );
        assert_eq!(show(&SearchResult { hits: vec![], ..result }), "nothing found");
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
