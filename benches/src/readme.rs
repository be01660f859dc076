//! The part of `README.md` that is made from figures.

use std::fmt::Write as _;
use std::path::Path;

use anyhow::Context as _;

use crate::component::Components;
use crate::figures::Figures;
use crate::gateways;
use crate::neighbours::Neighbours;

const FIGURES: [&str; 2] = ["<!-- figures: made by `just bench` -->\n", "<!-- end of figures -->\n"];
const GATEWAYS: [&str; 2] = [
    "<!-- figures: made by `just bench-gateways` -->\n",
    "<!-- end of gateways' figures -->\n",
];

pub fn replace_gateways(file: &Path, machine: &str, figures: &gateways::Figures) -> anyhow::Result<()> {
    replace(file, GATEWAYS, &format!("\n{machine}\n{figures}"))
}

pub fn replace_figures(
    file: &Path,
    machine: &str,
    all: &[Figures],
    components: &Components,
    neighbours: &Neighbours,
) -> anyhow::Result<()> {
    let mut made = format!("\n{machine}\n## Targets\n\n{}", targets(all, components));
    for figures in all {
        write!(made, "\n## {}\n\n{}\n", figures.scenario.name, figures.markdown())?;
    }
    write!(made, "\n## Components\n\n{components}\n")?;
    write!(made, "\n## Beside a component that misbehaves\n\n{neighbours}")?;
    replace(file, FIGURES, &made)
}

/// What is between the two marks.
fn replace(file: &Path, [begin, end]: [&str; 2], made: &str) -> anyhow::Result<()> {
    let text = std::fs::read_to_string(file).with_context(|| file.display().to_string())?;
    let (before, rest) = text.split_once(begin).context("no place for figures")?;
    let (_, after) = rest.split_once(end).context("the place for figures has no end")?;
    Ok(std::fs::write(file, format!("{before}{begin}{made}\n{end}{after}"))?)
}

/// What is meant to be reached, and what was in this run.
fn targets(all: &[Figures], components: &Components) -> String {
    let of = |name: &str| all.iter().find(|figures| figures.scenario.name == name);
    let cpu = |name: &str, client: &str| of(name)?.cpu(client);
    let rate = |name: &str, client: &str| of(name)?.rate(client);
    let difference = || Some(cpu("HTTP/1.1, 32 in flight", "weir-pool")? - cpu("HTTP/1.1, 32 in flight", "hyper")?);
    let at_128 = || Some(cpu("HTTP/1.1, 128 in flight", "weir-pool")? - cpu("HTTP/1.1, 128 in flight", "hyper-util")?);
    let crowded = || {
        let alone = rate("HTTP/1.1, 100 in flight, cap 100", "weir-pool")?;
        Some(100.0 * rate("HTTP/1.1, 1,000 in flight, cap 100", "weir-pool")? / alone)
    };
    let http2 = |name| Some(rate(name, "weir-pool")? / rate(name, "hyper-util")?);
    let httpx = || Some(cpu("HTTP/1.1, 32 in flight", "httpx")? / cpu("HTTP/1.1, 32 in flight", "weir-pool")?);

    let mut text = String::from("| | target | measured |\n|---|---|---|\n");
    let mut row = |what: &str, target: &str, unit: &str, measured: Option<f64>, reached: fn(f64) -> bool| {
        let measured = measured.map_or_else(
            || "not measured".to_owned(),
            |value| {
                format!(
                    "{value:.2}{unit}{}",
                    if reached(value) { "" } else { ", **not reached**" }
                )
            },
        );
        let _ = writeln!(text, "| {what} | {target} | {measured} |");
    };
    row(
        "HTTP/1.1, 32 in flight: CPU a request above raw hyper's",
        "at most 2 µs",
        " µs",
        difference(),
        |value| value <= 2.0,
    );
    row(
        "HTTP/1.1, 128 in flight: CPU a request above hyper-util's",
        "at most 0 µs",
        " µs",
        at_128(),
        |value| value <= 0.0,
    );
    row(
        "HTTP/1.1, 1,000 in flight over a cap of 100: throughput of that at 100",
        "at least 90 %",
        " %",
        crowded(),
        |value| value >= 90.0,
    );
    row(
        "HTTP/2, 1,000 in flight, 5 ms a request: throughput over hyper-util's",
        "at least 1.3 times",
        " times",
        http2("HTTP/2 over TLS, 1,000 in flight, 5 ms a request"),
        |value| value >= 1.3,
    );
    row(
        "HTTP/2, 1,000 in flight, answered at once: throughput over hyper-util's",
        "at least 1.3 times",
        " times",
        http2("HTTP/2 over TLS, 1,000 in flight"),
        |value| value >= 1.3,
    );
    row(
        "HTTP/1.1, 32 in flight: httpx's CPU a request over ours",
        "at least 100 times",
        " times",
        httpx(),
        |value| value >= 100.0,
    );
    for in_flight in ["1", "16", "64"] {
        let scenario = format!("Embedding, {in_flight} in flight");
        let more = |client: &str| Some(cpu(scenario.as_str(), client)? - cpu(scenario.as_str(), "native")?);
        row(
            &format!("{scenario}: CPU a call through a reused instance above Rust's own"),
            "at most 20 µs",
            " µs",
            more("reused"),
            |value| value <= 20.0,
        );
        row(
            &format!("{scenario}: CPU a call through a fresh instance above Rust's own"),
            "at most 100 µs",
            " µs",
            more("fresh"),
            |value| value <= 100.0,
        );
    }
    let many = "Embedding of 32 inputs, 16 in flight";
    row(
        &format!("{many}: CPU a call through a reused instance over Rust's own"),
        "at most 1.5 times",
        " times",
        cpu(many, "reused").and_then(|guest| Some(guest / cpu(many, "native")?)),
        |value| value <= 1.5,
    );
    row(
        "Loading a compiled component from the cache, the slowest adapter",
        "under 2 ms",
        " ms",
        components.slowest_load(),
        |value| value < 2.0,
    );
    text
}
