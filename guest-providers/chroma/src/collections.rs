//! Collections: made, found by name, compared with what was asked for, listed.

use serde::{Deserialize, Serialize};
use weir_guest::types::Error;
use weir_guest::{failure, json};

use crate::vector_store::{Collection, Distance};

/// Collections in one page of a list: the most that Chroma Cloud gives (https://docs.trychroma.com/cloud/quotas-limits).
pub(crate) const PAGE: usize = 100;

#[derive(Serialize)]
pub(crate) struct Create<'a> {
    name: &'a str,
    configuration: Configuration,
    metadata: Metadata,
    get_or_create: bool,
}

#[derive(Serialize, Deserialize)]
struct Configuration {
    #[serde(skip_serializing_if = "Option::is_none")]
    hnsw: Option<Index>,
    /// The index of Chroma's distributed form.
    #[serde(skip_serializing_if = "Option::is_none")]
    spann: Option<Index>,
}

#[derive(Serialize, Deserialize)]
struct Index {
    space: Space,
    #[serde(skip_serializing_if = "Option::is_none")]
    ef_search: Option<u32>,
}

/// What is kept with a collection. Chroma itself learns the number of dimensions from the first point.
#[derive(Default, Serialize, Deserialize)]
struct Metadata {
    #[serde(rename = "weir:dimensions")]
    dimensions: Option<u32>,
}

/// How Chroma measures the distance of two vectors.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Space {
    /// One less the cosine of the angle.
    Cosine,
    /// One less the product.
    Ip,
    /// The square of the distance.
    L2,
}

/// A collection that is there.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Known {
    pub id: String,
    pub space: Space,
    /// None for one that another client made, until it has a point.
    pub dimensions: Option<u32>,
}

#[derive(Deserialize)]
struct Answer {
    id: String,
    configuration_json: Configuration,
    dimension: Option<u32>,
    metadata: Option<Metadata>,
}

#[derive(Deserialize)]
struct Listed {
    name: String,
}

/// # Errors
/// `unsupported` with sparse vectors.
pub(crate) fn create(collection: &Collection, ef_search: Option<u32>) -> Result<Create<'_>, Error> {
    if collection.sparse {
        return Err(no_sparse());
    }
    let hnsw = Index {
        space: space(collection.distance),
        ef_search,
    };
    Ok(Create {
        name: &collection.name,
        configuration: Configuration {
            hnsw: Some(hnsw),
            spann: None,
        },
        metadata: Metadata {
            dimensions: Some(collection.dimensions),
        },
        get_or_create: false,
    })
}

pub(crate) fn no_sparse() -> Error {
    Error::Unsupported("Chroma keeps no sparse vectors on a server of one's own".to_owned())
}

/// The part of a list's URL that asks for the page after `listed` collections.
pub(crate) fn page(listed: usize) -> String {
    format!("limit={PAGE}&offset={listed}")
}

pub(crate) fn read_page(body: &[u8]) -> Result<Vec<String>, Error> {
    let page: Vec<Listed> = json::read(body)?;
    Ok(page.into_iter().map(|collection| collection.name).collect())
}

impl Known {
    pub(crate) fn read(body: &[u8]) -> Result<Self, Error> {
        let Answer {
            id,
            configuration_json: Configuration { hnsw, spann },
            dimension,
            metadata,
        } = json::read(body)?;
        let index = hnsw
            .or(spann)
            .ok_or_else(|| failure::malformed("`configuration_json`: neither `hnsw` nor `spann`"))?;
        Ok(Self {
            id,
            space: index.space,
            dimensions: dimension.or(metadata.unwrap_or_default().dimensions),
        })
    }

