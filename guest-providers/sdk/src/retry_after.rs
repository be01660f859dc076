//! How long a provider asks to wait.

use std::time::{Duration, SystemTime};

use crate::types::Header;

const NANOSECONDS_PER_MILLISECOND: f64 = 1e6;
const NANOSECONDS_PER_SECOND: f64 = 1e9;

/// The wait in nanoseconds: from `retry-after-ms`, or from `Retry-After` as seconds or as a date (RFC 9110, 10.2.3).
///
/// A date is taken against the answer's own `Date`, so that two clocks that disagree do no harm, and against `now` only
/// where there is none. Azure sends `retry-after-ms: 0` beside `retry-after: 1`, so a zero there says nothing.
pub(crate) fn nanoseconds(headers: &[Header], now: impl FnOnce() -> SystemTime) -> Option<u64> {
    if let Some(milliseconds) = value(headers, "retry-after-ms")
        .and_then(number)
        .filter(|milliseconds| *milliseconds > 0.0)
    {
        return Some(whole(milliseconds * NANOSECONDS_PER_MILLISECOND));
    }
    if let Some(wait) = value(headers, "retry-after").and_then(of_seconds) {
        return Some(wait);
    }
    let until = date(headers, "retry-after")?;
    let now = date(headers, "date").unwrap_or_else(now);
    let wait = until.duration_since(now).unwrap_or(Duration::ZERO);
    Some(u64::try_from(wait.as_nanos()).unwrap_or(u64::MAX))
}

/// Seconds in decimal, as nanoseconds.
pub(crate) fn of_seconds(text: &str) -> Option<u64> {
    number(text).map(|seconds| whole(seconds * NANOSECONDS_PER_SECOND))
}

fn number(text: &str) -> Option<f64> {
    // Read as JSON: the tables the standard library reads floats with would be 16 KB more of every component.
    let number: f64 = serde_json::from_slice(text.as_bytes()).ok()?;
    (number.is_finite() && number >= 0.0).then_some(number)
}

fn date(headers: &[Header], name: &str) -> Option<SystemTime> {
    httpdate::parse_http_date(value(headers, name)?).ok()
}

fn value<'a>(headers: &'a [Header], name: &str) -> Option<&'a str> {
    headers
        .iter()
        .find(|header| header.name.eq_ignore_ascii_case(name))
        .map(|header| header.value.trim())
}

/// A cast from a float saturates, so a wait of centuries is the longest there is.
fn whole(nanoseconds: f64) -> u64 {
    nanoseconds as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    const DATE: &str = "Sun, 06 Nov 1994 08:49:37 GMT";

    fn wait(headers: &[(&str, &str)]) -> Option<u64> {
        let headers: Vec<_> = headers
            .iter()
            .map(|(name, value)| Header {
                name: (*name).to_owned(),
                value: (*value).to_owned(),
            })
            .collect();
        nanoseconds(&headers, || {
            httpdate::parse_http_date(DATE).unwrap() + Duration::from_secs(10)
        })
    }

    #[test]
    fn seconds_are_whole_or_not() {
        assert_eq!(wait(&[("Retry-After", "60")]), Some(60_000_000_000));
        assert_eq!(wait(&[("retry-after", "0.5")]), Some(500_000_000));
        assert_eq!(wait(&[("retry-after", "0")]), Some(0));
    }

    #[test]
    fn milliseconds_win_but_for_zero() {
        assert_eq!(
            wait(&[("retry-after", "1"), ("retry-after-ms", "120")]),
            Some(120_000_000)
        );
        assert_eq!(
            wait(&[("retry-after", "1"), ("retry-after-ms", "0")]),
            Some(1_000_000_000)
        );
    }

    #[test]
    fn a_date_is_taken_against_the_answers_own() {
        let later = "Sun, 06 Nov 1994 08:49:52 GMT";
        assert_eq!(wait(&[("retry-after", later), ("date", DATE)]), Some(15_000_000_000));
        assert_eq!(wait(&[("retry-after", later)]), Some(5_000_000_000));
        assert_eq!(wait(&[("retry-after", DATE), ("date", later)]), Some(0));
    }

    #[test]
    fn what_makes_no_sense_is_no_wait() {
        for nonsense in ["soon", "-1", "NaN", "inf", ""] {
            assert_eq!(wait(&[("retry-after", nonsense)]), None, "{nonsense}");
        }
        assert_eq!(wait(&[]), None);
        assert_eq!(wait(&[("retry-after", "1e300")]), Some(u64::MAX));
    }
}
