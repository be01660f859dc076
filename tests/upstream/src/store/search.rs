//! Queries over a collection: nearest by a dense or a sparse vector, fusion of prefetched lists, or plain listing.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::{
    StoreError,
    collection::{Collection, check_size, mixed_kinds, unknown_vector},
    filter::{Filter, OneOrMany},
    fusion::{self, DEFAULT_K, Fusion, Scored},
    payload::WithPayload,
    point::{Point, PointId},
    vector::{NamedOutput, SparseVector, VectorInput, VectorOutput},
};

/// The limit of a query that names none.
const DEFAULT_LIMIT: usize = 10;

/// A query, and a prefetch within one (which has no use for the fields about the answer).
#[derive(Debug, Deserialize)]
pub(crate) struct Query {
    #[serde(default)]
    query: Option<QueryInput>,
    #[serde(default)]
    prefetch: Option<OneOrMany<Query>>,
    #[serde(default)]
    using: Option<String>,
    #[serde(default)]
    filter: Option<Filter>,
    #[serde(default)]
    limit: Option<usize>,
    #[serde(default)]
    offset: Option<usize>,
    #[serde(default)]
    score_threshold: Option<f32>,
    #[serde(default)]
    with_payload: Option<WithPayload>,
    #[serde(default, alias = "with_vectors")]
    with_vector: Option<WithVector>,
}

/// A vector or an id directly, or an object that says what to do.
#[derive(Debug, Deserialize)]
#[serde(untagged)]
enum QueryInput {
    Nearest(VectorInput),
    NearestObject {
        nearest: VectorInput,
        #[serde(default)]
        mmr: Option<Value>,
    },
    Fusion {
        fusion: Fusion,
    },
    Rrf {
        rrf: Rrf,
    },
    /// Anything else; [`Collection::query`] refuses it by name.
    Other(Value),
}

#[derive(Debug, Deserialize)]
struct Rrf {
    #[serde(default)]
    k: Option<usize>,
    #[serde(default)]
    weights: Option<Value>,
}

/// `with_vector`: all or none, or some by name.
#[derive(Debug, Clone, Deserialize)]
#[serde(untagged)]
pub(crate) enum WithVector {
    All(bool),
    Names(Vec<String>),
}

/// A found point as the answer shows it.
#[derive(Debug, Serialize)]
pub(crate) struct Hit {
    pub(crate) id: PointId,
    version: u64,
    pub(crate) score: f32,
    #[serde(skip_serializing_if = "Option::is_none")]
    payload: Option<Map<String, Value>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    vector: Option<VectorOutput>,
}

impl WithVector {
    /// The point's vectors as the answer shows them, or nothing if they were not asked for.
    pub(crate) fn select(&self, point: &Point) -> Option<VectorOutput> {
        let wanted = |name: &str| match self {
            Self::All(all) => *all,
            Self::Names(names) => names.iter().any(|one| one == name),
        };
        if matches!(self, Self::All(false)) {
            return None;
        }
        if let (Some(vector), 1, true) = (point.dense.get(""), point.dense.len(), point.sparse.is_empty()) {
            return Some(VectorOutput::Unnamed(vector.clone()));
        }
        let dense = point
            .dense
            .iter()
            .map(|(name, vector)| (name, NamedOutput::Dense(vector.clone())));
        let sparse = point
            .sparse
            .iter()
            .map(|(name, vector)| (name, NamedOutput::Sparse(vector.clone())));
        let named = dense
            .chain(sparse)
            .filter(|(name, _)| wanted(name))
            .map(|(name, vector)| (name.clone(), vector));
        Some(VectorOutput::Named(named.collect()))
    }
}

impl Collection {
    /// Answers a query, best first.
    pub(crate) fn query(&self, query: &Query) -> Result<Vec<Hit>, StoreError> {
        let offset = query.offset.unwrap_or(0);
        let take = query.limit()?.saturating_add(offset);
        let listing = query.query.is_none();
        let scored = self.run(query, &[], take)?;
        let hit = |scored: Scored| {
            let point = self.point(scored.id)?;
            Some(Hit {
                id: point.id,
                // A real server gives no version where nothing was compared.
                version: if listing { 0 } else { point.version },
                score: scored.score,
                payload: query.with_payload.as_ref().and_then(|with| with.select(&point.payload)),
                vector: query.with_vector.as_ref().and_then(|with| with.select(point)),
            })
        };
        Ok(scored.into_iter().skip(offset).filter_map(hit).collect())
    }

