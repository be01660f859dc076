//! Metrics as text: OpenMetrics 1.0 for who asks for it (Prometheus does), the older Prometheus format 0.0.4 for all
//! others (`curl`, `promtool check metrics`).

use std::fmt;

use prometheus_client::encoding::text::encode;
use prometheus_client::registry::Registry;

use super::metrics::Snapshot;

/// A text format.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Exposition {
    OpenMetrics,
    Prometheus,
}

impl Exposition {
    /// OpenMetrics if the `Accept` header names it.
    pub fn negotiate(accept: Option<&str>) -> Self {
        let named = |accept: &str| {
            accept
                .split(',')
                .any(|range| range.trim().starts_with("application/openmetrics-text"))
        };
        if accept.is_some_and(named) {
            Self::OpenMetrics
        } else {
            Self::Prometheus
        }
    }

    pub fn content_type(self) -> &'static str {
        match self {
            Self::OpenMetrics => "application/openmetrics-text; version=1.0.0; charset=utf-8",
            Self::Prometheus => "text/plain; version=0.0.4; charset=utf-8",
        }
    }

    /// The whole text.
    pub fn write(self, snapshot: Snapshot) -> Result<String, fmt::Error> {
        let mut registry = Registry::default();
        registry.register_collector(Box::new(snapshot));
        let mut text = String::new();
        encode(&mut text, &registry)?;
        Ok(match self {
            Self::OpenMetrics => text,
            Self::Prometheus => downgrade(&text),
        })
    }
}

/// The older format knows no units and no end mark, and names a counter's family as its samples, with `_total`.
fn downgrade(open_metrics: &str) -> String {
    let mut text = String::with_capacity(open_metrics.len());
    // A family's help comes before its type.
    let mut help = None;
    for line in open_metrics.lines() {
        if line.starts_with("# HELP ") {
            help = Some(line);
        } else if let Some(family) = line.strip_prefix("# TYPE ") {
            let (name, kind) = family.split_once(' ').unwrap_or((family, "untyped"));
            let suffix = if kind == "counter" { "_total" } else { "" };
            if let Some(help) = help
                .take()
                .and_then(|line| line.strip_prefix("# HELP ")?.strip_prefix(name))
            {
                text.push_str(&format!("# HELP {name}{suffix}{help}\n"));
            }
            text.push_str(&format!("# TYPE {name}{suffix} {kind}\n"));
        } else if !line.starts_with('#') {
            text.push_str(line);
            text.push('\n');
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn open_metrics_is_written_for_who_names_it() {
        let prometheus =
            "application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.5,text/plain;q=0.3,*/*;q=0.1";
        assert_eq!(Exposition::negotiate(Some(prometheus)), Exposition::OpenMetrics);
        assert_eq!(Exposition::negotiate(Some("*/*")), Exposition::Prometheus);
        assert_eq!(Exposition::negotiate(None), Exposition::Prometheus);
    }

    #[test]
    fn the_older_format_names_counters_by_their_samples_and_has_no_end_mark() {
        let open = "# HELP a_seconds Time.\n# TYPE a_seconds histogram\n# UNIT a_seconds seconds\na_seconds_sum 1.0\n\
                    # HELP b Things.\n# TYPE b counter\nb_total{x=\"# HELP\"} 2\n# EOF\n";
        let old = "# HELP a_seconds Time.\n# TYPE a_seconds histogram\na_seconds_sum 1.0\n\
                   # HELP b_total Things.\n# TYPE b_total counter\nb_total{x=\"# HELP\"} 2\n";
        assert_eq!(downgrade(open), old);
    }
}
