//! Points found: by the dense vector, by the sparse one, or by both rankings made one.

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use weir_guest::types::Error;
use weir_guest::{Request, failure, json};

use crate::substring::Substring;
use crate::vector_store::{Fusion, PointId, QueryRequest, ScoredPoint};
use crate::vectors::{self, DENSE, SPARSE, Sparse};
use crate::{answer, collection_url, filter};

/// Fewest candidates each ranking of a hybrid query gives, else twice what is asked for: a point some way down in both
/// may come out on top of the two. A choice, to be corrected by measurement.
const MIN_CANDIDATES: u32 = 50;

#[derive(Serialize)]
struct Body<'a> {
    #[serde(skip_serializing_if = "Vec::is_empty")]
    prefetch: Vec<Search<'a>>,
    query: Query<'a>,
    #[serde(skip_serializing_if = "Option::is_none")]
    using: Option<&'static str>,
    limit: u32,
    #[serde(skip_serializing_if = "Option::is_none")]
    filter: Option<filter::Filter<'a>>,
    with_payload: bool,
}

#[derive(Serialize)]
struct Search<'a> {
    query: Query<'a>,
    using: Option<&'static str>,
    limit: u32,
}

#[derive(Serialize)]
#[serde(rename_all = "lowercase")]
enum Query<'a> {
    Nearest(Vector<'a>),
    Fusion(&'static str),
}

#[derive(Serialize)]
#[serde(untagged)]
enum Vector<'a> {
    Dense(&'a [f32]),
    Sparse(Sparse<'a>),
}

#[derive(Deserialize)]
struct Answer<'a> {
    #[serde(borrow)]
    points: Vec<Found<'a>>,
}

#[derive(Deserialize)]
struct Found<'a> {
    #[serde(borrow)]
    id: &'a RawValue,
    score: f32,
    #[serde(borrow)]
    payload: Option<&'a RawValue>,
}

/// The request; none where nothing can be found, since a sparse vector without an entry is all there is.
///
/// # Errors
/// `invalid-input` without a vector, or with one that can't be sent; `unsupported` for a fusion Qdrant has not.
pub(crate) fn query(base_url: &str, request: &QueryRequest, substring: Substring) -> Result<Option<Request>, Error> {
    let dense = request
        .vector
        .as_deref()
        .map(|vector| vectors::dense(vector, "the query"))
        .transpose()?;
    let sparse = request
        .sparse
        .as_ref()
        .map(|vector| vectors::sparse(vector, "the query"))
        .transpose()?;
    let nearest = |vector, using, limit| Search {
        query: Query::Nearest(vector),
        using: Some(using),
        limit,
    };
    let limit = request.limit;
    let (prefetch, Search { query, using, limit }) = match (dense, sparse) {
        (None, None) => return Err(failure::refused("a query wants a vector, a sparse vector, or both")),
        (None, Some(sparse)) if sparse.is_empty() => return Ok(None),
        (Some(dense), None) => (Vec::new(), nearest(Vector::Dense(dense), DENSE, limit)),
        (None, Some(sparse)) => (Vec::new(), nearest(Vector::Sparse(sparse), SPARSE, limit)),
        (Some(dense), Some(sparse)) => {
            let fusion = Query::Fusion(fusion(request.fusion)?);
            let candidates = limit.saturating_mul(2).max(MIN_CANDIDATES);
            let mut prefetch = vec![nearest(Vector::Dense(dense), DENSE, candidates)];
            if !sparse.is_empty() {
                prefetch.push(nearest(Vector::Sparse(sparse), SPARSE, candidates));
            }
            (
                prefetch,
                Search {
                    query: fusion,
                    using: None,
                    limit,
                },
            )
        }
    };
    // A filter at the top holds for the prefetches, too.
    let filter = request
        .filter
        .as_ref()
        .map_or(Ok(None), |asked| filter::filter(asked, substring))?;
    let url = collection_url(base_url, &request.collection, "/points/query")?;
    let body = Body {
        prefetch,
        query,
        using,
        limit,
        filter,
        with_payload: true,
    };
    Ok(Some(Request::post(url).json(&body).replay_safe()))
}

pub(crate) fn read(body: &[u8]) -> Result<Vec<ScoredPoint>, Error> {
    let Answer { points } = answer::read(body)?;
    points.into_iter().map(scored).collect()
}

fn scored(found: Found) -> Result<ScoredPoint, Error> {
    Ok(ScoredPoint {
        id: id(found.id)?,
        score: found.score,
        payload: found.payload.map_or("{}", RawValue::get).to_owned(),
    })
}

fn id(id: &RawValue) -> Result<PointId, Error> {
    let text = id.get().as_bytes();
    if text.starts_with(b"\"") {
        json::read(text).map(PointId::Uuid)
    } else {
        json::read(text).map(PointId::Number)
    }
}