    /// One stage: its prefetches first, its own query over what they found, cut to `take`. Filters of outer stages
    /// hold inside too.
    fn run(&self, query: &Query, outer: &[&Filter], take: usize) -> Result<Vec<Scored>, StoreError> {
        let mut filters = outer.to_vec();
        if let Some(filter) = &query.filter {
            filter.check()?;
            filters.push(filter);
        }
        let prefetched = query
            .prefetch
            .as_ref()
            .map_or(&[][..], OneOrMany::as_slice)
            .iter()
            .map(|inner| self.run(inner, &filters, inner.limit()?))
            .collect::<Result<Vec<_>, _>>()?;
        let among = (!prefetched.is_empty()).then(|| {
            prefetched
                .iter()
                .flatten()
                .map(|scored| scored.id)
                .collect::<BTreeSet<PointId>>()
        });
        let candidates: Vec<&Point> = self
            .points()
            .filter(|point| among.as_ref().is_none_or(|ids| ids.contains(&point.id)))
            .filter(|point| filters.iter().all(|filter| filter.matches(point, &self.texts)))
            .collect();
        let mut found = match &query.query {
            None if among.is_some() => {
                let what = "A query is needed to merge the prefetches. Can't have prefetches without defining a query.";
                return Err(StoreError::BadRequest(what.to_owned()));
            }
            None => candidates
                .iter()
                .map(|point| Scored {
                    id: point.id,
                    score: 1.0,
                })
                .collect(),
            Some(QueryInput::NearestObject { mmr: Some(_), .. }) => return Err(StoreError::unserved("`mmr`")),
            Some(QueryInput::Nearest(target) | QueryInput::NearestObject { nearest: target, .. }) => {
                let using = query.using.as_deref().unwrap_or_default();
                self.nearest(target, using, &candidates, query.score_threshold)?
            }
            Some(QueryInput::Fusion { .. } | QueryInput::Rrf { .. }) if among.is_none() => {
                let what = "Validation failed: cannot apply Fusion without prefetches";
                return Err(StoreError::WrongInput(what.to_owned()));
            }
            Some(QueryInput::Fusion { fusion: Fusion::Rrf }) => fusion::reciprocal_rank(&prefetched, DEFAULT_K),
            Some(QueryInput::Fusion { fusion: Fusion::Dbsf }) => fusion::distribution_based(&prefetched),
            Some(QueryInput::Rrf { rrf }) => fusion::reciprocal_rank(&prefetched, rrf.k()?),
            Some(QueryInput::Other(other)) => return Err(refused(other)),
        };
        if let (Some(threshold), Some(QueryInput::Fusion { .. } | QueryInput::Rrf { .. })) =
            (query.score_threshold, &query.query)
        {
            // The threshold itself is inside here, unlike where vectors are compared: so the real engine has it.
            found.retain(|one| one.score >= threshold);
        }
        found.truncate(take);
        Ok(found)
    }

