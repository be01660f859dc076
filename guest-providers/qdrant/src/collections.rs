//! Collections: made, compared with what was asked for, listed, dropped.

use serde::{Deserialize, Serialize};
use weir_guest::types::Error;
use weir_guest::{Request, failure};

use crate::vector_store::{Collection, Distance};
use crate::{answer, collection_url};

/// The modifier that weighs a sparse vector's terms when a query is scored.
const IDF: &str = "idf";

#[derive(Serialize)]
struct Create {
    vectors: Named,
    #[serde(skip_serializing_if = "Option::is_none")]
    sparse_vectors: Option<SparseNamed>,
}

/// By the names [`crate::vectors::DENSE`] and [`crate::vectors::SPARSE`].
#[derive(Serialize, Deserialize)]
struct Named {
    dense: Option<Params>,
}

#[derive(Serialize, Deserialize)]
struct SparseNamed {
    sparse: Option<SparseParams>,
}

#[derive(Serialize, Deserialize)]
struct Params {
    size: u32,
    distance: String,
}

#[derive(Serialize, Deserialize)]
struct SparseParams {
    modifier: Option<String>,
}

#[derive(Deserialize)]
struct Info {
    config: Config,
}

#[derive(Deserialize)]
struct Config {
    params: CollectionParams,
}

#[derive(Deserialize)]
struct CollectionParams {
    /// Absent where all vectors are sparse.
    vectors: Option<Named>,
    sparse_vectors: Option<SparseNamed>,
}

#[derive(Deserialize)]
struct List {
    collections: Vec<ListedCollection>,
}

#[derive(Deserialize)]
struct ListedCollection {
    name: String,
}

pub(crate) fn info(base_url: &str, name: &str) -> Result<Request, Error> {
    Ok(Request::get(collection_url(base_url, name, "")?).replay_safe())
}

pub(crate) fn create(base_url: &str, collection: &Collection) -> Result<Request, Error> {
    let dense = Params {
        size: collection.dimensions,
        distance: distance(collection.distance).to_owned(),
    };
    let sparse = SparseParams {
        modifier: Some(IDF.to_owned()),
    };
    Ok(
        Request::put(collection_url(base_url, &collection.name, "")?).json(&Create {
            vectors: Named { dense: Some(dense) },
            sparse_vectors: collection.sparse.then_some(SparseNamed { sparse: Some(sparse) }),
        }),
    )
}

pub(crate) fn delete(base_url: &str, name: &str) -> Result<Request, Error> {
    Ok(Request::delete(collection_url(base_url, name, "")?))
}

pub(crate) fn list(base_url: &str) -> Request {
    Request::get(format!("{base_url}/collections")).replay_safe()
}

pub(crate) fn read_list(body: &[u8]) -> Result<Vec<String>, Error> {
    let List { collections } = answer::read(body)?;
    Ok(collections.into_iter().map(|collection| collection.name).collect())
}

/// Whether the collection that is there is the one asked for.
///
/// # Errors
/// `invalid-input` saying in what they differ.
pub(crate) fn check(body: &[u8], asked: &Collection) -> Result<(), Error> {
    let Info {
        config: Config { params },
    } = answer::read(body)?;
    let differs = |how: String| {
        Err(failure::refused(format!(
            "the collection `{}` is there, {how}",
            asked.name
        )))
    };
    let Some(dense) = params.vectors.and_then(|named| named.dense) else {
        return differs("without a vector named `dense`".to_owned());
    };
    if dense.size != asked.dimensions {
        return differs(format!("with {} dimensions, not {}", dense.size, asked.dimensions));
    }
    let wanted = distance(asked.distance);
    if dense.distance != wanted {
        return differs(format!("with the distance {}, not {wanted}", dense.distance));
    }
    let sparse = params.sparse_vectors.and_then(|named| named.sparse);
    match sparse.map(|sparse| sparse.modifier) {
        None if asked.sparse => differs("without a sparse vector named `sparse`".to_owned()),
        Some(modifier) if asked.sparse && modifier.as_deref() != Some(IDF) => {
            differs("its sparse vector without the modifier `idf`".to_owned())
        }
        _ => Ok(()),
    }
}

fn distance(distance: Distance) -> &'static str {
    match distance {
        Distance::Cosine => "Cosine",
        Distance::Dot => "Dot",
        Distance::Euclid => "Euclid",
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn asked(sparse: bool) -> Collection {
        Collection {
            name: "docs".to_owned(),
            dimensions: 4,
            distance: Distance::Cosine,
            sparse,
        }
    }

    fn checked(params: serde_json::Value, asked: &Collection) -> Result<(), String> {
        let body = json!({"result": {"status": "green", "config": {"params": params}}, "status": "ok", "time": 0.1});
        check(body.to_string().as_bytes(), asked).map_err(|error| match error {
            Error::InvalidInput(failure) => failure.message,
            other => format!("{other:?}"),
        })
    }

    #[test]
    fn a_collection_is_made_with_named_vectors_and_idf() {
        let (wire, _) = create("http://q", &asked(true)).unwrap().into_wire().unwrap();
        assert_eq!(
            (wire.method.as_str(), wire.url.as_str()),
            ("PUT", "http://q/collections/docs")
        );
        assert_eq!(
            serde_json::from_slice::<serde_json::Value>(&wire.body.unwrap()).unwrap(),
            json!({
                "vectors": {"dense": {"size": 4, "distance": "Cosine"}},
                "sparse_vectors": {"sparse": {"modifier": "idf"}},
            })
        );
        let (wire, _) = create("http://q", &asked(false)).unwrap().into_wire().unwrap();
        assert!(!String::from_utf8(wire.body.unwrap()).unwrap().contains("sparse"));
    }

    #[test]
    fn the_same_collection_is_fine() {
        let params = json!({
            "vectors": {"dense": {"size": 4, "distance": "Cosine", "on_disk": true}}, "shard_number": 1,
            "sparse_vectors": {"sparse": {"modifier": "idf"}},
        });
        assert_eq!(checked(params.clone(), &asked(true)), Ok(()));
        assert_eq!(checked(params, &asked(false)), Ok(()));
    }

    #[test]
    fn another_collection_says_in_what_it_differs() {
        let cases = [
            (
                json!({"vectors": {"dense": {"size": 3, "distance": "Cosine"}}}),
                "with 3 dimensions, not 4",
            ),
            (
                json!({"vectors": {"dense": {"size": 4, "distance": "Dot"}}}),
                "with the distance Dot, not Cosine",
            ),
            (
                json!({"vectors": {"size": 4, "distance": "Cosine"}}),
                "without a vector named `dense`",
            ),
            (
                json!({"sparse_vectors": {"sparse": {}}}),
                "without a vector named `dense`",
            ),
            (
                json!({"vectors": {"dense": {"size": 4, "distance": "Cosine"}}}),
                "without a sparse vector",
            ),
            (
                json!({"vectors": {"dense": {"size": 4, "distance": "Cosine"}}, "sparse_vectors": {"sparse": {}}}),
                "without the modifier `idf`",
            ),
        ];
        for (params, how) in cases {
            let said = checked(params, &asked(true)).unwrap_err();
            assert!(said.contains("`docs`") && said.contains(how), "{said}");
        }
    }

    #[test]
    fn collections_are_listed_by_name() {
        let body = br#"{"result": {"collections": [{"name": "a"}, {"name": "b"}]}, "status": "ok", "time": 3e-5}"#;
        assert_eq!(read_list(body).unwrap(), ["a", "b"]);
    }
}
