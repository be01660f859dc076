//! Logs, on standard error.

use std::fmt;
use std::io::IsTerminal as _;

use tracing::field::{Field, Visit};
use tracing::span::Record;
use tracing::{Level, Subscriber};
use tracing_subscriber::field::{RecordFields, VisitOutput as _};
use tracing_subscriber::filter::filter_fn;
use tracing_subscriber::fmt::format::{DefaultVisitor, Writer};
use tracing_subscriber::fmt::{FormatFields, FormattedFields};
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::registry::LookupSpan;
use tracing_subscriber::{EnvFilter, Layer, Registry};

use super::Global;
use crate::telemetry::otlp::Otlp;

/// Starts logging, and has spans made for a collector where there is one. `RUST_LOG` says what is logged in detail; else
/// `-v` and `-q` do, from the `usual` level up or down.
pub fn log_to_stderr(global: &Global, usual: &str, otlp: &Otlp) {
    const LEVELS: [&str; 4] = ["warn", "info", "debug", "trace"];
    let start = LEVELS.iter().position(|level| *level == usual).unwrap_or_default();
    let raised = LEVELS
        .get(start + usize::from(global.verbose))
        .copied()
        .unwrap_or("trace");
    let level = if global.quiet { "error" } else { raised };
    // Libraries speak up only at the last stage; what they tell is rarely about the user's doing.
    let libraries = if level == "trace" { "debug" } else { "warn" };
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| {
        EnvFilter::new(format!(
            "{libraries},weir={level},weir_runtime={level},weir_pool={level}"
        ))
    });
    // They repeat what a component hands over, argument by argument: bodies, headers, paths with their queries.
    let filter = ["wasmtime_wasi_http=debug", "wasmtime_wasi_io=debug"]
        .into_iter()
        .filter_map(|directive| directive.parse().ok())
        .fold(filter, EnvFilter::add_directive);
    let colored = global.color.applies(std::io::stderr().is_terminal());
    match otlp.tracer() {
        // A filter for all is cheaper than one for each layer.
        None => install(Registry::default().with(filter).with(log(colored))),
        Some(tracer) => {
            // An event may repeat what a provider said; a span says what we say.
            let ours = filter_fn(|metadata| {
                metadata.is_span() && metadata.target().starts_with("weir") && *metadata.level() <= Level::DEBUG
            });
            let spans = tracing_opentelemetry::layer()
                .with_tracer(tracer)
                .with_location(false)
                .with_threads(false)
                .with_tracked_inactivity(false);
            let log = log(colored).with_filter(filter);
            install(Registry::default().with(log).with(spans.with_filter(ours)));
        }
    }
}

/// What writes lines.
fn log<S: Subscriber + for<'span> LookupSpan<'span>>(colored: bool) -> impl Layer<S> {
    tracing_subscriber::fmt::layer()
        .fmt_fields(WithoutOtel)
        .with_writer(std::io::stderr)
        .with_ansi(colored)
}

fn install(subscriber: impl Subscriber + Send + Sync + 'static) {
    // It fails only where a subscriber is set already, which then serves.
    let _ = tracing::subscriber::set_global_default(subscriber);
}

/// Fields as they are written by default, without those that speak to a collector alone.
struct WithoutOtel;

impl<'writer> FormatFields<'writer> for WithoutOtel {
    fn format_fields<R: RecordFields>(&self, writer: Writer<'writer>, fields: R) -> fmt::Result {
        let mut visitor = Chosen(DefaultVisitor::new(writer, true));
        fields.record(&mut visitor);
        visitor.0.finish()
    }

    /// Without a blank where nothing is added.
    fn add_fields(&self, current: &'writer mut FormattedFields<Self>, fields: &Record<'_>) -> fmt::Result {
        let mut added = String::new();
        self.format_fields(Writer::new(&mut added), fields)?;
        if !added.is_empty() && !current.fields.is_empty() {
            current.fields.push(' ');
        }
        current.fields.push_str(&added);
        Ok(())
    }
}

struct Chosen<'writer>(DefaultVisitor<'writer>);

impl Visit for Chosen<'_> {
    fn record_str(&mut self, field: &Field, value: &str) {
        if is_chosen(field) {
            self.0.record_str(field, value);
        }
    }

    fn record_error(&mut self, field: &Field, value: &(dyn std::error::Error + 'static)) {
        if is_chosen(field) {
            self.0.record_error(field, value);
        }
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        if is_chosen(field) {
            self.0.record_debug(field, value);
        }
    }
}

fn is_chosen(field: &Field) -> bool {
    !field.name().starts_with("otel.")
}
