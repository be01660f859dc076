//! Calls to models as OpenTelemetry's conventions for generative AI measure them: a span a call, and
//! `gen_ai.client.operation.duration` and `gen_ai.client.token.usage`.

use std::pin::Pin;
use std::sync::Arc;

use opentelemetry::metrics::{Histogram, Meter};
use opentelemetry::trace::Status;
use opentelemetry::{KeyValue, StringValue};
use tokio::time::Instant;
use tracing::field::Empty;
use tracing::{Instrument as _, Span};
use tracing_opentelemetry::OpenTelemetrySpanExt as _;

use crate::bindings::v0_1_0::types::Usage;
use crate::error::CallError;
use crate::provider::Inner;

/// The buckets that the conventions ask for, in seconds.
const SECONDS: [f64; 14] = [
    0.01, 0.02, 0.04, 0.08, 0.16, 0.32, 0.64, 1.28, 2.56, 5.12, 10.24, 20.48, 40.96, 81.92,
];

/// The buckets that the conventions ask for, in tokens.
const TOKENS: [f64; 14] = [
    1.0,
    4.0,
    16.0,
    64.0,
    256.0,
    1_024.0,
    4_096.0,
    16_384.0,
    65_536.0,
    262_144.0,
    1_048_576.0,
    4_194_304.0,
    16_777_216.0,
    67_108_864.0,
];

/// The two instruments.
#[derive(Debug)]
pub(crate) struct GenAi {
    duration: Histogram<f64>,
    tokens: Histogram<u64>,
}

impl GenAi {
    pub(crate) fn new(meter: &Meter) -> Self {
        Self {
            duration: meter
                .f64_histogram("gen_ai.client.operation.duration")
                .with_unit("s")
                .with_description("GenAI operation duration.")
                .with_boundaries(SECONDS.to_vec())
                .build(),
            tokens: meter
                .u64_histogram("gen_ai.client.token.usage")
                .with_unit("{token}")
                .with_description("Number of input and output tokens used.")
                .with_boundaries(TOKENS.to_vec())
                .build(),
        }
    }
}

/// A call to a model that is under way.
pub(crate) struct Asked {
    operation: &'static str,
    begun: Instant,
    span: Span,
    /// Where it is measured. Without it the call's model is not kept either.
    measured: Option<(Arc<GenAi>, Subject)>,
}

/// Whom and what was asked for.
struct Subject {
    provider: StringValue,
    model: Option<StringValue>,
}

impl Asked {
    /// `operation` by the conventions' name, where they have one.
    pub(crate) fn new(provider: &Inner, operation: &'static str, model: Option<&str>) -> Self {
        let span = tracing::debug_span!(
            "gen_ai",
            otel.kind = "client",
            otel.name = Empty,
            otel.status_code = Empty,
            gen_ai.operation.name = operation,
            gen_ai.provider.name = Empty,
            gen_ai.request.model = model,
            gen_ai.response.model = Empty,
            gen_ai.usage.input_tokens = Empty,
            gen_ai.usage.output_tokens = Empty,
            error.type = Empty,
        );
        if !span.is_disabled() {
            span.record("gen_ai.provider.name", well_known(&provider.manifest.name));
            let name = model.map(|model| format!("{operation} {model}"));
            span.record("otel.name", name.as_deref().unwrap_or(operation));
        }
        let measured = provider.gen_ai.clone().map(|instruments| {
            let subject = Subject {
                provider: well_known(&provider.manifest.name).to_owned().into(),
                model: model.map(|model| model.to_owned().into()),
            };
            (instruments, subject)
        });
        Self {
            operation,
            begun: Instant::now(),
            span,
            measured,
        }
    }

    /// What the call gives, told when it is there. A call that is dropped is not told. By reference, as
    /// [`crate::instance::cpu::metered`].
    pub(crate) async fn of<R>(
        self,
        call: Pin<&mut impl Future<Output = Result<R, CallError>>>,
        told: impl Fn(&R) -> (&str, &Usage),
    ) -> Result<R, CallError> {
        let answer = call.instrument(self.span.clone()).await;
        match &answer {
            Ok(answer) => {
                let (model, usage) = told(answer);
                self.answered(model, Some(usage));
            }
            Err(error) => self.failed(error),
        }
        answer
    }

    /// What surrounds the call.
    pub(crate) fn span(&self) -> &Span {
        &self.span
    }

    pub(crate) fn answered(&self, model: &str, usage: Option<&Usage>) {
        self.span.record("gen_ai.response.model", model);
        if let Some(usage) = usage {
            self.span.record("gen_ai.usage.input_tokens", usage.input_tokens);
            self.span.record("gen_ai.usage.output_tokens", usage.output_tokens);
        }
        let Some((instruments, subject)) = &self.measured else {
            return;
        };
        let mut attributes = self.attributes(subject);
        attributes.push(KeyValue::new("gen_ai.response.model", model.to_owned()));
        self.record_duration(instruments, &attributes);
        let Some(usage) = usage else { return };
        attributes.push(KeyValue::new("gen_ai.token.type", "input"));
        instruments.tokens.record(usage.input_tokens, &attributes);
        // Vectors and ranks are no tokens.
        if self.operation == "chat" {
            attributes.pop();
            attributes.push(KeyValue::new("gen_ai.token.type", "output"));
            instruments.tokens.record(usage.output_tokens, &attributes);
        }
    }

    pub(crate) fn failed(&self, error: &CallError) {
        self.span.record("error.type", error.kind());
        self.span.set_status(Status::error(""));
        let Some((instruments, subject)) = &self.measured else {
            return;
        };
        let mut attributes = self.attributes(subject);
        attributes.push(KeyValue::new("error.type", error.kind()));
        self.record_duration(instruments, &attributes);
    }

    fn attributes(&self, subject: &Subject) -> Vec<KeyValue> {
        let mut attributes = vec![
            KeyValue::new("gen_ai.operation.name", self.operation),
            KeyValue::new("gen_ai.provider.name", subject.provider.clone()),
        ];
        attributes.extend(
            subject
                .model
                .clone()
                .map(|model| KeyValue::new("gen_ai.request.model", model)),
        );
        attributes
    }

    fn record_duration(&self, instruments: &GenAi, attributes: &[KeyValue]) {
        instruments
            .duration
            .record(self.begun.elapsed().as_secs_f64(), attributes);
    }
}

/// An adapter's name as the conventions have it (`gen_ai.provider.name`).
fn well_known(adapter: &str) -> &str {
    match adapter {
        "azure" => "azure.ai.openai",
        "bedrock" => "aws.bedrock",
        "google" => "gcp.gemini",
        "mistral" => "mistral_ai",
        own => own,
    }
}
