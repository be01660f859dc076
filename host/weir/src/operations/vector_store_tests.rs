//! A store's operations as JSON.

use super::*;

const UUID: &str = "5f1e6a8e-8a54-4a5e-9b57-0c2c0b3f7a11";

fn refusal<T>(result: Result<T, Refusal>) -> String {
    match result {
        Err(Refusal::Input(message)) => message,
        Err(Refusal::Answer(message)) => panic!("an answer: {message}"),
        Ok(_) => panic!("accepted"),
    }
}

#[test]
fn a_collection_is_cosine_without_sparse_vectors_unless_said() {
    let usual = collection(json!({"collection": "c", "dimensions": 3})).unwrap();
    assert!(matches!(usual.distance, Distance::Cosine));
    assert!(!usual.sparse);
    let other = collection(json!({"collection": "c", "dimensions": 3, "distance": "euclid", "sparse": true})).unwrap();
    assert!(matches!(other.distance, Distance::Euclid));
    assert!(other.sparse);
}

#[test]
fn points_are_read_with_either_kind_of_id() {
    let (name, points) = points(json!({"collection": "c", "points": [
        {"id": 7, "vector": [0.5, 1], "payload": {"path": "a.rs"}},
        {"id": UUID, "sparse": {"indices": [3], "values": [1.5]}},
    ]}))
    .unwrap();

    assert_eq!(name, "c");
    assert!(matches!(points[0].id, PointId::Number(7)));
    assert_eq!(points[0].vector.as_deref(), Some(&[0.5, 1.0][..]));
    assert_eq!(points[0].payload, r#"{"path":"a.rs"}"#);
    assert!(matches!(&points[1].id, PointId::Uuid(uuid) if uuid == UUID));
    assert_eq!(points[1].sparse.as_ref().unwrap().indices, [3]);
    assert_eq!(points[1].payload, "{}");
}

#[test]
fn wrong_points_are_named() {
    let upsert = |point: Value| refusal(points(json!({"collection": "c", "points": [point]})));
    assert_eq!(
        upsert(json!({"id": -1})),
        "`points[0].id`: a number as an id must be whole and not negative"
    );
    assert!(upsert(json!({"id": "7"})).starts_with("`points[0].id`: a text as an id must be a UUID"));
    assert!(upsert(json!({"id": 1, "vector": [1e39]})).starts_with("`points[0].vector[0]` is too large"));
    assert!(upsert(json!({"id": 1, "payload": [1]})).starts_with("`points[0].payload`: invalid type"));
    assert_eq!(upsert(json!({"vector": [1]})), "`points[0]`: missing field `id`");
    assert_eq!(
        refusal(points(json!({"collection": "c", "points": []}))),
        "`points` is empty"
    );
    assert_eq!(
        refusal(points(json!({"collection": "", "points": [{"id": 1}]}))),
        "`collection` is empty"
    );
}

#[test]
fn a_query_needs_something_to_look_for() {
    assert_eq!(
        refusal(query(json!({"collection": "c"}))),
        "a query needs `vector`, `sparse` or both"
    );
    let request = query(json!({"collection": "c", "vector": [1], "fusion": "relative-score"})).unwrap();
    assert_eq!(request.limit, DEFAULT_LIMIT);
    assert!(matches!(request.fusion, Some(Fusion::RelativeScore)));
    assert_eq!(
        refusal(query(json!({"collection": "c", "vector": [1], "limit": 0}))),
        "`limit` must be above 0"
    );
}

#[test]
fn hits_are_written_with_their_payload() {
    let point = ScoredPoint {
        id: PointId::Number(u64::MAX),
        score: 0.1,
        payload: r#"{"a":[1]}"#.into(),
    };
    assert_eq!(
        found(&[point]).unwrap().to_string(),
        r#"{"points":[{"id":18446744073709551615,"payload":{"a":[1]},"score":0.1}]}"#
    );
}

#[test]
fn deleting_everything_by_accident_is_refused() {
    assert!(refusal(selection(json!({"collection": "c", "filter": {}}))).contains("would delete all"));
    assert_eq!(
        refusal(selection(json!({"collection": "c"}))),
        "delete needs either `ids` or `filter`"
    );
    assert_eq!(
        refusal(selection(json!({"collection": "c", "ids": []}))),
        "`ids` is empty"
    );
    let (_, chosen) = selection(json!({"collection": "c", "ids": [1, UUID]})).unwrap();
    assert!(matches!(chosen, Selection::Ids(ids) if ids.len() == 2));
}
