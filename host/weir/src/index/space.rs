//! Whose vectors a collection holds, and that no others get in.

use super::error::IndexError;
use super::manifest::{Description, Model};
use super::services::Embedded;

/// What is known of the vectors before the first are made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wanted {
    /// The collection.
    pub collection: String,
    /// The tree, for people.
    pub root: String,
    /// The provider of the store.
    pub store: String,
    /// The provider of the dense vectors.
    pub embedding: String,
    /// Its model, as the configuration or its manifest names it.
    pub model: Option<String>,
    /// The provider of the sparse vectors.
    pub sparse: Option<String>,
}

impl Wanted {
    /// Compares a collection that is there with what the configuration says.
    pub fn check(&self, known: &Description) -> Result<(), IndexError> {
        self.same("the store", &known.store, &self.store)?;
        self.same("embeddings by", &known.embedding.provider, &self.embedding)?;
        if let (Some(was), Some(now)) = (&known.configured_model, &self.model) {
            self.same("the model", was, now)?;
        }
        match (&known.sparse, &self.sparse) {
            (Some(was), now) => self.same("sparse vectors by", &was.provider, now.as_deref().unwrap_or("nobody")),
            // The store took none, or none were wanted: it goes on without.
            (None, _) => Ok(()),
        }
    }

    /// The description of a new collection, from the first vectors made for it.
    pub fn describe(&self, embedded: &Embedded) -> Description {
        let sparse = self.sparse.as_ref().zip(embedded.sparse.as_ref());
        Description {
            root: self.root.clone(),
            store: self.store.clone(),
            embedding: Model {
                provider: self.embedding.clone(),
                model: embedded.model.clone(),
            },
            configured_model: self.model.clone(),
            dimensions: embedded.dimensions(),
            sparse: sparse.map(|(provider, (model, _))| Model {
                provider: provider.clone(),
                model: model.clone(),
            }),
        }
    }

    /// Compares vectors with those that are there.
    pub fn admit(&self, known: &Description, embedded: &Embedded) -> Result<(), IndexError> {
        self.same("the model", &known.embedding.model, &embedded.model)?;
        self.same(
            "dimensions",
            &known.dimensions.to_string(),
            &embedded.dimensions().to_string(),
        )?;
        match (&known.sparse, &embedded.sparse) {
            (Some(was), Some((now, _))) => self.same("the sparse model", &was.model, now),
            (Some(was), None) => self.same("the sparse model", &was.model, "none"),
            (None, _) => Ok(()),
        }
    }

    fn same(&self, what: &'static str, was: &str, now: &str) -> Result<(), IndexError> {
        if was == now {
            return Ok(());
        }
        let collection = self.collection.clone();
        Err(IndexError::Changed {
            collection,
            what,
            was: was.to_owned(),
            now: now.to_owned(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wanted() -> Wanted {
        Wanted {
            collection: "c".into(),
            root: "/a".into(),
            store: "memory".into(),
            embedding: "local".into(),
            model: None,
            sparse: Some("local".into()),
        }
    }

    fn embedded(model: &str, dimensions: usize) -> Embedded {
        let sparse = Some(("terms".to_owned(), Vec::new()));
        Embedded {
            model: model.into(),
            vectors: vec![vec![0.; dimensions]],
            sparse,
            tokens: 0,
            calls: 1,
        }
    }

    #[test]
    fn the_same_settings_and_vectors_are_admitted() {
        let known = wanted().describe(&embedded("m", 3));
        wanted().check(&known).unwrap();
        wanted().admit(&known, &embedded("m", 3)).unwrap();
    }

    #[test]
    fn another_provider_model_or_length_is_refused_with_both_named() {
        let known = Wanted {
            model: Some("m".into()),
            ..wanted()
        }
        .describe(&embedded("m", 3));
        let message = |result: Result<(), IndexError>| result.unwrap_err().to_string();
        let other = Wanted {
            embedding: "voyage".into(),
            ..wanted()
        };
        assert!(message(other.check(&known)).starts_with(
            "collection `c` was indexed with embeddings by local, and now it would be voyage; vectors of both can't be mixed."
        ));
        let other = Wanted {
            model: Some("n".into()),
            ..wanted()
        };
        assert!(message(other.check(&known)).contains("the model m, and now it would be n"));
        let other = Wanted {
            sparse: None,
            ..wanted()
        };
        assert!(message(other.check(&known)).contains("sparse vectors by local, and now it would be nobody"));
        assert!(message(wanted().admit(&known, &embedded("n", 3))).contains("the model m"));
        assert!(message(wanted().admit(&known, &embedded("m", 4))).contains("dimensions 3, and now it would be 4"));
    }

    #[test]
    fn a_collection_without_sparse_vectors_goes_on_without() {
        let known = Description {
            sparse: None,
            ..wanted().describe(&embedded("m", 3))
        };
        wanted().check(&known).unwrap();
        wanted().admit(&known, &embedded("m", 3)).unwrap();
    }
}
