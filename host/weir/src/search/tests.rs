//! Searches over a backend that answers, or fails, as it is told.

use std::sync::Mutex;

use weir_runtime::types::Error;
use weir_runtime::vector_store::PointId;

use super::*;
use crate::failing::refused;
use crate::index::manifest::Model;

/// Three points; the store gives them in this order.
const PATHS: [&str; 3] = ["a.rs", "b.rs", "c.rs"];

#[derive(Default)]
struct Fake {
    dense: Option<CallError>,
    sparse: Option<CallError>,
    has_sparse: bool,
    refuses_sparse: bool,
    missing: bool,
    reranker: Option<Result<Vec<(u32, f32)>, CallError>>,
    asked: Mutex<Vec<QueryRequest>>,
}

impl Backend for Fake {
    async fn embed(&self, _: &str) -> Result<(String, Vec<f32>), CallError> {
        match &self.dense {
            Some(error) => Err(error.clone()),
            None => Ok(("m".into(), vec![1.0, 0.0])),
        }
    }

    async fn embed_sparse(&self, _: &str) -> Option<Result<SparseVector, CallError>> {
        if !self.has_sparse {
            return None;
        }
        Some(match &self.sparse {
            Some(error) => Err(error.clone()),
            None => Ok(SparseVector {
                indices: vec![1],
                values: vec![1.0],
            }),
        })
    }

    fn store_name(&self) -> &str {
        "memory"
    }

    async fn query(&self, request: QueryRequest) -> Result<Vec<ScoredPoint>, CallError> {
        self.asked.lock().unwrap().push(request.clone());
        if self.missing {
            return Err(refused("embed", Error::NotFound));
        }
        if self.refuses_sparse && request.sparse.is_some() {
            return Err(refused("embed", |_| Error::Unsupported("sparse".into())));
        }
        let point = |path: &&str| {
            let payload = format!(
                r#"{{"path": "{path}", "start_line": 1, "end_line": 2, "language": "rust", "text": "t", "hash": "h"}}"#
            );
            ScoredPoint {
                id: PointId::Number(1),
                score: 0.1,
                payload,
            }
        };
        Ok(PATHS.iter().map(point).take(request.limit as usize).collect())
    }

    fn has_reranker(&self) -> bool {
        self.reranker.is_some()
    }

    async fn rerank(&self, request: reranking::Request) -> Result<Vec<reranking::Ranked>, CallError> {
        assert_eq!(request.documents[0], "a.rs\nt");
        let ranked = self.reranker.clone().unwrap()?;
        Ok(ranked
            .into_iter()
            .map(|(index, score)| reranking::Ranked { index, score })
            .collect())
    }
}

fn options() -> SearchOptions {
    SearchOptions {
        query: "q".into(),
        collection: None,
        folder: "/".into(),
        limit: 2,
        rerank: Rerank::Configured,
        path: None,
        language: None,
        kind: None,
    }
}

async fn found(fake: &Fake) -> (Vec<String>, RankedBy, usize) {
    let result = search(fake, "c", None, &options()).await.unwrap();
    (
        result.hits.into_iter().map(|hit| hit.path).collect(),
        result.ranked_by,
        result.warnings.len(),
    )
}

#[tokio::test]
async fn both_vectors_make_a_hybrid_query() {
    let fake = Fake {
        has_sparse: true,
        ..Fake::default()
    };
    assert_eq!(
        found(&fake).await,
        (vec!["a.rs".into(), "b.rs".into()], RankedBy::Hybrid, 0)
    );
    let asked = fake.asked.lock().unwrap();
    assert!(asked[0].vector.is_some() && asked[0].sparse.is_some() && asked[0].fusion.is_none());
    assert_eq!(asked[0].limit, 2);
}

#[tokio::test]
async fn what_fails_on_the_way_leaves_the_other_ranking_and_a_warning() {
    let fake = Fake {
        has_sparse: true,
        dense: Some(refused("embed", Error::Upstream)),
        ..Fake::default()
    };
    assert_eq!(found(&fake).await.1, RankedBy::Sparse);
    let fake = Fake {
        has_sparse: true,
        sparse: Some(refused("embed", Error::Upstream)),
        ..Fake::default()
    };
    let (_, ranked_by, warnings) = found(&fake).await;
    assert_eq!((ranked_by, warnings), (RankedBy::Dense, 1));
    let fake = Fake {
        has_sparse: true,
        refuses_sparse: true,
        ..Fake::default()
    };
    let (hits, ranked_by, warnings) = found(&fake).await;
    assert_eq!((hits.len(), ranked_by, warnings), (2, RankedBy::Dense, 1));
}

