//! What servers tell in headers of when to come back: `Retry-After`, and what is left of a quota.
//!
//! Everything here reads bytes that a server chose. What makes no sense is passed over, never an error.
//!
//! | headers | quota left | renewed |
//! |---|---|---|
//! | `x-ratelimit-{remaining,reset}[-{requests,tokens}]` | a number | seconds, `1m6.5s`, or a Unix time in seconds or milliseconds |
//! | `anthropic-ratelimit-{requests,tokens,…}-{remaining,reset}` | a number | RFC 3339 |
//! | `ratelimit-{remaining,reset}` (draft-ietf-httpapi-ratelimit-headers-06) | a number | seconds |
//! | `ratelimit` (the same draft, 07 and later) | `remaining=` or `r=` | `reset=` or `t=`, in seconds |

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use http::header::{DATE, RETRY_AFTER};
use http::{HeaderMap, HeaderName};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

/// A plain number above this (the year 2001) is a Unix time: no quota takes thirty years to be renewed.
const UNIX_TIMES_FROM: f64 = 1e9;

/// A Unix time above this (the year 5138, in seconds) counts milliseconds, as openrouter's do.
const UNIX_MILLIS_FROM: f64 = 1e11;

/// The headers that tell what is left of a quota, and the one beside each that tells when it is renewed.
static QUOTAS: [(HeaderName, HeaderName); 8] = [
    (
        HeaderName::from_static("x-ratelimit-remaining-requests"),
        HeaderName::from_static("x-ratelimit-reset-requests"),
    ),
    (
        HeaderName::from_static("x-ratelimit-remaining-tokens"),
        HeaderName::from_static("x-ratelimit-reset-tokens"),
    ),
    (
        HeaderName::from_static("x-ratelimit-remaining"),
        HeaderName::from_static("x-ratelimit-reset"),
    ),
    (
        HeaderName::from_static("anthropic-ratelimit-requests-remaining"),
        HeaderName::from_static("anthropic-ratelimit-requests-reset"),
    ),
    (
        HeaderName::from_static("anthropic-ratelimit-tokens-remaining"),
        HeaderName::from_static("anthropic-ratelimit-tokens-reset"),
    ),
    (
        HeaderName::from_static("anthropic-ratelimit-input-tokens-remaining"),
        HeaderName::from_static("anthropic-ratelimit-input-tokens-reset"),
    ),
    (
        HeaderName::from_static("anthropic-ratelimit-output-tokens-remaining"),
        HeaderName::from_static("anthropic-ratelimit-output-tokens-reset"),
    ),
    (
        HeaderName::from_static("ratelimit-remaining"),
        HeaderName::from_static("ratelimit-reset"),
    ),
];

/// A year. No caller waits that long, and a clock can be told of it.
const LONGEST: Duration = Duration::from_secs(365 * 24 * 60 * 60);

static RETRY_AFTER_MS: HeaderName = HeaderName::from_static("retry-after-ms");
static RATE_LIMIT: HeaderName = HeaderName::from_static("ratelimit");

/// How long the server asks to be left alone: `retry-after-ms`, or `Retry-After` in seconds or as a date (RFC 9110,
/// section 10.2.3).
///
/// A date is compared with the answer's own `Date`, so that the two clocks need not agree, and with `now` where it has
/// none. A date that has passed is no time at all; more than a year is a year.
pub fn retry_after(headers: &HeaderMap, now: SystemTime) -> Option<Duration> {
    Some(said_by(headers, now)?.min(LONGEST))
}

fn said_by(headers: &HeaderMap, now: SystemTime) -> Option<Duration> {
    let millis = value(headers, &RETRY_AFTER_MS).and_then(|text| seconds(text).map(|number| number / 1e3));
    // Azure was seen to send a zero beside a `Retry-After` that is none.
    if let Some(wait) = millis.and_then(duration).filter(|wait| !wait.is_zero()) {
        return Some(wait);
    }
    let text = headers.get(RETRY_AFTER)?.to_str().ok()?.trim();
    if let Some(wait) = seconds(text).and_then(duration) {
        return Some(wait);
    }
    let at = httpdate::parse_http_date(text).ok()?;
    let sent = headers.get(DATE).and_then(|date| date.to_str().ok());
    let sent = sent
        .and_then(|date| httpdate::parse_http_date(date.trim()).ok())
        .unwrap_or(now);
    Some(at.duration_since(sent).unwrap_or_default())
}