    /// Whether it is the one asked for.
    ///
    /// # Errors
    /// `invalid-input` saying in what they differ.
    pub(crate) fn check(&self, asked: &Collection) -> Result<(), Error> {
        let differs = |how: String| {
            Err(failure::refused(format!(
                "the collection `{}` is there, {how}",
                asked.name
            )))
        };
        if let Some(dimensions) = self.dimensions.filter(|dimensions| *dimensions != asked.dimensions) {
            return differs(format!("with {dimensions} dimensions, not {}", asked.dimensions));
        }
        let wanted = space(asked.distance);
        if self.space != wanted {
            return differs(format!(
                "with the distance {}, not {}",
                self.space.name(),
                wanted.name()
            ));
        }
        Ok(())
    }
}

impl Space {
    fn name(self) -> &'static str {
        match self {
            Space::Cosine => "cosine",
            Space::Ip => "ip",
            Space::L2 => "l2",
        }
    }
}

fn space(distance: Distance) -> Space {
    match distance {
        Distance::Cosine => Space::Cosine,
        Distance::Dot => Space::Ip,
        Distance::Euclid => Space::L2,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn asked() -> Collection {
        Collection {
            name: "docs".to_owned(),
            dimensions: 4,
            distance: Distance::Cosine,
            sparse: false,
        }
    }

    fn known(space: &str, dimension: Option<u32>, noted: Option<u32>) -> Known {
        let body = json!({
            "id": "6652c4f3-440e-4629-8d6b-9c2360117db0", "name": "docs", "dimension": dimension, "version": 0,
            "configuration_json": {"hnsw": {"space": space, "ef_search": 100}, "spann": null},
            "metadata": noted.map(|noted| json!({"weir:dimensions": noted, "owner": "me"})),
        });
        Known::read(body.to_string().as_bytes()).unwrap()
    }

    #[test]
    fn a_collection_is_made_with_its_distance_and_notes_its_dimensions() {
        let body = |ef_search| serde_json::to_value(create(&asked(), ef_search).unwrap()).unwrap();
        assert_eq!(
            body(None),
            json!({
                "name": "docs", "configuration": {"hnsw": {"space": "cosine"}},
                "metadata": {"weir:dimensions": 4}, "get_or_create": false,
            })
        );
        assert_eq!(body(Some(400))["configuration"]["hnsw"]["ef_search"], 400);
        let sparse = Collection {
            sparse: true,
            ..asked()
        };
        assert!(matches!(create(&sparse, None), Err(Error::Unsupported(_))));
    }

    #[test]
    fn the_same_collection_is_fine() {
        for same in [
            known("cosine", Some(4), None),
            known("cosine", None, Some(4)),
            known("cosine", None, None),
        ] {
            assert!(same.check(&asked()).is_ok(), "{same:?}");
        }
    }

    #[test]
    fn another_collection_says_in_what_it_differs() {
        for (other, how) in [
            (known("cosine", Some(3), Some(4)), "with 3 dimensions, not 4"),
            (known("cosine", None, Some(3)), "with 3 dimensions, not 4"),
            (known("l2", Some(4), None), "with the distance l2, not cosine"),
        ] {
            let Err(Error::InvalidInput(failure)) = other.check(&asked()) else {
                panic!("{other:?}")
            };
            assert!(
                failure.message.contains("`docs`") && failure.message.contains(how),
                "{}",
                failure.message
            );
        }
    }

    #[test]
    fn a_collection_of_the_distributed_form_is_read_too() {
        let body = json!({"id": "i", "configuration_json": {"spann": {"space": "ip"}}, "dimension": 2});
        assert_eq!(Known::read(body.to_string().as_bytes()).unwrap().space, Space::Ip);
        let body = json!({"id": "i", "configuration_json": {}, "dimension": 2});
        let error = Known::read(body.to_string().as_bytes()).unwrap_err();
        assert!(matches!(error, Error::MalformedResponse(text) if text.contains("`configuration_json`")));
    }

    #[test]
    fn collections_are_listed_by_name() {
        assert_eq!(
            read_page(br#"[{"id": "1", "name": "a"}, {"id": "2", "name": "b"}]"#).unwrap(),
            ["a", "b"]
        );
        assert_eq!(page(200), "limit=100&offset=200");
    }
}
