//! The store's promises: what a caller sees, what is kept, and what is refused.

use weir_guest::types::SparseVector;

use super::*;
use crate::storage::fake::FakeStorage;
use crate::vector_store::{Condition, Fusion, PointId, Test, Value};

const UUID: &str = "67e55044-10b1-426f-9247-bb680e5fe0c8";

fn collection(name: &str) -> vector_store::Collection {
    vector_store::Collection {
        name: name.to_owned(),
        dimensions: 2,
        distance: Distance::Cosine,
        sparse: true,
    }
}

fn sparse(terms: &[(u32, f32)]) -> SparseVector {
    let (indices, values) = terms.iter().copied().unzip();
    SparseVector { indices, values }
}

fn point(id: u64, vector: [f32; 2], terms: &[(u32, f32)], payload: &str) -> vector_store::Point {
    vector_store::Point {
        id: PointId::Number(id),
        vector: Some(vector.to_vec()),
        sparse: Some(sparse(terms)),
        payload: payload.to_owned(),
    }
}

/// Four points that the dense and the sparse ranking see differently.
fn code_points() -> Vec<vector_store::Point> {
    vec![
        point(1, [1.0, 0.0], &[(7, 1.0)], r#"{"path": "a.rs", "lines": 10}"#),
        point(2, [0.8, 0.6], &[(8, 2.0)], r#"{"path": "b.rs", "lines": 20}"#),
        point(3, [0.0, 1.0], &[(8, 1.0), (9, 1.0)], r#"{"path": "b.rs", "lines": 30}"#),
        point(4, [-1.0, 0.0], &[(9, 1.0)], r#"{"path": "c.rs"}"#),
    ]
}

fn store_of(points: Vec<vector_store::Point>) -> (Store<FakeStorage>, FakeStorage) {
    let storage = FakeStorage::default();
    let mut store = Store::new(storage.clone());
    assert!(store.ensure_collection(collection("code")).unwrap());
    store.upsert("code", points).unwrap();
    (store, storage)
}

fn request() -> QueryRequest {
    let collection = "code".to_owned();
    QueryRequest {
        collection,
        vector: None,
        sparse: None,
        filter: None,
        limit: 10,
        fusion: None,
    }
}

fn dense_query(vector: [f32; 2]) -> QueryRequest {
    QueryRequest {
        vector: Some(vector.to_vec()),
        ..request()
    }
}

fn terms_query(index: u32) -> QueryRequest {
    QueryRequest {
        sparse: Some(sparse(&[(index, 1.0)])),
        ..request()
    }
}

fn hybrid_query(fusion: Option<Fusion>) -> QueryRequest {
    QueryRequest {
        sparse: Some(sparse(&[(8, 1.0)])),
        fusion,
        ..dense_query([1.0, 0.0])
    }
}

fn path_is(path: &str) -> Filter {
    let test = Test::Equals(Value::Text(path.to_owned()));
    Filter {
        must: vec![Condition {
            key: "path".to_owned(),
            test,
        }],
        should: vec![],
        must_not: vec![],
    }
}

fn ids(points: &[ScoredPoint]) -> Vec<u64> {
    let number = |point: &ScoredPoint| match point.id {
        PointId::Number(number) => number,
        PointId::Uuid(_) => unreachable!("these points have numbers"),
    };
    points.iter().map(number).collect()
}

fn found(store: &mut Store<FakeStorage>, request: QueryRequest) -> Vec<u64> {
    ids(&store.query(request).unwrap())
}

fn answers(store: &mut Store<FakeStorage>) -> Vec<Vec<(String, f32, String)>> {
    let sparse_query = QueryRequest {
        sparse: Some(sparse(&[(9, 1.0), (8, 0.5)])),
        ..request()
    };
    [dense_query([0.3, 0.7]), sparse_query, hybrid_query(None)]
        .into_iter()
        .map(|request| {
            let points = store.query(request).unwrap();
            points
                .into_iter()
                .map(|point| (format!("{:?}", point.id), point.score, point.payload))
                .collect()
        })
        .collect()
}

fn message(error: Error) -> String {
    match error {
        Error::InvalidInput(failure) | Error::NotFound(failure) => failure.message,
        Error::Storage(message) => message,
        other => panic!("{other:?}"),
    }
}

#[track_caller]
fn refused<T: std::fmt::Debug>(result: Result<T, Error>, words: &[&str]) {
    let error = result.unwrap_err();
    assert!(matches!(error, Error::InvalidInput(_)), "{error:?}");
    let message = message(error);
    words
        .iter()
        .for_each(|word| assert!(message.contains(word), "`{word}` is not in: {message}"));
}

#[test]
fn a_collection_is_made_once() {
    let (mut store, storage) = store_of(vec![]);
    let batches = *storage.batches.borrow();

    assert!(!store.ensure_collection(collection("code")).unwrap());
    assert_eq!(*storage.batches.borrow(), batches);
    assert_eq!(store.list_collections().unwrap(), ["code"]);
}

#[test]
fn a_collection_that_is_there_with_another_schema_is_refused() {
    let (mut store, _) = store_of(vec![]);
    let wider = vector_store::Collection {
        dimensions: 3,
        ..collection("code")
    };
    let other = vector_store::Collection {
        distance: Distance::Dot,
        ..collection("code")
    };
    refused(store.ensure_collection(wider), &["2 dimensions", "3 dimensions"]);
    refused(store.ensure_collection(other), &["cosine", "dot"]);

    let dense_only = vector_store::Collection {
        sparse: false,
        ..collection("dense")
    };
    assert!(store.ensure_collection(dense_only).unwrap());
    refused(store.ensure_collection(collection("dense")), &["no sparse vectors"]);
    let without = vector_store::Collection {
        sparse: false,
        ..collection("code")
    };
    assert!(!store.ensure_collection(without).unwrap());
}

#[test]
fn names_and_dimensions_out_of_bounds_are_refused() {
    let (mut store, _) = store_of(vec![]);
    for name in ["", "a/b", "a\nb", &"n".repeat(256)] {
        refused(store.ensure_collection(collection(name)), &["name"]);
    }
    for dimensions in [0, 65_537] {
        let collection = vector_store::Collection {
            dimensions,
            ..collection("x")
        };
        refused(store.ensure_collection(collection), &["dimensions"]);
    }
}

#[test]
fn a_missing_collection_is_not_found_and_the_way_to_make_it_is_told() {
    let mut store = Store::new(FakeStorage::default());
    let errors = [
        store.upsert("code", vec![]).unwrap_err(),
        store.query(dense_query([1.0, 0.0])).unwrap_err(),
        store.count("code", None).unwrap_err(),
        store.delete("code", Selection::Ids(vec![])).unwrap_err(),
    ];
    for error in errors {
        assert!(matches!(error, Error::NotFound(_)), "{error:?}");
        assert!(message(error).contains("ensure-collection"));
    }
    assert!(!store.drop_collection("code").unwrap());
}

#[test]
fn cosine_regards_the_direction_alone() {
    let (mut store, _) = store_of(vec![point(1, [30.0, 40.0], &[], "{}"), point(2, [0.1, 0.0], &[], "{}")]);
    let points = store.query(dense_query([0.0, 5.0])).unwrap();
    assert_eq!(ids(&points), [1, 2]);
    assert!(
        (points[0].score - 0.8).abs() < 1e-4 && points[1].score == 0.0,
        "{points:?}"
    );
}

#[test]
fn the_euclidean_distance_is_given_as_it_is_nearest_first() {
    let mut store = Store::new(FakeStorage::default());
    let euclid = vector_store::Collection {
        distance: Distance::Euclid,
        ..collection("code")
    };
    store.ensure_collection(euclid).unwrap();
    store
        .upsert(
            "code",
            vec![point(1, [3.0, 4.0], &[], "{}"), point(2, [0.0, 1.0], &[], "{}")],
        )
        .unwrap();

    let points = store.query(dense_query([0.0, 0.0])).unwrap();

    assert_eq!(points.iter().map(|point| point.score).collect::<Vec<_>>(), [1.0, 5.0]);
}

#[test]
fn a_sparse_query_finds_only_points_with_its_terms() {
    let (mut store, _) = store_of(code_points());
    let query = |terms| QueryRequest {
        sparse: Some(sparse(terms)),
        ..request()
    };
    assert_eq!(found(&mut store, query(&[(8, 1.0)])), [2, 3]);
    assert_eq!(found(&mut store, query(&[(9, 2.0), (8, 1.0)])), [3, 2, 4]);
    assert!(found(&mut store, query(&[(77, 1.0)])).is_empty());
}

#[test]
fn a_hybrid_query_adds_relative_scores_unless_it_asks_for_reciprocal_ranks() {
    let (mut store, _) = store_of(code_points());
    // Dense 1, 2, 3, 4 at 1, 0.8, 0, -1; sparse 2, 3, of which the last counts nothing.
    let points = store.query(hybrid_query(None)).unwrap();
    assert_eq!(ids(&points), [2, 1, 3, 4]);
    assert!((points[0].score - (1.8 / 2.0 + 1.0)).abs() < 1e-4, "{points:?}");
    assert!((points[2].score - 0.5).abs() < 1e-4, "{points:?}");

    let points = store.query(hybrid_query(Some(Fusion::ReciprocalRank))).unwrap();
    // 2: 1/3 + 1/2, 3: 1/4 + 1/3, 1: 1/2, 4: 1/5.
    assert_eq!(ids(&points), [2, 3, 1, 4]);
    assert!((points[1].score - 7.0 / 12.0).abs() < 1e-6, "{points:?}");
}

#[test]
fn a_hybrid_query_without_any_match_of_terms_is_a_dense_one() {
    let (mut store, _) = store_of(code_points());
    let query = QueryRequest {
        sparse: Some(sparse(&[])),
        ..dense_query([1.0, 0.0])
    };
    assert_eq!(found(&mut store, query), [1, 2, 3, 4]);
}

#[test]
fn a_filter_holds_in_every_kind_of_query_and_before_the_limit() {
    let (mut store, _) = store_of(code_points());
    let filtered = |request| QueryRequest {
        filter: Some(path_is("b.rs")),
        limit: 1,
        ..request
    };
    assert_eq!(found(&mut store, filtered(dense_query([1.0, 0.0]))), [2]);
    assert_eq!(
        found(
            &mut store,
            filtered(QueryRequest {
                sparse: Some(sparse(&[(9, 1.0)])),
                ..request()
            })
        ),
        [3]
    );
    assert_eq!(found(&mut store, filtered(hybrid_query(None))), [2]);
    assert_eq!(store.count("code", Some(&path_is("b.rs"))).unwrap(), 2);
    assert_eq!(store.count("code", None).unwrap(), 4);
}

#[test]
fn equal_scores_come_in_the_order_of_the_ids() {
    let points = [5, 3, 9, 1].map(|id| point(id, [1.0, 0.0], &[(1, 1.0)], "{}"));
    let (mut store, _) = store_of(points.to_vec());
    assert_eq!(
        found(
            &mut store,
            QueryRequest {
                limit: 3,
                ..dense_query([1.0, 0.0])
            }
        ),
        [1, 3, 5]
    );
    let hybrid = QueryRequest {
        sparse: Some(sparse(&[(1, 1.0)])),
        ..dense_query([1.0, 0.0])
    };
    assert_eq!(found(&mut store, hybrid), [1, 3, 5, 9]);
}

#[test]
fn an_upsert_replaces_a_point_whole() {
    let (mut store, _) = store_of(code_points());
    let bare = vector_store::Point {
        vector: None,
        sparse: None,
        ..point(2, [0.0, 0.0], &[], r#"{"path": "z.rs"}"#)
    };
    assert_eq!(store.upsert("code", vec![bare]).unwrap(), 1);
    assert_eq!(found(&mut store, hybrid_query(None)), [3, 1, 4]);
    assert_eq!(store.count("code", Some(&path_is("z.rs"))).unwrap(), 1);
    assert_eq!(store.count("code", None).unwrap(), 4);
}

#[test]
fn the_last_of_several_points_with_one_id_wins() {
    let twice = vec![
        point(1, [1.0, 0.0], &[], r#"{"n": 1}"#),
        point(1, [1.0, 0.0], &[], r#"{"n": 2}"#),
    ];
    let (mut store, _) = store_of(twice);
    assert_eq!(store.query(dense_query([1.0, 0.0])).unwrap()[0].payload, r#"{"n": 2}"#);
    assert_eq!(store.count("code", None).unwrap(), 1);
}

#[test]
fn one_bad_point_refuses_the_whole_upsert() {
    let (mut store, storage) = store_of(vec![]);
    let good = || point(1, [1.0, 0.0], &[], "{}");
    let before = storage.values.borrow().clone();
    let bad = |point| {
        vec![
            good(),
            vector_store::Point {
                id: PointId::Number(2),
                ..point
            },
        ]
    };
    let terms = |indices: &[u32], values: &[f32]| {
        let sparse = SparseVector {
            indices: indices.to_vec(),
            values: values.to_vec(),
        };
        bad(vector_store::Point {
            sparse: Some(sparse),
            ..good()
        })
    };
    let vector = |vector: Vec<f32>| {
        bad(vector_store::Point {
            vector: Some(vector),
            ..good()
        })
    };
    let payload = |payload: &str| {
        bad(vector_store::Point {
            payload: payload.to_owned(),
            ..good()
        })
    };

    refused(
        store.upsert("code", vector(vec![1.0; 3])),
        &["point 2", "3 values", "have 2"],
    );
    refused(
        store.upsert("code", vector(vec![0.0, f32::NAN])),
        &["point 2", "value 1", "finite"],
    );
    refused(
        store.upsert("code", vector(vec![f32::INFINITY, 0.0])),
        &["point 2", "value 0", "finite"],
    );
    refused(
        store.upsert("code", terms(&[5, 3, 5], &[1.0; 3])),
        &["point 2", "index 5", "twice"],
    );
    refused(
        store.upsert("code", terms(&[5], &[1.0; 2])),
        &["point 2", "1 indices", "2 values"],
    );
    refused(
        store.upsert("code", terms(&[5], &[f32::NAN])),
        &["point 2", "index 5", "finite"],
    );
    for text in ["[]", "1", "", "{", "{} {}", "null"] {
        refused(store.upsert("code", payload(text)), &["point 2", "JSON object"]);
    }
    let id = PointId::Uuid("7".to_owned());
    refused(
        store.upsert("code", vec![vector_store::Point { id, ..good() }]),
        &["`7`", "UUID"],
    );
    assert_eq!(store.count("code", None).unwrap(), 0);
    assert_eq!(*storage.values.borrow(), before);
}

#[test]
fn a_sparse_vector_for_a_collection_without_them_is_refused() {
    let (mut store, _) = store_of(vec![]);
    store
        .ensure_collection(vector_store::Collection {
            sparse: false,
            ..collection("dense")
        })
        .unwrap();
    refused(
        store.upsert("dense", vec![point(1, [1.0, 0.0], &[(1, 1.0)], "{}")]),
        &["sparse"],
    );
    refused(
        store.query(QueryRequest {
            collection: "dense".to_owned(),
            ..hybrid_query(None)
        }),
        &["sparse"],
    );
}

#[test]
fn a_query_that_can_not_be_meant_is_refused() {
    let (mut store, _) = store_of(code_points());
    refused(store.query(request()), &["vector", "sparse"]);
    refused(
        store.query(QueryRequest {
            limit: 0,
            ..dense_query([1.0, 0.0])
        }),
        &["limit"],
    );
    refused(
        store.query(QueryRequest {
            vector: Some(vec![1.0]),
            ..request()
        }),
        &["1 values", "have 2"],
    );
    refused(store.query(dense_query([f32::NAN, 0.0])), &["finite"]);
    refused(
        store.query(QueryRequest {
            sparse: Some(sparse(&[(1, 1.0), (1, 1.0)])),
            ..request()
        }),
        &["twice"],
    );
}

#[test]
fn points_are_deleted_by_id_or_by_filter_and_those_that_were_there_are_counted() {
    let (mut store, storage) = store_of(code_points());
    let ids = [1, 1, 99].map(PointId::Number).to_vec();
    assert_eq!(store.delete("code", Selection::Ids(ids)).unwrap(), 1);
    assert_eq!(store.delete("code", Selection::Filter(path_is("b.rs"))).unwrap(), 2);
    assert_eq!(store.delete("code", Selection::Filter(path_is("b.rs"))).unwrap(), 0);
    assert_eq!(found(&mut store, dense_query([1.0, 0.0])), [4]);
    assert_eq!(
        storage.values.borrow().keys().collect::<Vec<_>>(),
        ["b/code/0", "c/code", "collections", "format", "p/code/4"]
    );
}

#[test]
fn an_empty_filter_deletes_nothing() {
    let (mut store, _) = store_of(code_points());
    let empty = Filter {
        must: vec![],
        should: vec![],
        must_not: vec![],
    };
    refused(
        store.delete("code", Selection::Filter(empty)),
        &["empty", "every point"],
    );
    assert_eq!(store.count("code", None).unwrap(), 4);
}

#[test]
fn a_dropped_collection_leaves_nothing_behind_and_its_neighbours_alone() {
    let (mut store, storage) = store_of(code_points());
    store.ensure_collection(collection("code2")).unwrap();
    store.upsert("code2", vec![point(1, [1.0, 0.0], &[], "{}")]).unwrap();

    assert!(store.drop_collection("code").unwrap());

    assert_eq!(
        storage.values.borrow().keys().collect::<Vec<_>>(),
        ["b/code2/0", "c/code2", "collections", "format", "p/code2/1"]
    );
    assert_eq!(store.list_collections().unwrap(), ["code2"]);
    assert!(store.ensure_collection(collection("code")).unwrap());
    assert_eq!(store.count("code", None).unwrap(), 0);
}

#[test]
fn a_store_that_is_loaded_again_gives_the_same_answers() {
    let mut points = code_points();
    let uuid = PointId::Uuid(UUID.to_owned());
    points.push(vector_store::Point {
        id: uuid,
        ..point(0, [0.1, 0.2], &[(9, 3.0)], r#"{"path": "ü"}"#)
    });
    points.extend((100..900).map(|id| point(id, [id as f32, 500.0], &[(id as u32, 1.0), (9, 0.1)], "{}")));
    let (mut store, storage) = store_of(points);
    store.delete("code", Selection::Ids(vec![PointId::Number(2)])).unwrap();

    let mut again = Store::new(storage);

    assert_eq!(answers(&mut again), answers(&mut store));
    assert_eq!(again.count("code", None).unwrap(), 804);
    assert_eq!(again.list_collections().unwrap(), ["code"]);
}

#[test]
fn a_batch_that_was_not_written_leaves_nothing() {
    let (mut store, storage) = store_of(code_points());
    let (kept, answered) = (storage.values.borrow().clone(), answers(&mut store));
    *storage.refuses_writes.borrow_mut() = true;

    let changed = vec![
        point(1, [0.0, 1.0], &[], "{}"),
        point(50, [1.0, 0.0], &[(8, 9.0)], "{}"),
    ];
    assert!(matches!(store.upsert("code", changed), Err(Error::Storage(_))));
    assert!(matches!(
        store.delete("code", Selection::Filter(path_is("b.rs"))),
        Err(Error::Storage(_))
    ));
    assert!(matches!(store.drop_collection("code"), Err(Error::Storage(_))));
    assert!(matches!(
        store.ensure_collection(collection("new")),
        Err(Error::Storage(_))
    ));

    assert_eq!(*storage.values.borrow(), kept);
    assert_eq!(answers(&mut store), answered);
    assert_eq!(store.list_collections().unwrap(), ["code"]);
}

#[test]
fn an_upsert_is_one_batch() {
    let (mut store, storage) = store_of(vec![]);
    let before = *storage.batches.borrow();
    store.upsert("code", code_points()).unwrap();
    assert_eq!(*storage.batches.borrow(), before + 1);
}

#[test]
fn a_damaged_record_is_named_and_nothing_is_answered_without_it() {
    for key in ["p/code/3", "b/code/0", "c/code"] {
        let (_, storage) = store_of(code_points());
        storage.values.borrow_mut().get_mut(key).unwrap()[3] ^= 1;
        let kept = storage.values.borrow().clone();
        let mut store = Store::new(storage.clone());

        for _ in 0..2 {
            let error = store.query(dense_query([1.0, 0.0])).unwrap_err();
            assert!(
                matches!(&error, Error::Storage(message) if message.contains(key)),
                "{error:?}"
            );
        }
        assert_eq!(*storage.values.borrow(), kept);
    }
}

#[test]
fn a_record_that_should_be_there_is_named() {
    for key in ["p/code/3", "b/code/0"] {
        let (_, storage) = store_of(code_points());
        storage.values.borrow_mut().remove(key);
        let message = message(Store::new(storage).query(dense_query([1.0, 0.0])).unwrap_err());
        assert!(message.contains(key), "{message}");
    }
}

#[test]
fn what_a_crash_leaves_over_is_no_point_and_no_collection() {
    let (mut store, storage) = store_of(code_points());
    let before = storage.values.borrow().clone();
    store
        .delete("code", Selection::Ids((1..4).map(PointId::Number).collect()))
        .unwrap();
    let gone = |key: &String| key.starts_with("p/");
    let left_over = before.into_iter().filter(|(key, _)| gone(key)).collect::<Vec<_>>();
    storage.values.borrow_mut().extend(left_over);
    let mut again = Store::new(storage.clone());
    assert_eq!(found(&mut again, dense_query([1.0, 0.0])), [4]);
    again
        .upsert("code", vec![point(2, [1.0, 0.0], &[], r#"{"new": 1}"#)])
        .unwrap();
    assert_eq!(found(&mut Store::new(storage.clone()), dense_query([1.0, 0.0])), [2, 4]);

    // Dropped, but still listed.
    storage.values.borrow_mut().remove("c/code");
    let mut again = Store::new(storage);
    assert!(again.list_collections().unwrap().is_empty());
    assert!(again.ensure_collection(collection("code")).unwrap());
    assert_eq!(again.count("code", None).unwrap(), 0);
}

#[test]
fn an_unknown_format_is_refused_and_left_as_it_is() {
    let (_, storage) = store_of(code_points());
    storage.values.borrow_mut().insert("format".to_owned(), b"1".to_vec());
    let kept = storage.values.borrow().clone();
    let mut store = Store::new(storage.clone());

    let message = message(store.ensure_collection(collection("new")).unwrap_err());

    assert!(
        message.contains("format `3`") && message.contains("format `1`"),
        "{message}"
    );
    assert_eq!(*storage.values.borrow(), kept);
}

#[test]
fn a_storage_with_other_things_in_it_is_refused() {
    let storage = FakeStorage::default();
    storage.values.borrow_mut().insert("settings".to_owned(), b"x".to_vec());
    let message = message(Store::new(storage).ensure_collection(collection("new")).unwrap_err());
    assert!(message.contains("no `format`"), "{message}");
}

#[test]
fn the_storage_is_read_once() {
    let (_, storage) = store_of(code_points());
    let mut store = Store::new(storage.clone());
    assert_eq!(store.count("code", None).unwrap(), 4);
    assert_eq!(store.query(terms_query(9)).unwrap().len(), 2);
    storage.values.borrow_mut().retain(|key, _| key.starts_with("p/"));
    assert_eq!(store.count("code", None).unwrap(), 4);
    assert_eq!(store.query(terms_query(9)).unwrap().len(), 2);
}
