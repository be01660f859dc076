//! weir-pool beside raw hyper, hyper-util's legacy client, reqwest and httpx; and calls through a sandboxed adapter beside the
//! same requests by Rust. And weir as a gateway beside other gateways.
//!
//! Every client and the server is a process of its own, held to one core. `run` starts them in turn and writes the
//! figures into `README.md`.

mod client;
mod component;
mod contender;
mod figures;
mod gateways;
mod machine;
mod neighbours;
mod process;
mod readme;
mod run;
mod scenario;
mod server;

use clap::{Parser, Subcommand};

/// The product's own, so that a call through the sandbox has the memory that it has there; so has every client.
#[cfg(target_os = "linux")]
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

#[derive(Parser)]
#[command(about)]
struct Arguments {
    #[command(subcommand)]
    role: Role,
}

#[derive(Subcommand)]
enum Role {
    /// Measures every scenario and prints the figures.
    Run(run::Options),
    /// What loading a component takes, and what its instances keep; in JSON. `run` starts it.
    Component,
    /// The calls of one provider beside another that misbehaves; in JSON. `run` starts it.
    Neighbours(neighbours::Options),
    /// One client under one load; tells of it in JSON. `run` starts these.
    Client(client::Load),
    /// weir as a gateway beside others, and prints the figures.
    Gateways(gateways::Options),
    /// The clients of one gateway under one load. `gateways` starts these.
    GatewayClient(gateways::Caller),
    /// The upstream of all gateways. `gateways` starts it.
    GatewayUpstream(gateways::Upstream),
    /// The server; tells of itself in JSON for every line on its standard input. `run` starts it.
    Server(server::Options),
}

fn main() -> anyhow::Result<()> {
    match Arguments::parse().role {
        Role::Run(options) => run::run(&options),
        Role::Component => component::run(),
        Role::Neighbours(options) => neighbours::run(&options),
        Role::Client(load) => client::run(&load),
        Role::Gateways(options) => gateways::run(&options),
        Role::GatewayClient(options) => gateways::call(&options),
        Role::GatewayUpstream(options) => gateways::serve(&options),
        Role::Server(options) => server::run(&options),
    }
}
