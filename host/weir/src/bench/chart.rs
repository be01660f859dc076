//! Latencies as a drawing: a line for each span of time, as wide as the answers that took so long.

use std::time::Duration;

use hdrhistogram::Histogram;
use serde::Serialize;

/// Spans of a drawing. As many as fit beside the other figures on a screen of 24 lines.
const SPANS: u32 = 12;

/// Characters of the widest line, which leaves room for the figures on a screen of 80.
const WIDTH: u64 = 50;

/// A span of time, and the answers that took so long.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Span {
    /// The longest time that belongs to it, in microseconds. The span before ends where it begins.
    pub up_to_us: f64,
    /// Answers that took so long.
    pub answers: u64,
}

/// The spans from the shortest latency to the longest, each as many times longer than the one before: latencies lie
/// close together at the short end and far apart at the long one. None where there are no latencies.
pub fn spans(latencies: &Histogram<u64>) -> Vec<Span> {
    if latencies.is_empty() {
        return Vec::new();
    }
    let (shortest, longest) = (latencies.min().max(1), latencies.max());
    let factor = (longest as f64 / shortest as f64).powf(1.0 / f64::from(SPANS));
    let mut ends: Vec<_> = (1..SPANS)
        .map(|number| latencies.highest_equivalent((shortest as f64 * factor.powf(f64::from(number))) as u64))
        .chain([longest])
        .collect();
    // Where latencies are alike, there are fewer.
    ends.dedup();
    let mut recorded = latencies.iter_recorded().peekable();
    let span = |end| Span {
        up_to_us: end as f64 / 1e3,
        answers: std::iter::from_fn(|| recorded.next_if(|value| value.value_iterated_to() <= end))
            .map(|value| value.count_at_value())
            .sum(),
    };
    ends.into_iter().map(span).collect()
}

/// The spans as lines of text.
pub fn draw(spans: &[Span]) -> String {
    let most = spans.iter().map(|span| span.answers).max().unwrap_or_default().max(1);
    let lines = spans.iter().map(|span| {
        // Whoever was there is seen.
        let width = (span.answers * WIDTH).div_ceil(most);
        let bar = "#".repeat(usize::try_from(width).unwrap_or_default());
        let up_to = time(Duration::from_secs_f64(span.up_to_us / 1e6));
        let answers = if span.answers > 0 {
            format!(" {}", span.answers)
        } else {
            String::new()
        };
        format!("{up_to:>9} |{bar}{answers}")
    });
    lines.collect::<Vec<_>>().join("\n")
}

/// A time with three digits and the unit that suits it.
pub fn time(time: Duration) -> String {
    let nanoseconds = time.as_nanos() as f64;
    let (number, unit) = match nanoseconds {
        ..999_500.0 => (nanoseconds / 1e3, "µs"),
        ..999_500_000.0 => (nanoseconds / 1e6, "ms"),
        _ => (nanoseconds / 1e9, "s"),
    };
    let decimals = match number {
        ..9.995 => 2,
        ..99.95 => 1,
        _ => 0,
    };
    format!("{number:.decimals$} {unit}")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn latencies(microseconds: impl IntoIterator<Item = u64>) -> Histogram<u64> {
        let mut histogram = Histogram::new(3).unwrap();
        for value in microseconds {
            histogram.record(value * 1_000).unwrap();
        }
        histogram
    }

    #[test]
    fn every_answer_is_in_one_span() {
        for values in [vec![5], vec![1, 1_000_000], (1..=5_000).collect(), vec![100, 101, 102]] {
            let number = values.len() as u64;
            let spans = spans(&latencies(values));
            assert_eq!(spans.iter().map(|span| span.answers).sum::<u64>(), number, "{spans:?}");
            assert!(
                spans.is_sorted_by(|one, next| one.up_to_us < next.up_to_us),
                "{spans:?}"
            );
            assert!(spans.len() <= SPANS as usize);
        }
    }

    #[test]
    fn no_latency_is_no_span_and_equal_ones_are_one() {
        assert_eq!(spans(&latencies([])), []);
        let alike = spans(&latencies([250, 250, 250]));
        assert_eq!(alike.iter().map(|span| span.answers).collect::<Vec<_>>(), [3]);
    }

    #[test]
    fn the_widest_line_is_the_most_frequent_and_a_single_answer_is_seen() {
        let span = |up_to_us, answers| Span { up_to_us, answers };
        let drawn = draw(&[span(120.0, 1), span(480.0, 500), span(1_900.0, 250), span(7_600.0, 0)]);
        assert_eq!(
            drawn,
            format!(
                "   120 µs |# 1\n   480 µs |{} 500\n  1.90 ms |{} 250\n  7.60 ms |",
                "#".repeat(50),
                "#".repeat(25)
            )
        );
        assert_eq!(draw(&[]), "");
    }

    #[test]
    fn a_time_has_three_digits() {
        let told = |nanoseconds| time(Duration::from_nanos(nanoseconds));
        assert_eq!(told(900), "0.90 µs");
        assert_eq!(told(9_999), "10.0 µs");
        assert_eq!(told(123_456), "123 µs");
        assert_eq!(told(999_600), "1.00 ms");
        assert_eq!(told(45_670_000), "45.7 ms");
        assert_eq!(told(2_345_000_000), "2.35 s");
        assert_eq!(told(60_000_000_000), "60.0 s");
    }
}
