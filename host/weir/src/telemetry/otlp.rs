//! Traces and metrics to an OpenTelemetry collector, where the environment names one (`OTEL_EXPORTER_OTLP_ENDPOINT`).
//!
//! They go out over a pool of their own, from threads of the SDK: a collector that is slow or gone costs the calls
//! nothing but what waits to be sent, which is bounded and then dropped. Spans carry what weir's own fields say, and
//! never an event: those may repeat what a provider said.

use std::env;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use http_body_util::{BodyExt as _, Limited};
use opentelemetry::global;
use opentelemetry::metrics::{Meter, MeterProvider as _};
use opentelemetry::trace::TracerProvider as _;
use opentelemetry_http::{HttpClient, HttpError};
use opentelemetry_otlp::{MetricExporter, Protocol, SpanExporter, WithExportConfig as _, WithHttpConfig as _};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::metrics::SdkMeterProvider;
use opentelemetry_sdk::propagation::TraceContextPropagator;
use opentelemetry_sdk::trace::{SdkTracer, SdkTracerProvider};
use tokio::runtime::Handle;
use tracing::instrument::WithSubscriber as _;
use tracing::subscriber::NoSubscriber;
use weir_pool::{Pool, PoolManager, PoolSettings, SendOptions, Timeouts};

/// How long the end of the program waits for the last spans and metrics to be taken: short enough for a signal's sender,
/// long enough for a collector across an ocean.
const LAST_WORDS: Duration = Duration::from_secs(2);

/// How long a collector may take with one batch; `OTEL_EXPORTER_OTLP_TIMEOUT`'s own default.
const EXPORT_TIMEOUT: Duration = Duration::from_secs(10);

/// Of an answer, which tells no more than what was refused.
const ANSWER_BYTES: usize = 64 << 10;

/// Where calls to models are measured, once a collector wants it.
static METER: OnceLock<Meter> = OnceLock::new();

/// What sends to the collector. Without one, nothing.
#[derive(Default)]
pub struct Otlp {
    spans: Option<SdkTracerProvider>,
    metrics: Option<SdkMeterProvider>,
    problems: Vec<String>,
}

/// The meter for calls to models, if a collector wants them measured.
pub(crate) fn meter() -> Option<&'static Meter> {
    METER.get()
}

/// Whether spans go to a collector.
pub(crate) fn traces() -> bool {
    TRACES.get().is_some()
}

static TRACES: OnceLock<()> = OnceLock::new();

/// What is told to a collector.
#[derive(Clone, Copy)]
enum Signal {
    Traces,
    Metrics,
}

impl Otlp {
    /// Reads the environment and gets ready to send. What can't be used is told by [`Self::problems`], and costs the
    /// telemetry alone.
    pub fn start(runtime: &Handle) -> Self {
        let mut otlp = Self::default();
        if env::var("OTEL_SDK_DISABLED").is_ok_and(|value| value.eq_ignore_ascii_case("true")) {
            return otlp;
        }
        let wanted = [Signal::Traces, Signal::Metrics].map(|signal| signal.is_wanted(&variable));
        let [traces, metrics] = wanted.map(|wanted| {
            wanted.unwrap_or_else(|problem| {
                otlp.problems.push(problem);
                false
            })
        });
        if !traces && !metrics {
            return otlp;
        }
        let collector = match Collector::new(runtime) {
            Ok(collector) => Arc::new(collector),
            Err(error) => {
                otlp.problems.push(error.to_string());
                return otlp;
            }
        };
        if traces {
            otlp.start_spans(collector.clone());
        }
        if metrics {
            otlp.start_metrics(collector);
        }
        otlp
    }

    fn start_spans(&mut self, collector: Arc<Collector>) {
        let exporter = SpanExporter::builder()
            .with_http()
            .with_protocol(Protocol::HttpBinary)
            .with_shared_http_client(collector)
            .build();
        match exporter {
            Ok(exporter) => {
                global::set_text_map_propagator(TraceContextPropagator::new());
                let spans = SdkTracerProvider::builder()
                    .with_resource(resource())
                    .with_batch_exporter(exporter)
                    .build();
                self.spans = Some(spans);
                let _ = TRACES.set(());
            }
            Err(error) => self.problems.push(format!("traces are not sent: {error}")),
        }
    }

    fn start_metrics(&mut self, collector: Arc<Collector>) {
        let exporter = MetricExporter::builder()
            .with_http()
            .with_protocol(Protocol::HttpBinary)
            .with_shared_http_client(collector)
            .build();
        match exporter {
            Ok(exporter) => {
                let metrics = SdkMeterProvider::builder()
                    .with_resource(resource())
                    .with_periodic_exporter(exporter)
                    .build();
                let _ = METER.set(metrics.meter("weir"));
                self.metrics = Some(metrics);
            }
            Err(error) => self.problems.push(format!("metrics are not sent: {error}")),
        }
    }

    /// What makes spans of the program's own.
    pub(crate) fn tracer(&self) -> Option<SdkTracer> {
        self.spans.as_ref().map(|spans| spans.tracer("weir"))
    }

    /// What of the environment can't be used.
    pub fn problems(&self) -> &[String] {
        &self.problems
    }

