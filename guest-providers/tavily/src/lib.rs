//! The adapter for Tavily (<https://docs.tavily.com/documentation/api-reference/endpoint/search>): the web, searched.

mod search;

use weir_guest::types::Error;
use weir_guest::{Limits, Manifest, Setting};

use bindings::exports::weir::provider::web_search as api;

struct Tavily;

weir_guest::provider!(
    Tavily,
    "
    package weir:tavily;
    world adapter {
        include weir:provider/web-search-provider@0.1.0;
    }
"
);

const API_KEY: &str = "api_key";

const BASE_URL: Setting = Setting::new("base_url", "Where the API is served.").default("https://api.tavily.com");
const SEARCH_DEPTH: Setting = Setting::new(
    "search_depth",
    "`ultra-fast`, `fast`, `basic` or, at twice the price, `advanced`; Tavily's own choice where none is given.",
);
const TOPIC: Setting = Setting::new(
    "topic",
    "`general`, `news` or `finance`; `general` where none is given.",
);
const TIME_RANGE: Setting = Setting::new("time_range", "Only pages of the last `day`, `week`, `month` or `year`.");
const INCLUDE_DOMAINS: Setting = Setting::new("include_domains", "Only pages of these domains, separated by commas.");
const EXCLUDE_DOMAINS: Setting = Setting::new("exclude_domains", "No pages of these domains, separated by commas.");

impl metadata::Guest for Tavily {
    fn describe() -> Manifest {
        Manifest::new("tavily", env!("CARGO_PKG_VERSION"), "Web search by Tavily.")
            .origin_of(BASE_URL)
            .secret(API_KEY, "A Tavily key (`tvly-…`), usually in TAVILY_API_KEY.")
            .setting(BASE_URL)
            .setting(SEARCH_DEPTH)
            .setting(TOPIC)
            .setting(TIME_RANGE)
            .setting(INCLUDE_DOMAINS)
            .setting(EXCLUDE_DOMAINS)
            .limits(
                "web-search",
                Limits {
                    max_items: Some(20),
                    ..Limits::NONE
                },
            )
    }
}

impl api::Guest for Tavily {
    async fn search(request: api::Request) -> Result<Vec<api::Found>, Error> {
        let options = search::Options {
            search_depth: SEARCH_DEPTH.get()?,
            topic: TOPIC.get()?,
            time_range: TIME_RANGE.get()?,
            include_domains: domains(&INCLUDE_DOMAINS.text()?),
            exclude_domains: domains(&EXCLUDE_DOMAINS.text()?),
        };
        let answer = search::request(&BASE_URL.url()?, &request, &options)
            .classify(classify)
            .send()
            .await?;
        search::read(answer.body())
    }
}

fn domains(list: &str) -> Vec<String> {
    list.split(',')
        .map(str::trim)
        .filter(|domain| !domain.is_empty())
        .map(str::to_owned)
        .collect()
}

/// 432 and 433: the plan's credits, or the limit of what is paid as it is used, are spent. Waiting gives none back.
fn classify(error: Error) -> Error {
    match error {
        Error::Upstream(failure) if matches!(failure.status, Some(432 | 433)) => Error::Unauthorized(failure),
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use weir_guest::failure;

    use super::*;

    #[test]
    fn spent_credits_are_no_matter_of_waiting() {
        for status in [432, 433] {
            let body = br#"{"detail": {"error": "This request exceeds your plan's set usage limit."}}"#;
            let error = classify(failure::of_answer(status, &[], body));
            assert!(
                matches!(&error, Error::Unauthorized(failure)
                    if failure.message.contains("usage limit") && failure.status == Some(status)),
                "{error:?}"
            );
        }
        let error = classify(failure::of_answer(429, &[], br#"{"detail": {"error": "slow down"}}"#));
        assert!(matches!(error, Error::RateLimited(failure) if failure.message == "slow down"));
    }

    #[test]
    fn domains_are_separated_by_commas() {
        assert_eq!(domains("docs.rs, crates.io,"), ["docs.rs", "crates.io"]);
        assert!(domains("").is_empty());
    }
}
