//! Terms to a sparse vector: the part of BM25 that a text alone decides. What a term is worth in a collection, its
//! inverse document frequency, is the store's to apply.

use crate::{fnv, singular, terms};

/// How soon a term's further occurrences stop to count, and how much a text's length counts: the values Robertson and
/// Zaragoza give in "The Probabilistic Relevance Framework: BM25 and Beyond" (2009, section 3.4).
const K1: f32 = 1.2;
const B: f32 = 0.75;

/// The terms of an average document. A text does not know its neighbours, so the average is assumed: that of chunks of
/// 40 lines is 187, over the 12,850 such chunks (of 20 lines at least) in the source and Markdown files of this
/// repository, tokio, hyper, axum, rustls, clap_builder, serde_json and wasmtime.
const AVERAGE_TERMS: f32 = 187.0;

/// What a text is for.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// To be found: a term weighs by its saturated count, less in a long text.
    Document,
    /// To find with: a term weighs by its count.
    Query,
}

/// The weights of one text's terms, by the terms' hashes in ascending order.
pub struct Weights {
    /// FNV-1a of the term in the singular.
    pub indices: Vec<u32>,
    /// One weight an index.
    pub values: Vec<f32>,
    /// How many terms the text has, each occurrence counted.
    pub terms: u64,
}

/// Weighs the terms of texts. It holds nothing of a text between two calls, only the room to work in.
#[derive(Default)]
pub struct Weigher {
    term: String,
    hashes: Vec<u32>,
}

impl Weigher {
    /// The weights of the terms of `text`. Two terms of one hash count as one term.
    pub fn weigh(&mut self, text: &str, kind: Kind) -> Weights {
        let Self { term, hashes } = self;
        hashes.clear();
        terms::for_each_term(text, term, |term| {
            let (stem, ending) = singular::split(term);
            hashes.push(ending.bytes().fold(fnv::hash(stem.as_bytes()), fnv::push));
        });
        hashes.sort_unstable();
        let length = hashes.len() as f32 / AVERAGE_TERMS;
        let (indices, values) = hashes
            .chunk_by(|a, b| a == b)
            .filter_map(|same| {
                let count = same.len() as f32;
                let weight = match kind {
                    Kind::Document => count * (K1 + 1.0) / (count + K1 * (1.0 - B + B * length)),
                    Kind::Query => count,
                };
                Some((*same.first()?, weight))
            })
            .unzip();
        Weights {
            indices,
            values,
            terms: hashes.len() as u64,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn weight(text: &str, kind: Kind, term: &str) -> Option<f32> {
        let weights = Weigher::default().weigh(text, kind);
        let place = weights.indices.binary_search(&fnv::hash(term.as_bytes())).ok()?;
        Some(weights.values[place])
    }

    #[test]
    fn a_query_weighs_a_term_by_its_count() {
        assert_eq!(weight("pool of a pool", Kind::Query, "pool"), Some(2.0));
        assert_eq!(weight("pool of a pool", Kind::Query, "of"), Some(1.0));
        assert_eq!(weight("pool of a pool", Kind::Query, "lake"), None);
    }

    #[test]
    fn singular_and_plural_are_one_term() {
        let (one, many) = ("an entry of the class", "entries of the class");
        assert_eq!(weight(one, Kind::Query, "entry"), weight(many, Kind::Query, "entry"));
        assert_eq!(weight(many, Kind::Query, "class"), Some(1.0));
    }

    #[test]
    fn a_document_of_average_length_weighs_a_single_term_one() {
        let text = format!("pool{}", " x".repeat(AVERAGE_TERMS as usize - 1));
        assert_eq!(weight(&text, Kind::Document, "pool"), Some(1.0));
    }

    #[test]
    fn a_documents_term_saturates_below_k1_plus_one() {
        let often = weight(&"pool ".repeat(100), Kind::Document, "pool").unwrap();
        let twice = weight("pool pool", Kind::Document, "pool").unwrap();
        assert!(twice < often && often < K1 + 1.0, "{twice} {often}");
    }

    #[test]
    fn a_term_weighs_less_in_a_longer_document() {
        let short = weight("idle pool", Kind::Document, "pool");
        let long = weight(&format!("idle pool{}", " x".repeat(500)), Kind::Document, "pool");
        assert!(short > long, "{short:?} {long:?}");
    }

    #[test]
    fn indices_ascend_and_none_occurs_twice() {
        let weights = Weigher::default().weigh("fn max_idle(pool: &Pool) -> usize { pool.max_idle }", Kind::Document);
        assert!(weights.indices.is_sorted_by(|a, b| a < b));
        assert_eq!(weights.indices.len(), weights.values.len());
        assert_eq!(weights.terms, 11);
    }

    #[test]
    fn a_text_without_terms_has_an_empty_vector() {
        assert!(Weigher::default().weigh(" {} ", Kind::Document).indices.is_empty());
    }
}