/// How long until the last of the quotas that are used up is renewed; `None` if something is left of each, or the
/// server tells nothing.
pub fn quota_exhausted_for(headers: &HeaderMap, now: SystemTime) -> Option<Duration> {
    let named = QUOTAS.iter().filter_map(|(remaining, reset)| {
        let left = seconds(value(headers, remaining)?)?;
        let wait = until(value(headers, reset)?, now)?;
        (left <= 0.0).then_some(wait)
    });
    Some(named.chain(structured(headers)).max()?.min(LONGEST))
}

/// The `RateLimit` header, in the form of a dictionary (draft 07) and of a list with parameters (from draft 08 on).
fn structured(headers: &HeaderMap) -> Option<Duration> {
    let policies = headers
        .get_all(&RATE_LIMIT)
        .iter()
        .filter_map(|text| text.to_str().ok());
    policies
        .flat_map(|text| {
            // In the dictionary, commas divide what belongs together.
            let dictionary = text.contains("remaining");
            text.split(move |mark| !dictionary && mark == ',')
        })
        .filter_map(|policy| {
            let parameter = |names: [&str; 2]| {
                policy.split([';', ',']).find_map(|part| {
                    let (name, value) = part.split_once('=')?;
                    names.contains(&name.trim()).then(|| seconds(value.trim()))?
                })
            };
            let (left, wait) = (parameter(["r", "remaining"])?, parameter(["t", "reset"])?);
            (left <= 0.0).then(|| duration(wait))?
        })
        .max()
}

fn value<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Option<&'a str> {
    let text = headers.get(name)?.to_str().ok()?;
    Some(text.trim())
}

/// The time from now to a moment, in any of the ways in which servers write it.
fn until(text: &str, now: SystemTime) -> Option<Duration> {
    let since_epoch = now.duration_since(UNIX_EPOCH).unwrap_or_default();
    if let Some(number) = seconds(text) {
        if number < UNIX_TIMES_FROM {
            return duration(number);
        }
        let at = if number < UNIX_MILLIS_FROM {
            number
        } else {
            number / 1e3
        };
        return Some(duration(at)?.saturating_sub(since_epoch));
    }
    if let Some(wait) = spelled_out(text) {
        return Some(wait);
    }
    let at = OffsetDateTime::parse(text, &Rfc3339).ok()?.unix_timestamp();
    Some(Duration::from_secs(u64::try_from(at).unwrap_or(0)).saturating_sub(since_epoch))
}

/// A decimal number that is not negative. Neither a sign nor an exponent is understood.
fn seconds(text: &str) -> Option<f64> {
    let digits = text.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.');
    digits.then(|| text.parse().ok())?
}

fn duration(seconds: f64) -> Option<Duration> {
    Duration::try_from_secs_f64(seconds).ok()
}

