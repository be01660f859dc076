//! `weir bench`: a load on a provider's operation, or on a URL through a pool.

use std::num::NonZeroUsize;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderName, HeaderValue, Method, Request};
use indicatif::{ProgressBar, ProgressStyle};
use url::Url;
use weir_pool::PoolManager;

use super::input;
use crate::bench::report::Report;
use crate::bench::target::Target;
use crate::bench::{self, Load, Progress};
use crate::cli::{Context, Failed, Interrupt, Interrupted, UsageError};
use crate::host;

/// Requests where neither their number nor a time is given.
const REQUESTS: u64 = 1_000;

/// What `weir bench` takes.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The provider to ask.
    #[arg(conflicts_with = "url")]
    provider: Option<String>,
    /// Its operation, as `weir call` has them.
    operation: Option<String>,
    /// The operation's input: JSON, `@FILE` for a file that holds it, `-` for standard input.
    #[arg(
        long,
        short,
        value_name = "JSON|@FILE|-",
        default_value = "{}",
        hide_default_value = true,
        conflicts_with = "url"
    )]
    input: String,
    /// Ask this address through a pool of its own, and no provider.
    // A text: an address that can't be parsed would be repeated, whatever it holds.
    #[arg(long)]
    url: Option<String>,
    /// The request's method [default: GET, with a body POST].
    #[arg(long, requires = "url")]
    method: Option<Method>,
    /// A header of the request, `NAME: VALUE`; may be given several times.
    // A text, for the same reason.
    #[arg(long = "header", short = 'H', value_name = "NAME: VALUE", requires = "url")]
    headers: Vec<String>,
    /// The request's body: text, `@FILE` for a file that holds it, `-` for standard input.
    #[arg(long, value_name = "TEXT|@FILE|-", requires = "url")]
    body: Option<String>,
    /// How many requests [default: 1000, or without end where --duration is given].
    #[arg(long, short = 'n', value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    requests: Option<u64>,
    /// For how many seconds; requests that are under way then are cut off.
    #[arg(long, value_name = "SECONDS", value_parser = seconds)]
    duration: Option<Duration>,
    /// Requests at once.
    #[arg(long, short = 'c', value_name = "N", default_value = "10")]
    in_flight: NonZeroUsize,
    /// A setting of the pool, over `http_pool` and the provider's own: `max_connections=4`; may be given several times.
    #[arg(long = "pool", value_name = "SETTING=VALUE", value_parser = setting)]
    pool: Vec<(String, String)>,
}

pub(super) async fn run(args: Args, context: &Context) -> anyhow::Result<()> {
    let load = Load {
        in_flight: args.in_flight,
        requests: args.requests.or(args.duration.is_none().then_some(REQUESTS)),
        duration: args.duration,
    };
    let (target, name, pools) = target(args, context).await?;

    let interrupt = Interrupt::listen()?;
    let bar = bar(&load);
    let ended = bench::run(
        Arc::new(target),
        load,
        |progress| show(&bar, &load, progress),
        &interrupt.cancel,
    )
    .await;
    drop(interrupt);
    bar.finish_and_clear();

    let report = Report::new(name, &load, &ended?, &pools.stats());
    if context.output.is_json() {
        context.output.json(&report)?;
    } else {
        context.output.text(&report.text())?;
    }
    if report.interrupted {
        Err(Interrupted.into())
    } else if report.has_answers() {
        Ok(())
    } else {
        Err(Failed.into())
    }
}

/// What to ask, how to call it in the report, and the pools it is asked through.
async fn target(args: Args, context: &Context) -> anyhow::Result<(Target, String, PoolManager)> {
    let settings = |under: &[&str]| {
        let under: Vec<_> = under.iter().map(|key| (*key).to_owned()).collect();
        args.pool
            .iter()
            .map(move |(key, text)| ([under.as_slice(), std::slice::from_ref(key)].concat(), text.clone()))
    };
    if let (Some(provider), Some(operation)) = (&args.provider, &args.operation) {
        let input = input::json(&args.input)?;
        let config = context.config_with_flag("--pool", settings(&["providers", provider, "http_pool"]))?;
        let host = context.open(config).await?;
        let target = Target::Operation {
            provider: host.provider(provider).await?,
            operation: operation.clone(),
            input,
        };
        return Ok((
            target,
            format!("{provider} {operation}"),
            host.runtime().pools().clone(),
        ));
    }
    let Some(url) = &args.url else {
        let message = "what to ask is missing: a provider and its operation, like `weir bench local embed --input \
                       '{\"inputs\": [\"hello\"]}'`, or --url";
        return Err(UsageError(message.to_owned()).into());
    };
    let url = address(url)?;
    let request = request(&url, args.method.clone(), &args.headers, args.body.as_deref())?;
    let config = context.config_with_flag("--pool", settings(&["http_pool"]))?;
    let pools = host::pools(&config.config)?;
    context.owns(&pools);
    let pool = pools.pool("bench", config.config.http_pool.settings()?)?;
    Ok((
        Target::Url {
            pool,
            request: Box::new(request),
        },
        without_query(url),
        pools,
    ))
}

