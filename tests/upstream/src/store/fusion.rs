//! Several ranked lists into one.
//!
//! | fusion | a point's score |
//! |---|---|
//! | `rrf` | the sum over the lists of `1 / (k + rank)`, ranks from 0, `k` 2 unless given |
//! | `dbsf` | the sum over the lists of `(s - (mean - 3σ)) / 6σ`, σ of the sample; 0.5 where a list has no spread |

use std::collections::BTreeMap;

use serde::Deserialize;

use super::point::PointId;

/// The `k` of reciprocal rank fusion where the query names none.
pub(crate) const DEFAULT_K: usize = 2;

/// A point and its score in a list.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Scored {
    pub(crate) id: PointId,
    pub(crate) score: f32,
}

/// The fusions by the names the API gives them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Fusion {
    Rrf,
    Dbsf,
}

/// Reciprocal rank fusion of lists that are best first.
pub(crate) fn reciprocal_rank(lists: &[Vec<Scored>], k: usize) -> Vec<Scored> {
    sum(lists.iter().flat_map(|list| {
        list.iter().enumerate().map(move |(rank, scored)| Scored {
            id: scored.id,
            score: 1.0 / (k + rank) as f32,
        })
    }))
}

/// Distribution-based score fusion.
pub(crate) fn distribution_based(lists: &[Vec<Scored>]) -> Vec<Scored> {
    sum(lists.iter().flat_map(|list| {
        let n = list.len() as f32;
        let mean = list.iter().map(|scored| scored.score).sum::<f32>() / n;
        let spread = list.iter().map(|scored| (scored.score - mean).powi(2)).sum::<f32>();
        let deviation = (spread / (n - 1.0)).sqrt();
        list.iter().map(move |scored| {
            let flat = list.len() < 2 || deviation == 0.0;
            let score = if flat {
                0.5
            } else {
                (scored.score - (mean - 3.0 * deviation)) / (6.0 * deviation)
            };
            Scored { id: scored.id, score }
        })
    }))
}

/// Best first; equal scores in the order of ids, so that an answer is the same every time.
fn sum(parts: impl Iterator<Item = Scored>) -> Vec<Scored> {
    let mut totals: BTreeMap<PointId, f32> = BTreeMap::new();
    for part in parts {
        *totals.entry(part.id).or_default() += part.score;
    }
    let mut fused: Vec<Scored> = totals.into_iter().map(|(id, score)| Scored { id, score }).collect();
    fused.sort_by(|a, b| b.score.total_cmp(&a.score));
    fused
}

#[cfg(test)]
mod tests {
    use super::*;

    fn list(scores: &[(u64, f32)]) -> Vec<Scored> {
        scores
            .iter()
            .map(|(id, score)| Scored {
                id: PointId::Number(*id),
                score: *score,
            })
            .collect()
    }

    #[test]
    fn reciprocal_ranks_count_from_zero_and_add_up() {
        let fused = reciprocal_rank(&[list(&[(1, 9.0), (2, 8.0)]), list(&[(2, 0.5), (3, 0.4)])], DEFAULT_K);
        assert_eq!(fused, list(&[(2, 1.0 / 3.0 + 1.0 / 2.0), (1, 0.5), (3, 1.0 / 3.0)]));
    }

    #[test]
    fn a_given_k_replaces_the_default() {
        let fused = reciprocal_rank(
            &[list(&[(5, 1.0), (2, 0.9)]), list(&[(3, 1.0), (9, 0.9), (2, 0.8)])],
            60,
        );
        assert_eq!(
            fused[0],
            Scored {
                id: PointId::Number(2),
                score: 1.0 / 61.0 + 1.0 / 62.0
            }
        );
        assert_eq!(fused[1].score, 1.0 / 60.0);
    }

    #[test]
    fn distribution_based_scores_are_places_between_three_deviations() {
        // Mean 2, sample deviation 1: (3 - (2 - 3)) / 6.
        let fused = distribution_based(&[list(&[(1, 3.0), (2, 2.0), (3, 1.0)])]);
        assert_eq!(fused, list(&[(1, 4.0 / 6.0), (2, 0.5), (3, 2.0 / 6.0)]));
    }

    #[test]
    fn a_list_without_spread_gives_every_point_a_half() {
        assert_eq!(
            distribution_based(&[list(&[(1, 3.0)]), list(&[(2, 7.0), (1, 7.0)])]),
            list(&[(1, 1.0), (2, 0.5)])
        );
        assert!(distribution_based(&[vec![]]).is_empty());
    }
}