    /// The candidates by their score to the target, best first; the threshold itself is outside.
    fn nearest(
        &self,
        target: &VectorInput,
        using: &str,
        candidates: &[&Point],
        threshold: Option<f32>,
    ) -> Result<Vec<Scored>, StoreError> {
        let mut itself = None;
        let resolved = match target {
            VectorInput::Id(id) => {
                itself = Some(*id);
                self.stored_vector(*id, using)?
            }
            VectorInput::Dense(vector) => Resolved::Dense(vector.clone()),
            VectorInput::Sparse(vector) => Resolved::Sparse(vector.clone().checked("internal.query")?),
        };
        let candidates = candidates.iter().filter(|point| Some(point.id) != itself);
        let (mut found, higher_is_better): (Vec<Scored>, bool) =
            match (resolved, self.schema.dense(using), self.schema.sparse(using)) {
                (Resolved::Dense(vector), Some((size, distance)), _) => {
                    check_size(size, &vector)?;
                    let target = distance.prepare(vector);
                    let score = |point: &&&Point| {
                        let stored = point.dense.get(using)?;
                        Some(Scored {
                            id: point.id,
                            score: distance.score(&target, stored),
                        })
                    };
                    (
                        candidates.filter_map(|point| score(&point)).collect(),
                        distance.higher_is_better(),
                    )
                }
                (Resolved::Sparse(vector), _, Some(idf)) => {
                    let weights = if idf {
                        self.inverse_frequencies(using, &vector)
                    } else {
                        vector.entries().collect()
                    };
                    let score = |point: &&&Point| {
                        Some(Scored {
                            id: point.id,
                            score: point.sparse.get(using)?.overlap(&weights)?,
                        })
                    };
                    (candidates.filter_map(|point| score(&point)).collect(), true)
                }
                (_, None, None) => return Err(unknown_vector(using)),
                _ => return Err(mixed_kinds()),
            };
        // A stable sort: equal scores stay in the order of ids, so that an answer is the same every time.
        found.sort_by(|a, b| match (a.score.is_nan(), b.score.is_nan(), higher_is_better) {
            (false, false, true) => b.score.total_cmp(&a.score),
            (false, false, false) => a.score.total_cmp(&b.score),
            (a, b, _) => a.cmp(&b),
        });
        if let Some(threshold) = threshold {
            let better = |score: f32| {
                if higher_is_better {
                    score > threshold
                } else {
                    score < threshold
                }
            };
            found.retain(|one| better(one.score));
        }
        Ok(found)
    }

    fn stored_vector(&self, id: PointId, using: &str) -> Result<Resolved, StoreError> {
        let missing = || StoreError::NotFound(format!("No point with id {id} found"));
        let point = self.point(id).ok_or_else(missing)?;
        let dense = point.dense.get(using).cloned().map(Resolved::Dense);
        let sparse = || point.sparse.get(using).cloned().map(Resolved::Sparse);
        dense.or_else(sparse).ok_or_else(|| unknown_vector(using))
    }

    /// The query's values times `ln((N - n + 0.5) / (n + 0.5) + 1)`: `N` vectors of that name that are not empty in the
    /// whole collection, `n` of them with the index.
    fn inverse_frequencies(&self, name: &str, query: &SparseVector) -> BTreeMap<u32, f32> {
        let stored: Vec<&SparseVector> = self
            .points()
            .filter_map(|point| point.sparse.get(name))
            .filter(|v| !v.indices.is_empty())
            .collect();
        let total = stored.len() as f32;
        query
            .entries()
            .map(|(index, value)| {
                let with = stored
                    .iter()
                    .filter(|vector| vector.indices.binary_search(&index).is_ok())
                    .count() as f32;
                (index, value * ((total - with + 0.5) / (with + 0.5) + 1.0).ln())
            })
            .collect()
    }
}

enum Resolved {
    Dense(Vec<f32>),
    Sparse(SparseVector),
}

impl Query {
    fn limit(&self) -> Result<usize, StoreError> {
        match self.limit {
            Some(0) => Err(StoreError::invalid(
                "internal.limit: value 0 invalid, must be 1 or larger",
            )),
            limit => Ok(limit.unwrap_or(DEFAULT_LIMIT)),
        }
    }
}

impl Rrf {
    fn k(&self) -> Result<usize, StoreError> {
        match (&self.weights, self.k) {
            (Some(_), _) => Err(StoreError::unserved("`rrf.weights`")),
            (None, Some(0)) => Err(StoreError::invalid(
                "internal.query.rrf.k: value 0 invalid, must be 1 or larger",
            )),
            (None, k) => Ok(k.unwrap_or(DEFAULT_K)),
        }
    }
}

/// A query the real server knows and this one does not is named; the rest is malformed there and here.
fn refused(query: &Value) -> StoreError {
    let known = [
        "recommend",
        "discover",
        "context",
        "order_by",
        "formula",
        "sample",
        "text",
        "image",
        "object",
    ];
    match known.into_iter().find(|name| query.get(name).is_some()) {
        Some(name) => StoreError::unserved(&format!("`query.{name}`")),
        None if query
            .as_array()
            .is_some_and(|rows| rows.first().is_some_and(Value::is_array)) =>
        {
            StoreError::unserved("a multivector")
        }
        None => StoreError::Format("Expected some form of vector, id, or a type of query".to_owned()),
    }
}

#[cfg(test)]
mod tests;
