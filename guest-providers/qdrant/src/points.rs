//! Points: written, deleted, counted.

use serde::{Deserialize, Serialize, Serializer};
use serde_json::value::RawValue;
use weir_guest::types::Error;
use weir_guest::{Failure, Request, failure};

use crate::substring::Substring;
use crate::vector_store::{self, Point, PointId, Selection};
use crate::vectors::{self, Sparse};
use crate::{answer, collection_url, filter};

/// Most points in one call. They go in one request, which is written whole or not at all; beyond this it would near
/// the server's 32 MiB.
const MAX_POINTS: usize = 1_000;

#[derive(Serialize)]
struct Upsert<'a> {
    points: Vec<WrittenPoint<'a>>,
}

#[derive(Serialize)]
struct WrittenPoint<'a> {
    id: Id<'a>,
    vector: NamedVectors<'a>,
    payload: &'a RawValue,
}

/// By the names [`vectors::DENSE`] and [`vectors::SPARSE`].
#[derive(Serialize)]
struct NamedVectors<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    dense: Option<&'a [f32]>,
    #[serde(skip_serializing_if = "Option::is_none")]
    sparse: Option<Sparse<'a>>,
}

struct Id<'a>(&'a PointId);

#[derive(Serialize)]
#[serde(rename_all = "lowercase")]
enum Delete<'a> {
    Points(Vec<Id<'a>>),
    Filter(filter::Filter<'a>),
}

#[derive(Serialize)]
struct Count<'a> {
    exact: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    filter: Option<filter::Filter<'a>>,
}

#[derive(Deserialize)]
struct Updated<'a> {
    status: &'a str,
}

#[derive(Deserialize)]
struct Counted {
    count: u64,
}

impl Serialize for Id<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self.0 {
            PointId::Number(number) => serializer.serialize_u64(*number),
            PointId::Uuid(uuid) => serializer.serialize_str(uuid),
        }
    }
}

pub(crate) fn upsert(base_url: &str, collection: &str, points: &[Point]) -> Result<Request, Error> {
    if points.len() > MAX_POINTS {
        let found = points.len();
        return Err(failure::too_large(format!(
            "{found} points in one call, of {MAX_POINTS} at most"
        )));
    }
    let points = points.iter().map(written).collect::<Result<_, _>>()?;
    let url = collection_url(base_url, collection, "/points?wait=true")?;
    Ok(Request::put(url).json(&Upsert { points }).replay_safe())
}

pub(crate) fn delete(
    base_url: &str,
    collection: &str,
    selection: &Selection,
    substring: Substring,
) -> Result<Request, Error> {
    let body = match selection {
        Selection::Ids(ids) => Delete::Points(ids.iter().map(Id).collect()),
        Selection::Filter(asked) => match filter::filter(asked, substring)? {
            Some(filter) => Delete::Filter(filter),
            None => {
                return Err(failure::refused(
                    "an empty filter would delete every point; drop the collection instead",
                ));
            }
        },
    };
    Ok(
        Request::post(collection_url(base_url, collection, "/points/delete?wait=true")?)
            .json(&body)
            .replay_safe(),
    )
}

pub(crate) fn count(
    base_url: &str,
    collection: &str,
    asked: Option<&vector_store::Filter>,
    substring: Substring,
) -> Result<Request, Error> {
    let filter = asked.map_or(Ok(None), |asked| filter::filter(asked, substring))?;
    let url = collection_url(base_url, collection, "/points/count")?;
    Ok(Request::post(url).json(&Count { exact: true, filter }).replay_safe())
}

pub(crate) fn read_count(body: &[u8]) -> Result<u64, Error> {
    answer::read::<Counted>(body).map(|counted| counted.count)
}

/// Whether an update is done. A 200 may also say that it is queued (`acknowledged`), or that the wait for it ran out
/// (`wait_timeout`).
///
/// # Errors
/// `upstream` with the status Qdrant told.
pub(crate) fn completed(body: &[u8]) -> Result<(), Error> {
    match answer::read::<Updated>(body)?.status {
        "completed" => Ok(()),
        other => Err(Error::Upstream(Failure {
            message: format!("the update was accepted, but is not done yet: {other}"),
            status: None,
            code: Some(other.to_owned()),
            request_id: None,
            retry_after: None,
        })),
    }
}

fn written(point: &Point) -> Result<WrittenPoint<'_>, Error> {
    let id = Id(&point.id);
    let subject = || match &point.id {
        PointId::Number(number) => format!("point {number}"),
        PointId::Uuid(uuid) => format!("point {uuid}"),
    };
    let payload: &RawValue = serde_json::from_slice(point.payload.as_bytes())
        .map_err(|error| failure::refused(format!("{}: the payload is no JSON: {error}", subject())))?;
    if !payload.get().starts_with('{') {
        return Err(failure::refused(format!(
            "{}: the payload is not a JSON object",
            subject()
        )));
    }
    let dense = point
        .vector
        .as_ref()
        .map(|vector| vectors::dense(vector, &subject()))
        .transpose()?;
    let sparse = point
        .sparse
        .as_ref()
        .map(|vector| vectors::sparse(vector, &subject()))
        .transpose()?;
    Ok(WrittenPoint {
        id,
        vector: NamedVectors { dense, sparse },
        payload,
    })
}