/// `6m0s`, `250ms`, `1h2m3.5s`: numbers, each with its unit.
fn spelled_out(text: &str) -> Option<Duration> {
    let mut rest = text;
    let mut total = 0.0;
    while !rest.is_empty() {
        let end = rest.find(|mark: char| !mark.is_ascii_digit() && mark != '.')?;
        let (number, tail) = rest.split_at_checked(end)?;
        let unit_end = tail.find(|mark: char| mark.is_ascii_digit()).unwrap_or(tail.len());
        let (unit, tail) = tail.split_at_checked(unit_end)?;
        let scale = match unit {
            "d" => 86_400.0,
            "h" => 3_600.0,
            "m" => 60.0,
            "s" => 1.0,
            "ms" => 1e-3,
            "us" | "µs" => 1e-6,
            "ns" => 1e-9,
            _ => return None,
        };
        total += seconds(number)? * scale;
        rest = tail;
    }
    (!text.is_empty()).then(|| duration(total))?
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn headers(pairs: &[(&'static str, &str)]) -> HeaderMap {
        pairs
            .iter()
            .map(|(name, value)| (HeaderName::from_static(name), value.parse().unwrap()))
            .collect()
    }

    /// 2026-01-01T00:00:00Z.
    fn new_year() -> SystemTime {
        UNIX_EPOCH + Duration::from_secs(1_767_225_600)
    }

    fn asked(pairs: &[(&'static str, &str)]) -> Option<u128> {
        retry_after(&headers(pairs), new_year()).map(|wait| wait.as_millis())
    }

    fn exhausted(pairs: &[(&'static str, &str)]) -> Option<u128> {
        quota_exhausted_for(&headers(pairs), new_year()).map(|wait| wait.as_millis())
    }

    #[test]
    fn more_than_a_year_is_a_year_so_that_any_clock_can_be_told_of_it() {
        let now = SystemTime::now();
        for text in ["11111111111111110656", "99999999999"] {
            let asked = HeaderMap::from_iter([(RETRY_AFTER, text.parse().unwrap())]);
            assert_eq!(retry_after(&asked, now), Some(LONGEST));
        }
    }

    #[test]
    fn a_wait_is_told_in_seconds_in_milliseconds_or_as_a_date() {
        assert_eq!(asked(&[("retry-after", "7")]), Some(7_000));
        assert_eq!(asked(&[("retry-after", " 0.5 ")]), Some(500));
        assert_eq!(asked(&[("retry-after", "7"), ("retry-after-ms", "20")]), Some(20));
        assert_eq!(asked(&[("retry-after", "7"), ("retry-after-ms", "0")]), Some(7_000));
        assert_eq!(asked(&[("retry-after", "Thu, 01 Jan 2026 00:00:09 GMT")]), Some(9_000));
        assert_eq!(asked(&[("retry-after", "Wed, 31 Dec 2025 00:00:00 GMT")]), Some(0));
    }

    #[test]
    fn a_date_is_taken_by_the_servers_own_clock() {
        let late = ("date", "Thu, 01 Jan 2026 01:00:00 GMT");
        assert_eq!(
            asked(&[("retry-after", "Thu, 01 Jan 2026 01:00:02 GMT"), late]),
            Some(2_000)
        );
    }

    #[test]
    fn a_wait_that_makes_no_sense_is_none() {
        for text in ["soon", "-1", "1e9", "", "٣", "99999999999999999999999999"] {
            assert_eq!(asked(&[("retry-after", text)]), None, "{text}");
        }
    }

    #[test]
    fn a_quota_used_up_is_told_in_every_form_in_use() {
        for (reset, millis) in [
            ("1s", 1_000),
            ("6m0s", 360_000),
            ("250ms", 250),
            ("1h2m3.5s", 3_723_500),
            ("12", 12_000),
            ("1767225601", 1_000),
            ("1767225601500", 1_500),
        ] {
            let told = [
                ("x-ratelimit-remaining-requests", "0"),
                ("x-ratelimit-reset-requests", reset),
            ];
            assert_eq!(exhausted(&told), Some(millis), "{reset}");
        }
        let anthropic = [
            ("anthropic-ratelimit-tokens-remaining", "0"),
            ("anthropic-ratelimit-tokens-reset", "2026-01-01T00:00:30Z"),
        ];
        assert_eq!(exhausted(&anthropic), Some(30_000));
        assert_eq!(
            exhausted(&[("ratelimit-remaining", "0"), ("ratelimit-reset", "4")]),
            Some(4_000)
        );
        assert_eq!(
            exhausted(&[("ratelimit", "limit=10, remaining=0, reset=5")]),
            Some(5_000)
        );
        assert_eq!(
            exhausted(&[("ratelimit", r#""burst";r=3;t=60, "daily";r=0;t=9"#)]),
            Some(9_000)
        );
    }

    #[test]
    fn a_quota_with_something_left_holds_nobody() {
        assert_eq!(exhausted(&[]), None);
        assert_eq!(exhausted(&[("ratelimit", r#""default";r=1;t=60"#)]), None);
        assert_eq!(
            exhausted(&[
                ("x-ratelimit-remaining-tokens", "12"),
                ("x-ratelimit-reset-tokens", "6m0s")
            ]),
            None
        );
    }

    #[test]
    fn the_last_quota_to_be_renewed_counts() {
        let told = [
            ("x-ratelimit-remaining-requests", "0"),
            ("x-ratelimit-reset-requests", "1s"),
            ("x-ratelimit-remaining-tokens", "0"),
            ("x-ratelimit-reset-tokens", "9s"),
        ];
        assert_eq!(exhausted(&told), Some(9_000));
    }

    proptest! {
        #[test]
        fn no_text_of_a_server_makes_it_fail(text in "[ -~]{0,40}", remaining in "[0-9.]{0,3}") {
            let Ok(value) = text.parse::<http::HeaderValue>() else { return Ok(()) };
            let mut map = HeaderMap::new();
            for name in ["retry-after", "retry-after-ms", "ratelimit", "ratelimit-reset", "date"] {
                map.insert(HeaderName::from_static(name), value.clone());
            }
            map.insert("ratelimit-remaining", remaining.parse().unwrap());
            let _ = retry_after(&map, new_year());
            let _ = quota_exhausted_for(&map, new_year());
        }
    }
}