fn fusion(fusion: Option<Fusion>) -> Result<&'static str, Error> {
    match fusion {
        None | Some(Fusion::ReciprocalRank) => Ok("rrf"),
        // Qdrant's `dbsf` scales by mean and deviation, which is another thing.
        Some(Fusion::RelativeScore) => Err(Error::Unsupported(
            "Qdrant fuses by `reciprocal-rank`, not by `relative-score`".to_owned(),
        )),
    }
}

#[cfg(test)]
mod tests {
    use weir_guest::types::SparseVector;

    use super::*;
    use crate::filter::tests::must;
    use crate::vector_store::Test;

    fn asked(vector: Option<Vec<f32>>, sparse: Option<(Vec<u32>, Vec<f32>)>) -> QueryRequest {
        QueryRequest {
            collection: "docs".to_owned(),
            vector,
            sparse: sparse.map(|(indices, values)| SparseVector { indices, values }),
            filter: None,
            limit: 5,
            fusion: None,
        }
    }

    fn body(request: &QueryRequest) -> String {
        let (wire, _) = query("http://q", request, Substring::Text)
            .unwrap()
            .unwrap()
            .into_wire()
            .unwrap();
        assert_eq!(wire.url, "http://q/collections/docs/points/query");
        assert!(wire.replay_safe);
        String::from_utf8(wire.body.unwrap()).unwrap()
    }

    #[test]
    fn one_vector_is_searched_by_its_name() {
        let mut request = asked(Some(vec![1.0, 0.0]), None);
        request.filter = Some(must("lang", Test::IsEmpty));
        assert_eq!(
            body(&request),
            concat!(
                r#"{"query":{"nearest":[1.0,0.0]},"using":"dense","limit":5,"#,
                r#""filter":{"must":[{"is_empty":{"key":"lang"}}]},"with_payload":true}"#,
            )
        );
        assert_eq!(
            body(&asked(None, Some((vec![3], vec![1.0])))),
            r#"{"query":{"nearest":{"indices":[3],"values":[1.0]}},"using":"sparse","limit":5,"with_payload":true}"#
        );
    }

    #[test]
    fn two_vectors_are_fused_by_rank() {
        assert_eq!(
            body(&asked(Some(vec![0.5]), Some((vec![3], vec![1.0])))),
            concat!(
                r#"{"prefetch":[{"query":{"nearest":[0.5]},"using":"dense","limit":50},"#,
                r#"{"query":{"nearest":{"indices":[3],"values":[1.0]}},"using":"sparse","limit":50}],"#,
                r#""query":{"fusion":"rrf"},"limit":5,"with_payload":true}"#,
            )
        );
    }

    #[test]
    fn a_sparse_vector_without_an_entry_finds_nothing_and_spoils_nothing() {
        assert!(
            query("http://q", &asked(None, Some((vec![], vec![]))), Substring::Text)
                .unwrap()
                .is_none()
        );
        assert!(!body(&asked(Some(vec![0.5]), Some((vec![], vec![])))).contains("sparse"));
    }

    #[test]
    fn what_cannot_be_asked_is_refused() {
        assert!(matches!(
            query("http://q", &asked(None, None), Substring::Text),
            Err(Error::InvalidInput(_))
        ));
        assert!(matches!(
            query("http://q", &asked(Some(vec![f32::NAN]), None), Substring::Text),
            Err(Error::InvalidInput(_))
        ));
        let mut relative = asked(Some(vec![0.5]), Some((vec![3], vec![1.0])));
        relative.fusion = Some(Fusion::RelativeScore);
        assert!(matches!(
            query("http://q", &relative, Substring::Text),
            Err(Error::Unsupported(_))
        ));
    }

    #[test]
    fn found_points_keep_their_ids_and_payloads() {
        let body = br#"{"result": {"points": [{"id": 18446744073709551615, "version": 1, "score": 0.75,
            "payload": {"path": "a.rs"}}, {"id": "5f0c5bb2-6b3c-4f1e-9d55-1f6d2c7c0a01", "version": 2, "score": 1}]},
            "status": "ok", "time": 0.001}"#;

        let points = read(body).unwrap();

        assert!(matches!(points[0].id, PointId::Number(u64::MAX)));
        assert_eq!(
            (points[0].score, points[0].payload.as_str()),
            (0.75, r#"{"path": "a.rs"}"#)
        );
        assert!(matches!(&points[1].id, PointId::Uuid(uuid) if uuid.starts_with("5f0c")));
        assert_eq!(points[1].payload, "{}");
    }

    #[test]
    fn a_point_without_a_score_is_malformed_at_its_place() {
        let body = br#"{"result": {"points": [{"id": 1}]}, "status": "ok", "time": 0.001}"#;
        assert!(matches!(read(body), Err(Error::MalformedResponse(text)) if text.contains("`result.points[0]`")));
    }
}