    /// Sends what is left, for as long as that is worth waiting. The runtime must still run.
    pub fn end(self) {
        // Side by side: one that waits in vain leaves the other its time.
        std::thread::scope(|scope| {
            if let Some(spans) = &self.spans {
                scope.spawn(|| spans.shutdown_with_timeout(LAST_WORDS));
            }
            if let Some(metrics) = &self.metrics {
                scope.spawn(|| metrics.shutdown_with_timeout(LAST_WORDS));
            }
        });
    }
}

impl Signal {
    /// Whether it has somewhere to go, by the variables of OpenTelemetry's specification.
    fn is_wanted(self, variable: &impl Fn(&str) -> Option<String>) -> Result<bool, String> {
        let name = match self {
            Signal::Traces => "TRACES",
            Signal::Metrics => "METRICS",
        };
        let of_both = |what: &str| {
            variable(&format!("OTEL_EXPORTER_OTLP_{name}_{what}"))
                .or_else(|| variable(&format!("OTEL_EXPORTER_OTLP_{what}")))
        };
        let exporter = variable(&format!("OTEL_{name}_EXPORTER"));
        if of_both("ENDPOINT").is_none() || exporter.is_some_and(|exporter| exporter != "otlp") {
            return Ok(false);
        }
        match of_both("PROTOCOL") {
            Some(protocol) if protocol != "http/protobuf" => Err(format!(
                "OTEL_EXPORTER_OTLP_PROTOCOL is {protocol:?}, and weir speaks http/protobuf alone: its {} are not sent",
                name.to_lowercase()
            )),
            _ => Ok(true),
        }
    }
}

/// A variable that is set to something.
fn variable(name: &str) -> Option<String> {
    env::var(name).ok().filter(|value| !value.is_empty())
}

/// Who tells: `OTEL_SERVICE_NAME` and `OTEL_RESOURCE_ATTRIBUTES`, and `weir` where they say nothing.
fn resource() -> Resource {
    let named = variable("OTEL_SERVICE_NAME").is_some()
        || variable("OTEL_RESOURCE_ATTRIBUTES").is_some_and(|attributes| attributes.contains("service.name="));
    let version = opentelemetry::KeyValue::new("service.version", env!("CARGO_PKG_VERSION"));
    let builder = Resource::builder().with_attribute(version);
    if named {
        builder.build()
    } else {
        builder.with_service_name("weir").build()
    }
}

/// The collector, over a pool. The SDK's threads know no runtime: what they send is sent on ours.
#[derive(Debug)]
struct Collector {
    pool: Pool,
    runtime: Handle,
}

impl Collector {
    fn new(runtime: &Handle) -> anyhow::Result<Self> {
        let _entered = runtime.enter();
        Ok(Self {
            pool: PoolManager::new()?.pool("otlp", PoolSettings::default())?,
            runtime: runtime.clone(),
        })
    }
}

#[async_trait]
impl HttpClient for Collector {
    async fn send_bytes(&self, request: http::Request<Bytes>) -> Result<http::Response<Bytes>, HttpError> {
        let pool = self.pool.clone();
        let options = SendOptions {
            timeouts: Timeouts {
                total: Some(EXPORT_TIMEOUT),
                ..Timeouts::default()
            },
            ..SendOptions::default()
        };
        let sending = async move {
            let (head, body) = pool.send(request, options).await?.into_parts();
            let body = Limited::new(body, ANSWER_BYTES).collect().await?.to_bytes();
            Ok(http::Response::from_parts(head, body))
        };
        // What is said of telling is not told.
        self.runtime
            .spawn(sending.with_subscriber(NoSubscriber::default()))
            .await?
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn is_wanted(signal: Signal, variables: &[(&str, &str)]) -> Result<bool, String> {
        signal.is_wanted(&|name| {
            let found = variables.iter().find(|(known, _)| *known == name);
            found.map(|(_, value)| (*value).to_owned())
        })
    }

    #[test]
    fn a_signal_is_sent_where_an_endpoint_is_named_and_nothing_speaks_against_it() {
        let endpoint = ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://collector:4318");
        assert_eq!(is_wanted(Signal::Traces, &[]), Ok(false));
        assert_eq!(is_wanted(Signal::Traces, &[endpoint]), Ok(true));
        assert_eq!(
            is_wanted(Signal::Traces, &[endpoint, ("OTEL_TRACES_EXPORTER", "none")]),
            Ok(false)
        );
        assert_eq!(
            is_wanted(Signal::Metrics, &[endpoint, ("OTEL_TRACES_EXPORTER", "none")]),
            Ok(true)
        );
        let own = (
            "OTEL_EXPORTER_OTLP_METRICS_ENDPOINT",
            "http://collector:4318/v1/metrics",
        );
        assert_eq!(is_wanted(Signal::Metrics, &[own]), Ok(true));
        assert_eq!(is_wanted(Signal::Traces, &[own]), Ok(false));
    }

    #[test]
    fn another_protocol_is_refused_by_name() {
        let endpoint = ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://collector:4317");
        let problem = is_wanted(Signal::Traces, &[endpoint, ("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc")]).unwrap_err();
        assert!(
            problem.contains("\"grpc\"") && problem.contains("http/protobuf"),
            "{problem}"
        );
    }
}