#[cfg(test)]
mod tests {
    use weir_guest::types::SparseVector;

    use super::*;
    use crate::filter::tests::must;
    use crate::vector_store::{Test, Value};

    fn point(vector: Vec<f32>, payload: &str) -> Point {
        Point {
            id: PointId::Number(7),
            vector: Some(vector),
            sparse: None,
            payload: payload.to_owned(),
        }
    }

    fn body(request: Request) -> String {
        String::from_utf8(request.into_wire().unwrap().0.body.unwrap()).unwrap()
    }

    fn refused<T>(result: Result<T, Error>) -> String {
        match result {
            Err(Error::InvalidInput(failure)) => failure.message,
            _ => panic!("taken"),
        }
    }

    #[test]
    fn floats_are_written_with_a_point_and_payloads_as_they_are() {
        let mut uuid = point(vec![1.0, 0.0, -0.5], r#"{"b": 1, "a": [1.0]}"#);
        uuid.id = PointId::Uuid("5f0c5bb2-6b3c-4f1e-9d55-1f6d2c7c0a01".to_owned());
        uuid.sparse = Some(SparseVector {
            indices: vec![3, 7],
            values: vec![1.0, 2.5],
        });
        let mut bare = point(vec![], "{}");
        bare.vector = None;

        let (wire, _) = upsert("http://q", "docs", &[uuid, bare]).unwrap().into_wire().unwrap();

        assert_eq!(wire.url, "http://q/collections/docs/points?wait=true");
        assert!(wire.replay_safe);
        assert_eq!(
            String::from_utf8(wire.body.unwrap()).unwrap(),
            concat!(
                r#"{"points":[{"id":"5f0c5bb2-6b3c-4f1e-9d55-1f6d2c7c0a01","vector":{"dense":[1.0,0.0,-0.5],"#,
                r#""sparse":{"indices":[3,7],"values":[1.0,2.5]}},"payload":{"b": 1, "a": [1.0]}},"#,
                r#"{"id":7,"vector":{},"payload":{}}]}"#,
            )
        );
    }

    #[test]
    fn what_qdrant_would_lose_is_refused_with_the_points_id() {
        let said = refused(upsert("http://q", "docs", &[point(vec![1.0, f32::INFINITY], "{}")]));
        assert!(said.contains("point 7") && said.contains("value 1"), "{said}");
        assert!(refused(upsert("http://q", "docs", &[point(vec![1.0], "[]")])).contains("not a JSON object"));
        assert!(refused(upsert("http://q", "docs", &[point(vec![1.0], "{")])).contains("no JSON"));
        let mut uneven = point(vec![1.0], "{}");
        uneven.sparse = Some(SparseVector {
            indices: vec![1, 2],
            values: vec![1.0],
        });
        assert!(refused(upsert("http://q", "docs", &[uneven])).contains("2 indices and 1 values"));
    }

    #[test]
    fn more_points_than_fit_ask_for_smaller_parts() {
        let points: Vec<_> = (0..=MAX_POINTS).map(|_| point(vec![1.0], "{}")).collect();
        assert!(matches!(upsert("http://q", "docs", &points), Err(Error::TooLarge(_))));
    }

    #[test]
    fn points_are_deleted_by_id_or_by_filter_and_never_all() {
        let ids = Selection::Ids(vec![PointId::Number(1), PointId::Uuid("u".to_owned())]);
        assert_eq!(
            body(delete("http://q", "docs", &ids, Substring::Text).unwrap()),
            r#"{"points":[1,"u"]}"#
        );
        let filter = Selection::Filter(must("path", Test::Equals(Value::Text("a.rs".to_owned()))));
        assert_eq!(
            body(delete("http://q", "docs", &filter, Substring::Text).unwrap()),
            r#"{"filter":{"must":[{"key":"path","match":{"value":"a.rs"}}]}}"#
        );
        let empty = Selection::Filter(vector_store::Filter {
            must: vec![],
            should: vec![],
            must_not: vec![],
        });
        assert!(refused(delete("http://q", "docs", &empty, Substring::Text)).contains("every point"));
    }

    #[test]
    fn only_a_completed_update_is_done() {
        let told = |status| format!(r#"{{"result": {{"operation_id": 2, "status": "{status}"}}, "status": "ok"}}"#);
        assert!(completed(told("completed").as_bytes()).is_ok());
        for status in ["wait_timeout", "acknowledged"] {
            let error = completed(told(status).as_bytes()).unwrap_err();
            assert!(matches!(error, Error::Upstream(failure) if failure.code.as_deref() == Some(status)));
        }
    }

    #[test]
    fn points_are_counted_exactly() {
        assert_eq!(
            body(count("http://q", "docs", None, Substring::Text).unwrap()),
            r#"{"exact":true}"#
        );
        assert_eq!(
            read_count(br#"{"result": {"count": 3}, "status": "ok", "time": 0.1}"#).unwrap(),
            3
        );
    }
}
