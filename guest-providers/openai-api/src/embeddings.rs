//! `POST /embeddings`.

use serde::Deserialize;
use serde::ser::{Serialize, SerializeMap, Serializer};
use weir_guest::types::{EmbeddingRequest, Error, Usage};
use weir_guest::vectors::{self, Vector};
use weir_guest::{Request, json};

use crate::usage::Tokens;

/// The contract's record of an answer. See the interface `embedding`.
#[derive(Debug, Clone)]
pub struct Response {
    /// The model that made the vectors.
    pub model: String,
    /// Values in each vector.
    pub dimensions: u32,
    /// All vectors, one after the other in the order of the inputs.
    pub vectors: Vec<f32>,
    /// What they cost.
    pub usage: Usage,
}

/// How a server calls what is asked of it.
#[derive(Debug, Clone, Copy)]
pub struct Dialect<'a> {
    /// The vectors' length: `dimensions`.
    pub dimensions: &'a str,
    /// How vectors are to be written; nothing is said where there is none.
    pub encoding_format: Option<&'a str>,
    /// A further field, its value a text.
    pub further: Option<(&'a str, &'a str)>,
}

impl Dialect<'_> {
    /// OpenAI's own.
    pub const OPENAI: Dialect<'static> = Dialect {
        dimensions: "dimensions",
        encoding_format: Some("base64"),
        further: None,
    };
}

struct Body<'a> {
    model: &'a str,
    request: &'a EmbeddingRequest,
    dialect: Dialect<'a>,
}

impl Serialize for Body<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry("model", self.model)?;
        map.serialize_entry("input", &self.request.inputs)?;
        if let Some(dimensions) = self.request.dimensions {
            map.serialize_entry(self.dialect.dimensions, &dimensions)?;
        }
        let format = self.dialect.encoding_format.map(|format| ("encoding_format", format));
        for (name, value) in format.into_iter().chain(self.dialect.further) {
            map.serialize_entry(name, value)?;
        }
        map.end()
    }
}

#[derive(Deserialize)]
struct Answer<V> {
    data: Vec<Item<V>>,
    model: Option<String>,
    usage: Option<Tokens>,
}

#[derive(Deserialize)]
struct Item<V> {
    index: Option<usize>,
    embedding: V,
}

/// A request to `url`, which ends with the path.
pub fn request(url: String, model: &str, request: &EmbeddingRequest, dialect: Dialect<'_>) -> Request {
    Request::post(url).operation("embed").replay_safe().json(&Body {
        model,
        request,
        dialect,
    })
}

/// # Errors
/// `malformed-response`, naming the place, where a vector is missing, doubled or of another length.
pub fn read(body: &[u8], asked: String, request: &EmbeddingRequest) -> Result<Response, Error> {
    read_as::<Vector>(body, asked, request)
}

/// As [`read`], of vectors that are written as `V` is.
///
/// # Errors
/// As [`read`].
pub fn read_as<V>(body: &[u8], asked: String, request: &EmbeddingRequest) -> Result<Response, Error>
where
    V: for<'de> Deserialize<'de> + Into<Vector>,
{
    let Answer::<V> { data, model, usage } = json::read(body)?;
    let items = data.into_iter().map(|item| vectors::Item {
        index: item.index,
        vector: item.embedding.into(),
    });
    let vectors = vectors::in_order("data", items, request.inputs.len(), request.dimensions)?;
    Ok(Response {
        model: model.unwrap_or(asked),
        dimensions: vectors.dimensions,
        vectors: vectors.values,
        usage: Tokens::of_input(usage),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked(inputs: &[&str]) -> EmbeddingRequest {
        EmbeddingRequest {
            inputs: inputs.iter().map(|&input| input.to_owned()).collect(),
            model: None,
            kind: None,
            dimensions: Some(2),
        }
    }

    fn sent(dialect: Dialect<'_>) -> serde_json::Value {
        let url = "http://localhost:8000/v1/embeddings".to_owned();
        let (wire, _) = request(url, "m", &asked(&["a"]), dialect).into_wire().unwrap();
        serde_json::from_slice(&wire.body.unwrap()).unwrap()
    }

    #[test]
    fn a_request_asks_for_packed_vectors() {
        assert_eq!(
            sent(Dialect::OPENAI),
            serde_json::json!({"model": "m", "input": ["a"], "dimensions": 2, "encoding_format": "base64"})
        );
    }

    #[test]
    fn a_server_is_asked_in_its_own_words() {
        let dialect = Dialect {
            dimensions: "output_dimension",
            encoding_format: None,
            further: Some(("input_type", "query")),
        };
        assert_eq!(
            sent(dialect),
            serde_json::json!({"model": "m", "input": ["a"], "output_dimension": 2, "input_type": "query"})
        );
    }

    #[test]
    fn an_answer_with_no_more_than_vectors_is_enough() {
        let body = br#"{"data": [{"embedding": [1, 0.5]}, {"embedding": "AAAAPwAAgD8="}]}"#;
        let response = read(body, "m".to_owned(), &asked(&["a", "b"])).unwrap();
        assert_eq!(response.vectors, [1.0, 0.5, 0.5, 1.0]);
        assert_eq!(response.model, "m");
        assert_eq!(response.usage.input_tokens, 0);
    }

    #[test]
    fn the_index_decides_the_order() {
        let body = br#"{"object": "list", "model": "n", "usage": {"prompt_tokens": 8, "total_tokens": 8},
            "data": [{"index": 1, "embedding": [3, 4]}, {"index": 0, "embedding": [1, 2]}]}"#;
        let response = read(body, "m".to_owned(), &asked(&["a", "b"])).unwrap();
        assert_eq!(response.vectors, [1.0, 2.0, 3.0, 4.0]);
        assert_eq!(response.model, "n");
        assert_eq!(response.usage.input_tokens, 8);
    }
}
