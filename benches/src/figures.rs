//! Samples put together: the medians of the rounds.

use std::fmt;

use comfy_table::{CellAlignment, Table, TableStyle, presets};
use serde::Serialize;

use crate::client::Measured;
use crate::scenario::Scenario;

/// One client in one round.
#[derive(Clone, Serialize)]
pub struct Sample {
    #[serde(flatten)]
    pub measured: Measured,
    /// Connections the server accepted from the start of the client to its end.
    pub connections: u64,
    /// The part of its core that the server used meanwhile.
    pub server_busy: f64,
}

impl Sample {
    /// Processor time of the client for one request, in microseconds.
    fn cpu(&self) -> f64 {
        self.measured.cpu_seconds * 1e6 / self.measured.requests as f64
    }

    fn rate(&self) -> f64 {
        self.measured.requests as f64 / self.measured.seconds
    }
}

impl fmt::Display for Sample {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            formatter,
            "{:.2} µs of CPU a request, {:.0} requests/s",
            self.cpu(),
            self.rate()
        )
    }
}

/// Every round of one scenario.
#[derive(Serialize)]
pub struct Figures {
    pub scenario: Scenario,
    clients: Vec<(&'static str, Vec<Sample>)>,
}

const HEADER: [&str; 8] = [
    "client",
    "CPU µs/request",
    "lowest–highest",
    "requests/s",
    "p50 µs",
    "p99 µs",
    "connections",
    "server busy",
];

impl Figures {
    pub fn new(scenario: Scenario, clients: &[&'static str]) -> Self {
        let clients = clients.iter().map(|client| (*client, Vec::new())).collect();
        Self { scenario, clients }
    }

    pub fn add(&mut self, client: &str, sample: Sample) {
        if let Some((_, samples)) = self.clients.iter_mut().find(|(name, _)| *name == client) {
            samples.push(sample);
        }
    }

    /// The median of one client's rounds; `None` if it was not measured.
    pub fn median(&self, client: &str, of: impl Fn(&Sample) -> f64) -> Option<f64> {
        let (_, samples) = self.clients.iter().find(|(name, _)| *name == client)?;
        let values = sorted(samples, of);
        values.get(values.len() / 2).copied()
    }

    pub fn cpu(&self, client: &str) -> Option<f64> {
        self.median(client, Sample::cpu)
    }

    pub fn rate(&self, client: &str) -> Option<f64> {
        self.median(client, Sample::rate)
    }

    fn rows(&self) -> impl Iterator<Item = [String; HEADER.len()]> {
        self.clients.iter().map(|(client, samples)| {
            let median = |of: fn(&Sample) -> f64| self.median(client, of).unwrap_or(f64::NAN);
            let cpu = sorted(samples, Sample::cpu);
            let end = |value: Option<&f64>| value.map_or_else(String::new, |value| format!("{value:.1}"));
            [
                (*client).to_owned(),
                format!("{:.1}", median(Sample::cpu)),
                format!("{}–{}", end(cpu.first()), end(cpu.last())),
                format!("{:.0}", median(Sample::rate)),
                format!("{:.0}", median(|sample| sample.measured.p50_us)),
                format!("{:.0}", median(|sample| sample.measured.p99_us)),
                format!("{:.0}", median(|sample| sample.connections as f64)),
                format!("{:.0} %", 100.0 * median(|sample| sample.server_busy)),
            ]
        })
    }

    pub fn table(&self) -> Table {
        self.laid_out(presets::UTF8_HORIZONTAL_ONLY)
    }

    pub fn markdown(&self) -> Table {
        self.laid_out(presets::ASCII_MARKDOWN)
    }

    fn laid_out(&self, style: TableStyle) -> Table {
        let mut table = Table::new();
        table.load_style(style).set_header(HEADER).add_rows(self.rows());
        for column in table.column_iter_mut().skip(1) {
            column.set_cell_alignment(CellAlignment::Right);
        }
        table
    }
}

fn sorted(samples: &[Sample], of: impl Fn(&Sample) -> f64) -> Vec<f64> {
    let mut values: Vec<_> = samples.iter().map(of).collect();
    values.sort_by(f64::total_cmp);
    values
}
