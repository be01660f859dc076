//! What was measured of the gateways, as tables.

use std::fmt;
use std::time::Duration;

use super::LOADS;
use super::caller::{Answered, Asks};

/// One load on one gateway.
pub struct Sample {
    pub answered: Answered,
    /// The gateway's, while it was measured.
    pub cpu: Duration,
}

impl Sample {
    fn cpu_of_one(&self) -> f64 {
        self.cpu.as_secs_f64() * 1e6 / self.answered.requests as f64
    }
}

/// One start of a gateway.
pub struct Start {
    /// From its process to its first answer.
    pub milliseconds: f64,
    /// In RAM when it had given that answer and rested.
    pub megabytes: f64,
}

#[derive(Default)]
pub struct Figures {
    starts: Vec<(&'static str, Start)>,
    samples: Vec<(&'static str, &'static str, Sample)>,
}

impl Figures {
    pub fn started(&mut self, gateway: &'static str, start: Start) {
        self.starts.push((gateway, start));
    }

    pub fn add(&mut self, load: &'static str, gateway: &'static str, sample: Sample) {
        self.samples.push((load, gateway, sample));
    }

    /// In the order in which they came.
    fn gateways(&self) -> Vec<&'static str> {
        let mut names = Vec::new();
        for (name, _) in &self.starts {
            if !names.contains(name) {
                names.push(*name);
            }
        }
        names
    }

    fn start(&self, gateway: &str, of: impl Fn(&Start) -> f64) -> f64 {
        let starts = self.starts.iter().filter(|(name, _)| *name == gateway);
        median(starts.map(|(_, start)| of(start)).collect())
    }

    /// Not a number where it has no figures.
    fn load(&self, load: &str, gateway: &str, of: impl Fn(&Sample) -> f64) -> f64 {
        let samples = self
            .samples
            .iter()
            .filter(|(at, name, _)| *at == load && *name == gateway);
        median(samples.map(|(_, _, sample)| of(sample)).collect())
    }

    fn targets(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [_, (small, ..), (large, ..), (streamed, ..)] = LOADS;
        let cpu = |load| self.load(load, "weir", Sample::cpu_of_one);
        let others = self
            .gateways()
            .into_iter()
            .filter(|name| !["weir", "nginx"].contains(name));
        let best = others
            .map(|name| self.load(small, name, Sample::cpu_of_one))
            .filter(|cpu| cpu.is_finite())
            .fold(f64::NAN, f64::min);
        let first = |gateway| self.load(streamed, gateway, |sample| sample.answered.first_p50);
        let later = first("weir") - first("none");
        writeln!(formatter, "| | target | measured |\n|---|---|---|")?;
        for (what, target, value, unit, limit) in [
            (
                format!("{small}: CPU a request"),
                "at most 100 µs",
                cpu(small),
                "µs",
                100.0,
            ),
            (
                format!("{small}: CPU a request over that of the best other gateway"),
                "at most 0.5 times",
                cpu(small) / best,
                "times",
                0.5,
            ),
            (
                format!("{large}: CPU a request"),
                "at most 400 µs",
                cpu(large),
                "µs",
                400.0,
            ),
            (
                format!("{streamed}: first word after the upstream's own, p50"),
                "at most 300 µs",
                later,
                "µs",
                300.0,
            ),
            (
                "Start to first answer, warm cache".to_owned(),
                "at most 150 ms",
                self.start("weir", |start| start.milliseconds),
                "ms",
                150.0,
            ),
            (
                "Memory at rest".to_owned(),
                "at most 40 MB",
                self.start("weir", |start| start.megabytes),
                "MB",
                40.0,
            ),
        ] {
            let reached = if value <= limit { "" } else { ", **not reached**" };
            writeln!(formatter, "| {what} | {target} | {value:.2} {unit}{reached} |")?;
        }
        Ok(())
    }
}

impl fmt::Display for Figures {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.targets(formatter)?;
        writeln!(
            formatter,
            "\n| gateway | start to first answer, ms | memory at rest, MB |\n|---|---|---|"
        )?;
        for gateway in self.gateways() {
            let milliseconds = self.start(gateway, |start| start.milliseconds);
            let megabytes = self.start(gateway, |start| start.megabytes);
            writeln!(formatter, "| {gateway} | {milliseconds:.0} | {megabytes:.1} |")?;
        }
        for (load, asks, _) in LOADS {
            let first = asks == Asks::Words;
            let (titles, line) = if first {
                (" first word p50 µs | first word p99 µs |", "---|---|")
            } else {
                ("", "")
            };
            writeln!(
                formatter,
                "\n### {load}\n\n| gateway | CPU µs/request | requests/s | p50 µs | p99 µs |{titles}\n|---|---|---|---|---|{line}"
            )?;
            for gateway in std::iter::once("none").chain(self.gateways()) {
                let of = |of: fn(&Sample) -> f64| self.load(load, gateway, of);
                if !of(Sample::cpu_of_one).is_finite() {
                    continue;
                }
                write!(
                    formatter,
                    "| {gateway} | {:.0} | {:.0} | {:.0} | {:.0} |",
                    of(Sample::cpu_of_one),
                    of(|sample| sample.answered.requests as f64 / sample.answered.seconds),
                    of(|sample| sample.answered.p50),
                    of(|sample| sample.answered.p99),
                )?;
                if first {
                    write!(
                        formatter,
                        " {:.0} | {:.0} |",
                        of(|sample| sample.answered.first_p50),
                        of(|sample| sample.answered.first_p99)
                    )?;
                }
                writeln!(formatter)?;
            }
        }
        Ok(())
    }
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(f64::NAN)
}
