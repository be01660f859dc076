//! The vectors a collection's points may have.

use std::{collections::BTreeMap, num::NonZeroU64};

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{StoreError, vector::Distance};

/// The widest dense vector a real server takes.
const WIDEST: u64 = 65_536;

/// The body that makes a collection, kept as its schema. What tunes an index is taken and has no effect on an exact
/// search.
#[derive(Debug, Clone, Deserialize, Serialize)]
pub(crate) struct Schema {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    vectors: Option<VectorsConfig>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    sparse_vectors: Option<BTreeMap<String, SparseConfig>>,
}

/// One dense vector without a name, or several by name.
#[derive(Debug, Clone, Deserialize, Serialize)]
#[serde(untagged)]
enum VectorsConfig {
    Unnamed(DenseConfig),
    Named(BTreeMap<String, DenseConfig>),
}

#[derive(Debug, Clone, Deserialize, Serialize)]
struct DenseConfig {
    size: NonZeroU64,
    distance: Distance,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    on_disk: Option<bool>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    datatype: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    multivector_config: Option<Value>,
}

#[derive(Debug, Clone, Deserialize, Serialize)]
struct SparseConfig {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    modifier: Option<Modifier>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    index: Option<Value>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "lowercase")]
enum Modifier {
    None,
    Idf,
}

impl Schema {
    /// Refuses sizes out of range, and multivectors, which are not served here.
    pub(super) fn check(&self) -> Result<(), StoreError> {
        let all: Vec<&DenseConfig> = match &self.vectors {
            None => Vec::new(),
            Some(VectorsConfig::Unnamed(config)) => vec![config],
            Some(VectorsConfig::Named(named)) => named.values().collect(),
        };
        for config in all {
            if config.size.get() > WIDEST {
                let what = format!(
                    "vectors.size: value {} invalid, must be from 1 to {WIDEST}",
                    config.size
                );
                return Err(StoreError::invalid(what));
            }
            if config.multivector_config.is_some() {
                return Err(StoreError::unserved("a multivector"));
            }
        }
        Ok(())
    }

    /// Width and distance of the dense vector of that name; the unnamed one has the empty name.
    pub(super) fn dense(&self, name: &str) -> Option<(usize, Distance)> {
        let config = match self.vectors.as_ref()? {
            VectorsConfig::Unnamed(config) if name.is_empty() => config,
            VectorsConfig::Unnamed(_) => return None,
            VectorsConfig::Named(named) => named.get(name)?,
        };
        Some((usize::try_from(config.size.get()).ok()?, config.distance))
    }

    /// Whether a sparse vector of that name exists, and if so whether inverse document frequencies weigh its queries.
    pub(super) fn sparse(&self, name: &str) -> Option<bool> {
        let config = self.sparse_vectors.as_ref()?.get(name)?;
        Some(config.modifier == Some(Modifier::Idf))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn sizes_out_of_range_and_unknown_distances_are_refused() {
        let schema: Schema = serde_json::from_value(json!({"vectors": {"size": 65537, "distance": "Dot"}})).unwrap();
        assert!(matches!(schema.check(), Err(StoreError::Validation { .. })));
        for (size, distance) in [(0, "Dot"), (4, "cosine")] {
            let body = json!({"vectors": {"size": size, "distance": distance}});
            assert!(serde_json::from_value::<Schema>(body).is_err());
        }
    }

    #[test]
    fn vectors_are_found_by_name_and_the_unnamed_one_by_the_empty_name() {
        let named: Schema = serde_json::from_value(json!({
            "vectors": {"text": {"size": 4, "distance": "Cosine"}}, "sparse_vectors": {"terms": {"modifier": "idf"}, "raw": {}},
        }))
        .unwrap();
        assert_eq!(
            (named.dense("text"), named.dense("")),
            (Some((4, Distance::Cosine)), None)
        );
        assert_eq!(
            (named.sparse("terms"), named.sparse("raw"), named.sparse("text")),
            (Some(true), Some(false), None)
        );
        let unnamed: Schema = serde_json::from_value(json!({"vectors": {"size": 2, "distance": "Dot"}})).unwrap();
        assert_eq!(
            (unnamed.dense(""), unnamed.dense("text")),
            (Some((2, Distance::Dot)), None)
        );
    }
}
