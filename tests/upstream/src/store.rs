//! The collections behind the served Qdrant API: held in memory and searched exactly, without an index.
//!
//! | module | subject |
//! |---|---|
//! | [`point`] | ids, and points as they are stored |
//! | [`vector`] | dense and sparse vectors, distances |
//! | [`payload`] | paths into a payload, parts of it to return |
//! | [`filter`] | conditions on points |
//! | [`fusion`] | several ranked lists into one |
//! | [`schema`] | the vectors a collection's points may have |
//! | [`collection`] | one collection: its points, and changes to them |
//! | [`search`] | queries over a collection |

pub(crate) mod collection;
pub(crate) mod filter;
pub(crate) mod fusion;
pub(crate) mod payload;
pub(crate) mod point;
pub(crate) mod schema;
pub(crate) mod search;
pub(crate) mod vector;

use std::collections::BTreeMap;

use collection::Collection;
use schema::Schema;

/// Why an operation was refused, by what the client did wrong; the words are a real server's.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub(crate) enum StoreError {
    /// The request's values do not fit the collection.
    #[error("Wrong input: {0}")]
    WrongInput(String),
    /// The request asks for nothing, or for something that is not served here.
    #[error("Bad request: {0}")]
    BadRequest(String),
    /// The body is not what the route takes.
    #[error("Format error in JSON body: {0}")]
    Format(String),
    /// A value is out of its range.
    #[error("Validation error in {place}: [{what}]")]
    Validation { place: &'static str, what: String },
    /// No such collection or point.
    #[error("Not found: {0}")]
    NotFound(String),
    /// The collection exists already.
    #[error("Wrong input: Collection `{0}` already exists!")]
    AlreadyExists(String),
}

impl StoreError {
    /// A value in the body is out of its range.
    pub(crate) fn invalid(what: impl Into<String>) -> Self {
        Self::Validation {
            place: "JSON body",
            what: what.into(),
        }
    }

    /// A feature of the real server that is not served here, said rather than ignored.
    pub(crate) fn unserved(what: &str) -> Self {
        Self::BadRequest(format!("{what} is not served by this local server"))
    }
}

/// All collections, by name.
#[derive(Debug, Default)]
pub(crate) struct Store {
    collections: BTreeMap<String, Collection>,
}

impl Store {
    /// The names, in order.
    pub(crate) fn names(&self) -> Vec<String> {
        self.collections.keys().cloned().collect()
    }

    /// The collection, or the server's 404.
    pub(crate) fn collection(&self, name: &str) -> Result<&Collection, StoreError> {
        self.collections.get(name).ok_or_else(|| missing(name))
    }

    /// The collection for a change, or the server's 404.
    pub(crate) fn collection_mut(&mut self, name: &str) -> Result<&mut Collection, StoreError> {
        self.collections.get_mut(name).ok_or_else(|| missing(name))
    }

    /// Makes a collection; one of that name must not exist.
    pub(crate) fn create(&mut self, name: &str, schema: Schema) -> Result<(), StoreError> {
        check_name(name)?;
        let collection = Collection::create(schema)?;
        if self.collections.contains_key(name) {
            return Err(StoreError::AlreadyExists(name.to_owned()));
        }
        self.collections.insert(name.to_owned(), collection);
        Ok(())
    }

    /// Removes a collection; `false` if there was none.
    pub(crate) fn remove(&mut self, name: &str) -> bool {
        self.collections.remove(name).is_some()
    }
}

fn missing(name: &str) -> StoreError {
    StoreError::NotFound(format!("Collection `{name}` doesn't exist!"))
}

/// One to 255 characters, none of which a file name may not have.
fn check_name(name: &str) -> Result<(), StoreError> {
    let refuse = |why: String| {
        Err(StoreError::Validation {
            place: "path parameters",
            what: why,
        })
    };
    if !(1..=255).contains(&name.chars().count()) {
        return refuse(format!(
            "collection_name: value {name:?} invalid, must be from 1 to 255 characters"
        ));
    }
    match name.chars().find(|c| "<>:\"/\\|?*".contains(*c) || c.is_control()) {
        Some(c) => refuse(format!("collection_name: collection name cannot contain {c:?} char")),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plain() -> Schema {
        serde_json::from_str(r#"{"vectors": {"size": 2, "distance": "Dot"}}"#).unwrap()
    }

    #[test]
    fn a_second_collection_of_the_same_name_is_refused() {
        let mut store = Store::default();
        store.create("docs", plain()).unwrap();
        let refused = store.create("docs", plain()).unwrap_err();
        assert_eq!(refused.to_string(), "Wrong input: Collection `docs` already exists!");
        assert_eq!(store.names(), ["docs"]);
    }

    #[test]
    fn removing_says_whether_there_was_anything() {
        let mut store = Store::default();
        store.create("docs", plain()).unwrap();
        assert!(store.remove("docs"));
        assert!(!store.remove("docs"));
        assert_eq!(
            store.collection("docs").unwrap_err().to_string(),
            "Not found: Collection `docs` doesn't exist!"
        );
    }

    #[test]
    fn names_that_no_file_could_have_are_refused() {
        for name in ["", "a/b", "a\0b", &"x".repeat(256)] {
            assert!(
                matches!(check_name(name), Err(StoreError::Validation { .. })),
                "{name:?}"
            );
        }
        assert!(check_name("café notes").is_ok());
    }
}
