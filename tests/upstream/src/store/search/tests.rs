use serde_json::json;

use super::*;

/// Three points in the plane with sparse terms; the third has no terms.
fn docs() -> Collection {
    let create = json!({
        "vectors": {"text": {"size": 2, "distance": "Cosine"}, "place": {"size": 2, "distance": "Euclid"}},
        "sparse_vectors": {"terms": {"modifier": "idf"}, "plain": {}},
    });
    let mut collection = Collection::create(serde_json::from_value(create).unwrap()).unwrap();
    let points = json!([
        {"id": 1, "payload": {"lang": "en", "title": "a"}, "vector": {"text": [1, 0], "place": [0, 0],
            "terms": {"indices": [1, 2], "values": [0.5, 0.25]}, "plain": {"indices": [1], "values": [2]}}},
        {"id": 2, "payload": {"lang": "de"}, "vector": {"text": [3, 4], "place": [3, 4],
            "terms": {"indices": [2, 7], "values": [1, 1]}}},
        {"id": 3, "payload": {"lang": "en"}, "vector": {"text": [0, 1], "place": [6, 8],
            "terms": {"indices": [], "values": []}}},
    ]);
    collection.upsert(serde_json::from_value(points).unwrap()).unwrap();
    collection
}

fn answer(query: Value) -> Value {
    let query: Query = serde_json::from_value(query).unwrap();
    serde_json::to_value(docs().query(&query).unwrap()).unwrap()
}

fn ids_and_scores(query: Value) -> Vec<(u64, f64)> {
    let round = |score: f64| (score * 1e5).round() / 1e5;
    let hit = |hit: &Value| (hit["id"].as_u64().unwrap(), round(hit["score"].as_f64().unwrap()));
    answer(query).as_array().unwrap().iter().map(hit).collect()
}

fn refusal(query: Value) -> String {
    let query: Query = serde_json::from_value(query).unwrap();
    docs().query(&query).unwrap_err().to_string()
}

#[test]
fn nearest_by_cosine_is_best_first_whatever_the_lengths() {
    assert_eq!(
        ids_and_scores(json!({"query": [10, 0], "using": "text"})),
        [(1, 1.0), (2, 0.6), (3, 0.0)]
    );
    assert_eq!(
        ids_and_scores(json!({"query": {"nearest": [10, 0]}, "using": "text", "limit": 1})),
        [(1, 1.0)]
    );
}

#[test]
fn a_distance_is_lower_first_and_its_threshold_a_maximum() {
    assert_eq!(
        ids_and_scores(json!({"query": [0, 0], "using": "place"})),
        [(1, 0.0), (2, 5.0), (3, 10.0)]
    );
    let near = json!({"query": [0, 0], "using": "place", "score_threshold": 6});
    assert_eq!(ids_and_scores(near), [(1, 0.0), (2, 5.0)]);
}

#[test]
fn a_threshold_leaves_out_scores_equal_to_it_but_not_fused_ones() {
    let fused = json!({
        "prefetch": {"query": [1, 0], "using": "text"}, "query": {"fusion": "rrf"}, "score_threshold": 0.25,
    });
    assert_eq!(ids_and_scores(fused), [(1, 0.5), (2, 0.33333), (3, 0.25)]);
    let above = json!({"query": {"indices": [1], "values": [1]}, "using": "plain", "score_threshold": 2.0});
    assert_eq!(ids_and_scores(above), []);
}

#[test]
fn a_point_named_as_the_target_is_not_among_the_answers() {
    assert_eq!(
        ids_and_scores(json!({"query": 1, "using": "text"})),
        [(2, 0.6), (3, 0.0)]
    );
    assert_eq!(
        refusal(json!({"query": 99, "using": "text"})),
        "Not found: No point with id 99 found"
    );
}

