//! Where a list is cut.

use std::ops::Range;

use crate::bindings::v0_1_0::metadata::Manifest;
use crate::estimate;

/// What a provider takes in one call of an operation.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Limits {
    items: Option<u32>,
    tokens: Option<u32>,
}

impl Limits {
    /// What the manifest says of it: no limits where it says nothing.
    pub fn of(manifest: &Manifest, operation: &str) -> Self {
        let stated = manifest.limits.iter().find(|limits| limits.operation == operation);
        stated.map_or_else(Self::default, |limits| Self {
            items: limits.max_items,
            tokens: limits.max_tokens,
        })
    }
}

/// The parts of a list, each as long as the limits allow. `beside` is sent along with every text, and counts with each.
///
/// A text that is over the limit alone is a part of its own: the provider says what it thinks of it. At least one part,
/// even of nothing.
pub(crate) fn parts(limits: Limits, texts: &[String], beside: &str) -> Vec<Range<usize>> {
    let items = limits.items.map_or(usize::MAX, |items| items.max(1) as usize);
    let tokens = limits
        .tokens
        .map(u64::from)
        .filter(|tokens| bytes(texts, beside) > *tokens);
    let Some(tokens) = tokens else {
        let starts = (0..texts.len().max(1)).step_by(items);
        return starts
            .map(|start| start..start.saturating_add(items).min(texts.len()))
            .collect();
    };
    let beside = u64::from(estimate::tokens(beside));
    let mut parts = Vec::new();
    let (mut start, mut weight) = (0, 0);
    for (place, text) in texts.iter().enumerate() {
        let text = beside + u64::from(estimate::tokens(text));
        if place > start && (place - start >= items || weight + text > tokens) {
            parts.push(start..place);
            (start, weight) = (place, 0);
        }
        weight += text;
    }
    parts.push(start..texts.len());
    parts
}

/// Bytes: at least as many as tokens, and quickly counted.
fn bytes(texts: &[String], beside: &str) -> u64 {
    texts.iter().map(|text| (text.len() + beside.len()) as u64).sum()
}

#[cfg(test)]
#[allow(clippy::single_range_in_vec_init, reason = "one part is one range")]
mod tests {
    use super::*;

    fn cut(items: Option<u32>, tokens: Option<u32>, texts: &[&str]) -> Vec<Range<usize>> {
        let texts: Vec<String> = texts.iter().map(|text| (*text).to_owned()).collect();
        parts(Limits { items, tokens }, &texts, "")
    }

    #[test]
    fn a_list_within_the_limits_is_one_part() {
        assert_eq!(cut(None, None, &["a", "b"]), [0..2]);
        assert_eq!(cut(Some(2), Some(2), &["a", "b"]), [0..2]);
        assert_eq!(cut(Some(2), None, &[]), [0..0]);
        assert_eq!(cut(None, Some(0), &[]), [0..0]);
    }

    #[test]
    fn a_part_ends_at_either_limit() {
        assert_eq!(cut(Some(2), None, &["a"; 5]), [0..2, 2..4, 4..5]);
        assert_eq!(cut(Some(2), Some(100), &["!!!"; 5]), [0..2, 2..4, 4..5]);
        assert_eq!(cut(None, Some(6), &["!!!"; 5]), [0..2, 2..4, 4..5]);
        assert_eq!(cut(Some(9), Some(5), &["!", "!!!!", "!"]), [0..2, 2..3]);
        assert_eq!(cut(Some(0), None, &["a"; 2]), [0..1, 1..2]);
    }

    #[test]
    fn a_text_over_the_limit_is_a_part_of_its_own() {
        assert_eq!(cut(None, Some(2), &["!", "!!!!", "!"]), [0..1, 1..2, 2..3]);
    }

    #[test]
    fn what_is_sent_along_counts_with_each() {
        let texts = vec!["!".to_owned(); 4];
        let limits = Limits {
            items: None,
            tokens: Some(6),
        };
        assert_eq!(parts(limits, &texts, "!!"), [0..2, 2..4]);
    }
}