/// What `--url` says. An error does not repeat it: it may hold a password.
fn address(text: &str) -> Result<Url, UsageError> {
    let url = Url::parse(text)
        .ok()
        .filter(|url| matches!(url.scheme(), "http" | "https"))
        .ok_or_else(|| {
            UsageError("--url takes an http or https address, like http://127.0.0.1:8787/v1/models".to_owned())
        })?;
    if !url.username().is_empty() || url.password().is_some() {
        let message = "--url takes an address without user name and password; give them with --header";
        return Err(UsageError(message.to_owned()));
    }
    Ok(url)
}

/// A query may hold a key.
fn without_query(mut url: Url) -> String {
    url.set_query(None);
    url.set_fragment(None);
    url.to_string()
}

fn request(
    url: &Url,
    method: Option<Method>,
    headers: &[String],
    body: Option<&str>,
) -> Result<Request<Bytes>, UsageError> {
    let usual = if body.is_some() { Method::POST } else { Method::GET };
    let body = body.map(|body| input::bytes(body, "--body")).transpose()?;
    let mut request = Request::new(body.map(|(bytes, _)| Bytes::from(bytes)).unwrap_or_default());
    *request.method_mut() = method.unwrap_or(usual);
    *request.uri_mut() = url
        .as_str()
        .parse()
        .map_err(|error| UsageError(format!("--url can't be asked: {error}")))?;
    for text in headers {
        let (name, value) = header(text)?;
        request.headers_mut().append(name, value);
    }
    Ok(request)
}

/// A header as `--header` says it. An error does not repeat it: it may hold a key.
fn header(text: &str) -> Result<(HeaderName, HeaderValue), UsageError> {
    let header = text.split_once(':').and_then(|(name, value)| {
        let mut value = HeaderValue::from_str(value.trim()).ok()?;
        value.set_sensitive(true);
        Some((name.trim().parse().ok()?, value))
    });
    header.ok_or_else(|| UsageError("--header takes a name and a value, like 'accept: application/json'".to_owned()))
}

fn setting(text: &str) -> Result<(String, String), String> {
    let (key, value) = text
        .split_once('=')
        .ok_or("expected a setting and its value, like max_connections=4")?;
    Ok((key.trim().to_owned(), value.trim().to_owned()))
}

fn seconds(text: &str) -> Result<Duration, String> {
    text.parse()
        .ok()
        .and_then(|seconds| Duration::try_from_secs_f64(seconds).ok())
        .filter(|duration| !duration.is_zero())
        .ok_or_else(|| "expected a number of seconds above 0".to_owned())
}

/// A bar on standard error. Nothing is drawn where that is no terminal.
fn bar(load: &Load) -> ProgressBar {
    // By the requests where their number is known, else by the time.
    let length = load.requests.unwrap_or_else(|| milliseconds(load.duration));
    let style = ProgressStyle::with_template("{bar:30} {percent:>3} %  {msg}");
    ProgressBar::new(length).with_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()))
}

fn show(bar: &ProgressBar, load: &Load, progress: Progress) {
    let by_time = milliseconds(Some(progress.elapsed));
    bar.set_position(load.requests.map_or(by_time, |_| progress.ended));
    bar.set_message(format!("{} ended, {} of them failed", progress.ended, progress.failed));
}

fn milliseconds(time: Option<Duration>) -> u64 {
    time.map_or(0, |time| u64::try_from(time.as_millis()).unwrap_or(u64::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_with_a_password_is_refused_and_not_repeated() {
        for wrong in ["http://u:hush@127.0.0.1/", "ftp://127.0.0.1/hush", "hush"] {
            let error = address(wrong).unwrap_err().to_string();
            assert!(
                error.starts_with("--url takes an ") && !error.contains("hush"),
                "{error}"
            );
        }
    }

    #[test]
    fn a_report_names_the_address_without_its_query() {
        let url = address("http://127.0.0.1:1/a?key=hush#part").unwrap();
        assert_eq!(
            request(&url, None, &[], None).unwrap().uri(),
            "http://127.0.0.1:1/a?key=hush"
        );
        assert_eq!(without_query(url), "http://127.0.0.1:1/a");
    }

    #[test]
    fn a_body_makes_the_request_a_post() {
        let url = address("http://127.0.0.1:1/").unwrap();
        let method = |method, body| request(&url, method, &[], body).unwrap().method().clone();
        assert_eq!(method(None, None), Method::GET);
        assert_eq!(method(None, Some("{}")), Method::POST);
        assert_eq!(method(Some(Method::PUT), Some("{}")), Method::PUT);
    }

    #[test]
    fn a_header_has_a_name_and_a_value_and_is_kept_secret() {
        let (name, value) = header("Authorization: Bearer a:b").unwrap();
        assert_eq!(
            (name.as_str(), value.to_str().unwrap()),
            ("authorization", "Bearer a:b")
        );
        assert!(value.is_sensitive());
        for wrong in ["hush", "a b: hush", "a: hu\nsh"] {
            let error = header(wrong).unwrap_err().to_string();
            assert_eq!(
                error,
                "--header takes a name and a value, like 'accept: application/json'"
            );
        }
    }

    #[test]
    fn a_time_is_a_number_of_seconds_above_zero() {
        assert_eq!(seconds("0.5"), Ok(Duration::from_millis(500)));
        for wrong in ["0", "-1", "soon", "inf", "NaN"] {
            assert!(seconds(wrong).is_err(), "{wrong}");
        }
    }
}
