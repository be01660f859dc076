//! A ranking out of an answer, checked: as many documents as were asked for, none twice, best first.

use crate::{Error, failure};

/// One document's worth.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Ranked {
    /// The document's place in the request.
    pub index: u32,
    /// Higher is better.
    pub score: f32,
}

/// The ranking of `items`, best first.
///
/// `path` is where the answer has the list (`results`), `documents` how many were sent, `top_n` how many asked for.
///
/// # Errors
/// `malformed-response` naming the place, if there are fewer or more than asked for, a document that was not sent, one
/// that is there twice, or a score that is not finite.
pub fn best_first(
    path: &str,
    items: impl IntoIterator<Item = Ranked>,
    documents: usize,
    top_n: Option<u32>,
) -> Result<Vec<Ranked>, Error> {
    let mut seen = vec![false; documents];
    let mut ranking: Vec<Ranked> = Vec::new();
    for (position, ranked) in items.into_iter().enumerate() {
        let place = format!("`{path}[{position}]`");
        match seen.get_mut(ranked.index as usize) {
            None => {
                return Err(failure::malformed(format!(
                    "{place}: document {} of {documents}",
                    ranked.index
                )));
            }
            Some(true) => return Err(failure::malformed(format!("{place}: document {} again", ranked.index))),
            Some(seen) => *seen = true,
        }
        if !ranked.score.is_finite() {
            return Err(failure::malformed(format!("{place}: a score that is not finite")));
        }
        // Providers answer best first, so that this moves nothing; a sort of the library's is 10 KB of a component.
        let place = ranking.partition_point(|better| !is_before(&ranked, better));
        ranking.insert(place, ranked);
    }
    let expected = top_n.map_or(documents, |top_n| documents.min(top_n as usize));
    if ranking.len() != expected {
        let found = ranking.len();
        return Err(failure::malformed(format!(
            "`{path}`: {found} results, where {expected} were expected"
        )));
    }
    Ok(ranking)
}

/// Of equals the one that was sent first is before.
fn is_before(left: &Ranked, right: &Ranked) -> bool {
    right
        .score
        .total_cmp(&left.score)
        .then(left.index.cmp(&right.index))
        .is_lt()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ranked(index: u32, score: f32) -> Ranked {
        Ranked { index, score }
    }

    #[test]
    fn the_best_comes_first() {
        let items = [ranked(0, 0.1), ranked(3, 0.5), ranked(1, 0.9), ranked(2, 0.5)];
        let ranking = best_first("results", items, 4, None).unwrap();
        assert_eq!(
            ranking,
            [ranked(1, 0.9), ranked(2, 0.5), ranked(3, 0.5), ranked(0, 0.1)]
        );
    }

    #[test]
    fn no_more_and_no_fewer_than_were_asked_for() {
        assert_eq!(best_first("results", [ranked(2, 0.5)], 3, Some(1)).unwrap().len(), 1);
        assert_eq!(best_first("results", [ranked(0, 0.5)], 1, Some(5)).unwrap().len(), 1);
        assert!(best_first("results", [ranked(0, 0.5)], 2, None).is_err());
        assert!(best_first("results", [ranked(0, 0.5), ranked(1, 0.5)], 2, Some(1)).is_err());
    }

    #[test]
    fn a_document_twice_or_never_sent_is_an_error() {
        assert!(best_first("results", [ranked(0, 0.5), ranked(0, 0.4)], 2, None).is_err());
        assert!(best_first("results", [ranked(2, 0.5)], 1, None).is_err());
        assert!(best_first("results", [ranked(0, f32::NAN)], 1, None).is_err());
    }
}
