//! The answers of all parts as one. Each was checked as the answer of its own part.

use crate::bindings::v0_1_0::types::Usage;
use crate::bindings::v0_1_0::{embedding, reranking, sparse_embedding};
use crate::error::CallErrorKind;

use super::malformed;

/// One answer: the first part's model, everybody's vectors and usage.
pub(crate) fn dense(parts: Vec<(usize, embedding::Response)>) -> Result<embedding::Response, CallErrorKind> {
    let values = parts.iter().map(|(_, part)| part.vectors.len()).sum::<usize>();
    let (mut whole, rest) = first(parts)?;
    whole.vectors.reserve_exact(values - whole.vectors.len());
    for (_, part) in rest {
        if part.dimensions != whole.dimensions {
            let (one, other) = (whole.dimensions, part.dimensions);
            return Err(malformed(format!(
                "one part has vectors of {one} dimensions, another of {other}"
            )));
        }
        whole.vectors.extend(part.vectors);
        add(&mut whole.usage, part.usage);
    }
    Ok(whole)
}

/// As [`dense`].
pub(crate) fn sparse(
    parts: Vec<(usize, sparse_embedding::Response)>,
) -> Result<sparse_embedding::Response, CallErrorKind> {
    let (mut whole, rest) = first(parts)?;
    for (_, part) in rest {
        whole.vectors.extend(part.vectors);
        add(&mut whole.usage, part.usage);
    }
    Ok(whole)
}

/// The best of all parts, best first; those of one score in their documents' order.
pub(crate) fn ranking(
    parts: Vec<(usize, reranking::Response)>,
    top_n: Option<u32>,
) -> Result<reranking::Response, CallErrorKind> {
    if parts.len() == 1 {
        return Ok(first(parts)?.0);
    }
    let placed = parts.into_iter().map(|(start, mut part)| {
        for result in &mut part.results {
            // A list is shorter than 2^32: it came through a `list` of the contract.
            result.index = result.index.saturating_add(u32::try_from(start).unwrap_or(u32::MAX));
        }
        (start, part)
    });
    let (mut whole, rest) = first(placed.collect())?;
    for (_, part) in rest {
        whole.results.extend(part.results);
        add(&mut whole.usage, part.usage);
    }
    whole
        .results
        .sort_by(|one, other| other.score.total_cmp(&one.score).then(one.index.cmp(&other.index)));
    if let Some(top_n) = top_n {
        whole.results.truncate(top_n as usize);
    }
    Ok(whole)
}

fn first<R>(parts: Vec<(usize, R)>) -> Result<(R, impl Iterator<Item = (usize, R)>), CallErrorKind> {
    let mut parts = parts.into_iter();
    match parts.next() {
        Some((_, first)) => Ok((first, parts)),
        None => Err(malformed("no part was answered".to_owned())),
    }
}

fn add(sum: &mut Usage, more: Usage) {
    sum.input_tokens = sum.input_tokens.saturating_add(more.input_tokens);
    sum.output_tokens = sum.output_tokens.saturating_add(more.output_tokens);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn usage(input_tokens: u64) -> Usage {
        Usage {
            input_tokens,
            output_tokens: 0,
        }
    }

    fn embedded(dimensions: u32, vectors: &[f32]) -> embedding::Response {
        embedding::Response {
            model: "m".to_owned(),
            dimensions,
            vectors: vectors.to_vec(),
            usage: usage(3),
        }
    }

    fn ranked(results: &[(u32, f32)]) -> reranking::Response {
        let results = results.iter().map(|&(index, score)| reranking::Ranked { index, score });
        reranking::Response {
            model: "m".to_owned(),
            results: results.collect(),
            usage: usage(3),
        }
    }

    #[test]
    fn vectors_come_in_the_order_of_the_parts_and_usage_adds_up() {
        let whole = dense(vec![
            (0, embedded(2, &[1.0, 2.0])),
            (1, embedded(2, &[3.0, 4.0, 5.0, 6.0])),
        ])
        .unwrap();
        assert_eq!(whole.vectors, [1.0, 2.0, 3.0, 4.0, 5.0, 6.0]);
        assert_eq!(whole.usage.input_tokens, 6);
    }

    #[test]
    fn vectors_of_other_lengths_are_never_mixed() {
        let mixed = dense(vec![(0, embedded(2, &[1.0; 2])), (1, embedded(1, &[1.0; 2]))]);
        assert!(mixed.unwrap_err().to_string().contains("2 dimensions, another of 1"));
    }

    #[test]
    fn the_best_of_all_parts_come_first_and_only_as_many_as_asked_for() {
        let parts = || vec![(0, ranked(&[(1, 0.9), (0, 0.2)])), (2, ranked(&[(1, 0.95), (0, 0.9)]))];
        let order = |top_n| -> Vec<u32> {
            let whole = ranking(parts(), top_n).unwrap();
            whole.results.iter().map(|result| result.index).collect()
        };
        assert_eq!(order(None), [3, 1, 2, 0]);
        assert_eq!(order(Some(2)), [3, 1]);
        assert_eq!(ranking(parts(), None).unwrap().usage.input_tokens, 6);
    }

    #[test]
    fn a_ranking_in_one_part_is_left_as_it_is() {
        let whole = ranking(vec![(0, ranked(&[(0, 0.1), (1, 0.9)]))], None).unwrap();
        assert_eq!(whole.results[0].index, 0);
    }
}