#[test]
fn sparse_scores_are_weighted_by_inverse_document_frequency() {
    // Two vectors are not empty: index 1 is in one of them, ln(1.5/1.5 + 1); index 2 in both, ln(0.5/2.5 + 1).
    let (one, two) = (2f64.ln(), 1.2f64.ln());
    let round = |score: f64| (score * 1e5).round() / 1e5;
    let query = json!({"query": {"indices": [1, 2], "values": [2, 4]}, "using": "terms"});
    assert_eq!(
        ids_and_scores(query),
        [(1, round(2.0 * one * 0.5 + 4.0 * two * 0.25)), (2, round(4.0 * two))]
    );
    assert_eq!(
        ids_and_scores(json!({"query": {"indices": [1], "values": [3]}, "using": "plain"})),
        [(1, 6.0)]
    );
    assert_eq!(
        ids_and_scores(json!({"query": {"indices": [42], "values": [1]}, "using": "terms"})),
        []
    );
}

#[test]
fn fusion_ranks_what_the_prefetches_found() {
    let prefetch = json!([
        {"query": [1, 0], "using": "text", "limit": 2},
        {"query": {"indices": [7], "values": [1]}, "using": "terms"},
    ]);
    // Point 2 is second in the first list and first in the second: 1/3 + 1/2.
    let fused = ids_and_scores(json!({"prefetch": prefetch, "query": {"fusion": "rrf"}}));
    assert_eq!(fused, [(2, 0.83333), (1, 0.5)]);
    let fused = ids_and_scores(json!({"prefetch": prefetch, "query": {"rrf": {"k": 60}}}));
    assert_eq!(fused, [(2, 0.03306), (1, 0.01667)]);
    let fused = ids_and_scores(json!({"prefetch": prefetch, "query": {"fusion": "dbsf"}}));
    assert_eq!(fused.len(), 2);
    assert!(refusal(json!({"query": {"fusion": "rrf"}})).contains("without prefetches"));
}

#[test]
fn an_outer_filter_holds_inside_the_prefetches() {
    let fused = json!({
        "prefetch": {"query": [0, 1], "using": "text", "limit": 1},
        "query": {"fusion": "rrf"}, "filter": {"must": {"key": "lang", "match": {"value": "de"}}},
    });
    assert_eq!(ids_and_scores(fused), [(2, 0.5)]);
}

#[test]
fn a_vector_query_over_a_prefetch_scores_only_what_it_found() {
    let rescored = json!({
        "prefetch": {"query": {"indices": [2], "values": [1]}, "using": "terms"}, "query": [0, 1], "using": "text",
    });
    assert_eq!(ids_and_scores(rescored), [(2, 0.8), (1, 0.0)]);
}

#[test]
fn without_a_query_points_are_listed_in_the_order_of_ids() {
    let listed = answer(json!({"limit": 1, "offset": 1, "with_payload": ["lang"]}));
    assert_eq!(
        listed,
        json!([{"id": 2, "version": 0, "score": 1.0, "payload": {"lang": "de"}}])
    );
}

#[test]
fn vectors_are_returned_only_as_asked() {
    let query = |with: Value| answer(json!({"query": [1, 0], "using": "text", "limit": 1, "with_vector": with}));
    assert_eq!(query(json!(false))[0].get("vector"), None);
    assert_eq!(query(json!(["text"]))[0]["vector"], json!({"text": [1.0, 0.0]}));
    assert_eq!(
        query(json!(true))[0]["vector"]["terms"],
        json!({"indices": [1, 2], "values": [0.5, 0.25]})
    );
}

#[test]
fn what_does_not_fit_the_collection_is_refused_in_a_real_servers_words() {
    for (query, message) in [
        (
            json!({"query": [1, 0], "using": "nope"}),
            "Wrong input: Not existing vector name error: nope",
        ),
        (
            json!({"query": [1, 0]}),
            "Wrong input: Not existing vector name error: ",
        ),
        (
            json!({"query": [1], "using": "text"}),
            "Wrong input: Vector dimension error: expected dim: 2, got 1",
        ),
        (
            json!({"query": [1, 0], "using": "terms"}),
            "Wrong input: Conversion between sparse and regular vectors failed",
        ),
        (
            json!({"query": [1, 0], "using": "text", "limit": 0}),
            "Validation error in JSON body: [internal.limit: value 0 invalid, must be 1 or larger]",
        ),
    ] {
        assert_eq!(refusal(query), message);
    }
}

#[test]
fn a_query_that_is_not_served_is_named() {
    let message = refusal(json!({"query": {"recommend": {"positive": [1]}}, "using": "text"}));
    assert_eq!(
        message,
        "Bad request: `query.recommend` is not served by this local server"
    );
}