#[tokio::test]
async fn without_any_vector_the_search_fails_with_the_reason() {
    let fake = Fake {
        dense: Some(refused("embed", Error::Unauthorized)),
        ..Fake::default()
    };
    let error = search(&fake, "c", None, &options()).await.unwrap_err();
    assert!(matches!(error, SearchError::Call(error) if error.kind() == "unauthorized"));
}

#[tokio::test]
async fn a_reranker_sees_more_candidates_and_has_the_last_word() {
    let fake = Fake {
        reranker: Some(Ok(vec![(2, 0.9), (0, 0.5), (7, 0.1)])),
        ..Fake::default()
    };
    assert_eq!(
        found(&fake).await,
        (vec!["c.rs".into(), "a.rs".into()], RankedBy::Rerank, 0)
    );
    assert_eq!(fake.asked.lock().unwrap()[0].limit, 50);
    assert_eq!(candidates(20, true), 100);
    assert_eq!(candidates(1_000, true), 1_000);
    assert_eq!(candidates(20, false), 20);
}

#[tokio::test]
async fn a_reranker_that_is_down_leaves_the_stores_order_and_a_warning() {
    let fake = Fake {
        reranker: Some(Err(refused("embed", Error::Upstream))),
        ..Fake::default()
    };
    assert_eq!(
        found(&fake).await,
        (vec!["a.rs".into(), "b.rs".into()], RankedBy::Dense, 1)
    );
}

#[tokio::test]
async fn a_missing_collection_is_answered_with_the_command_that_makes_it() {
    let fake = Fake {
        missing: true,
        ..Fake::default()
    };
    let error = search(&fake, "c", None, &options()).await.unwrap_err();
    assert_eq!(
        error.to_string(),
        "the store `memory` has no collection `c`; run `weir index PATH --collection c`"
    );
}

#[tokio::test]
async fn vectors_of_another_model_are_not_compared() {
    let known = Description {
        root: "/".into(),
        store: "memory".into(),
        embedding: Model {
            provider: "local".into(),
            model: "m".into(),
        },
        configured_model: None,
        dimensions: 2,
        sparse: None,
    };
    search(&Fake::default(), "c", Some(&known), &options()).await.unwrap();
    let known = Description { dimensions: 3, ..known };
    let error = search(&Fake::default(), "c", Some(&known), &options())
        .await
        .unwrap_err();
    assert!(
        error
            .to_string()
            .contains("m (3 dimensions), and the query was embedded with m (2 dimensions)"),
        "{error}"
    );
}

#[tokio::test]
async fn a_pattern_of_paths_is_matched_here_and_more_is_asked_for_until_there_is_enough() {
    let fake = Fake::default();
    let options = SearchOptions {
        path: Some("[c]*".parse().unwrap()),
        limit: 1,
        ..options()
    };
    let result = search(&fake, "c", None, &options).await.unwrap();
    let paths: Vec<&str> = result.hits.iter().map(|hit| hit.path.as_str()).collect();
    assert_eq!(paths, ["c.rs"]);
    let asked: Vec<u32> = fake.asked.lock().unwrap().iter().map(|request| request.limit).collect();
    assert_eq!(asked, [1, 8]);
    assert!(result.warnings.is_empty());
}

#[test]
fn filters_are_all_to_hold() {
    let options = SearchOptions {
        path: Some("src/".parse().unwrap()),
        language: Some("Rust".into()),
        kind: Some("function".into()),
        ..options()
    };
    let filter = filter(&options).unwrap();
    assert!(
        matches!(&filter.must[0], Condition { key, test: Test::Contains(part) } if key == "path" && part == "src/")
    );
    assert!(
        matches!(&filter.must[1], Condition { key, test: Test::Equals(Value::Text(name)) } if key == "language" && name == "rust")
    );
    assert!(
        matches!(&filter.must[2], Condition { key, test: Test::Equals(Value::Text(name)) } if key == "kind" && name == "function")
    );
    assert!(super::filter(&super::tests::options()).is_none());
}
