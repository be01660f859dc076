//! Points found, and their distances as scores.
//!
//! | distance of the collection | Chroma tells | score |
//! |---|---|---|
//! | `cosine` | 1 less the cosine | the cosine |
//! | `dot` (`ip`) | 1 less the product | the product |
//! | `euclid` (`l2`) | the square of the distance | the distance: lower is better |

use serde::{Deserialize, Serialize};
use serde_json::Value;
use weir_guest::types::Error;
use weir_guest::{failure, json};

use crate::collections::{Space, no_sparse};
use crate::points::{finite, uneven};
use crate::vector_store::{PointId, QueryRequest, ScoredPoint};
use crate::{filter, payload};

#[derive(Serialize)]
pub(crate) struct Body<'a> {
    query_embeddings: [&'a [f32]; 1],
    n_results: u32,
    #[serde(skip_serializing_if = "Option::is_none")]
    r#where: Option<Value>,
    include: [&'static str; 2],
}

/// One list for each vector asked about, of which there is one.
#[derive(Deserialize)]
struct Answer {
    ids: [Vec<String>; 1],
    distances: [Vec<f32>; 1],
    metadatas: [Vec<Value>; 1],
}

/// # Errors
/// `unsupported` for a sparse vector; `invalid-input` without a vector, or with one that can't be sent.
pub(crate) fn body(request: &QueryRequest) -> Result<Body<'_>, Error> {
    if request.sparse.is_some() {
        return Err(no_sparse());
    }
    let vector = request
        .vector
        .as_deref()
        .ok_or_else(|| failure::refused("a query wants a vector"))?;
    Ok(Body {
        query_embeddings: [finite(vector, "the query")?],
        n_results: request.limit,
        r#where: request.filter.as_ref().map_or(Ok(None), filter::filter)?,
        include: ["metadatas", "distances"],
    })
}

pub(crate) fn read(body: &[u8], space: Space) -> Result<Vec<ScoredPoint>, Error> {
    let Answer {
        ids: [ids],
        distances: [distances],
        metadatas: [metadatas],
    } = json::read(body)?;
    for (path, found) in [("distances", distances.len()), ("metadatas", metadatas.len())] {
        if found != ids.len() {
            return Err(uneven(path, found, ids.len()));
        }
    }
    let found = ids.into_iter().zip(distances).zip(metadatas);
    found
        .map(|((id, distance), metadata)| {
            Ok(ScoredPoint {
                id: point_id(id)?,
                score: score(distance, space),
                payload: payload::of_metadata(metadata)?,
            })
        })
        .collect()
}

fn score(distance: f32, space: Space) -> f32 {
    match space {
        Space::Cosine | Space::Ip => 1.0 - distance,
        // Rounding may leave a little less than nothing.
        Space::L2 => distance.max(0.0).sqrt(),
    }
}

/// Ids are texts to Chroma.
fn point_id(id: String) -> Result<PointId, Error> {
    if let Ok(number) = id.parse::<u64>()
        && number.to_string() == id
    {
        return Ok(PointId::Number(number));
    }
    let is_uuid = id.len() == 36
        && id.bytes().enumerate().all(|(at, byte)| match at {
            8 | 13 | 18 | 23 => byte == b'-',
            _ => byte.is_ascii_hexdigit(),
        });
    if is_uuid {
        Ok(PointId::Uuid(id))
    } else {
        Err(failure::malformed(format!(
            "`ids`: `{id}`, which another client wrote, is neither a whole number nor a UUID"
        )))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;
    use weir_guest::types::SparseVector;

    use super::*;
    use crate::vector_store::{Condition, Filter, Test, Value as Scalar};

    fn asked() -> QueryRequest {
        QueryRequest {
            collection: "docs".to_owned(),
            vector: Some(vec![1.0, 0.0]),
            sparse: None,
            filter: None,
            limit: 5,
            fusion: None,
        }
    }

    #[test]
    fn a_query_asks_for_metadata_and_distances() {
        assert_eq!(
            serde_json::to_value(body(&asked()).unwrap()).unwrap(),
            json!({"query_embeddings": [[1.0, 0.0]], "n_results": 5, "include": ["metadatas", "distances"]})
        );
        let mut filtered = asked();
        filtered.filter = Some(Filter {
            must: vec![],
            should: vec![],
            must_not: vec![Condition {
                key: "k".to_owned(),
                test: Test::Equals(Scalar::Boolean(true)),
            }],
        });
        let filtered = serde_json::to_value(body(&filtered).unwrap()).unwrap();
        assert_eq!(filtered["where"]["$and"][0]["$and"][1], json!({"k": {"$nin": [true]}}));
    }

    #[test]
    fn what_cannot_be_asked_is_refused() {
        let mut sparse = asked();
        sparse.sparse = Some(SparseVector {
            indices: vec![1],
            values: vec![1.0],
        });
        assert!(matches!(body(&sparse), Err(Error::Unsupported(_))));
        let mut bare = asked();
        bare.vector = None;
        assert!(matches!(body(&bare), Err(Error::InvalidInput(_))));
        let mut infinite = asked();
        infinite.vector = Some(vec![f32::NAN]);
        assert!(matches!(body(&infinite), Err(Error::InvalidInput(_))));
    }

    #[test]
    fn distances_become_scores() {
        let scores = |space| -> Vec<f32> {
            let body = br#"{"ids": [["1", "2"]], "distances": [[0.25, 4.0]], "metadatas": [[null, {"a": 1}]]}"#;
            read(body, space).unwrap().iter().map(|point| point.score).collect()
        };
        assert_eq!(scores(Space::Cosine), [0.75, -3.0]);
        assert_eq!(scores(Space::Ip), [0.75, -3.0]);
        assert_eq!(scores(Space::L2), [0.5, 2.0]);
        assert_eq!(score(-1e-7, Space::L2), 0.0);
    }

    #[test]
    fn found_points_keep_their_ids_and_payloads() {
        let body = br#"{"ids": [["18446744073709551615", "5f0c5bb2-6b3c-4f1e-9d55-1f6d2c7c0a01"]],
            "distances": [[0, 1]], "metadatas": [[{"path": "a.rs"}, null]], "documents": null, "embeddings": null}"#;
        let points = read(body, Space::Cosine).unwrap();
        assert!(matches!(points[0].id, PointId::Number(u64::MAX)));
        assert_eq!(points[0].payload, r#"{"path":"a.rs"}"#);
        assert!(matches!(&points[1].id, PointId::Uuid(uuid) if uuid.starts_with("5f0c")));
        assert_eq!(points[1].payload, "{}");
    }

    #[test]
    fn an_answer_that_does_not_fit_is_malformed() {
        for body in [
            r#"{"ids": [["1"]], "distances": [[]], "metadatas": [[null]]}"#,
            r#"{"ids": [["1"]], "distances": [[null]], "metadatas": [[null]]}"#,
            r#"{"ids": [["1"], ["2"]], "distances": [[0], [0]], "metadatas": [[null], [null]]}"#,
            r#"{"ids": [["01"]], "distances": [[0]], "metadatas": [[null]]}"#,
            r#"{"ids": [["1"]], "distances""#,
            "<html></html>",
        ] {
            assert!(
                matches!(read(body.as_bytes(), Space::L2), Err(Error::MalformedResponse(_))),
                "{body}"
            );
        }
    }
}
