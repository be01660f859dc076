//! What a guest's imports are met with: the lent interfaces, and a WASI with nothing behind it; for who may use it,
//! `wasi:http` as well.

use wasmtime::Engine;
use wasmtime::component::{HasSelf, Linker};
use wasmtime_wasi::cli::{WasiCli, WasiCliView};
use wasmtime_wasi::clocks::{WasiClocks, WasiClocksView};
use wasmtime_wasi::p2::bindings::{cli, clocks, random};
use wasmtime_wasi::random::{WasiRandom, WasiRandomView};
use wasmtime_wasi_config::WasiConfig;

use crate::bindings::v0_1_0::{keyvalue, pooled_http, types};
use crate::instance::state::InstanceState;
use crate::lend::Lend;

/// Everything an admitted component can import.
pub(crate) fn linker(engine: &Engine) -> wasmtime::Result<Linker<InstanceState>> {
    let mut linker = Linker::new(engine);
    add_lent(&mut linker)?;
    add_closed_wasi(&mut linker)?;
    Ok(linker)
}

/// The same, and `wasi:http` of both versions: for components that were admitted with it. What they import of WASI 0.3
/// has as little behind it as that of 0.2.
pub(crate) fn with_wasi_http(linker: &Linker<InstanceState>) -> wasmtime::Result<Linker<InstanceState>> {
    let mut linker = linker.clone();
    wasmtime_wasi_http::p2::add_only_http_to_linker_async(&mut linker)?;
    wasmtime_wasi_http::p3::add_to_linker(&mut linker)?;
    wasmtime_wasi::p3::cli::add_to_linker(&mut linker)?;
    wasmtime_wasi::p3::clocks::add_to_linker(&mut linker)?;
    wasmtime_wasi::p3::random::add_to_linker(&mut linker)?;
    Ok(linker)
}

fn add_lent(linker: &mut Linker<InstanceState>) -> wasmtime::Result<()> {
    types::add_to_linker::<_, Lend>(linker, |state| state)?;
    pooled_http::add_to_linker::<_, Lend>(linker, |state| state)?;
    wasmtime_wasi_config::add_to_linker(linker, |state| WasiConfig::from(&state.config))?;
    keyvalue::store::add_to_linker::<_, HasSelf<InstanceState>>(linker, |state| state)?;
    keyvalue::batch::add_to_linker::<_, HasSelf<InstanceState>>(linker, |state| state)
}

/// The interfaces that languages' runtimes import whether they use them or not: no arguments, no environment, no
/// input; output goes to the log.
fn add_closed_wasi(linker: &mut Linker<InstanceState>) -> wasmtime::Result<()> {
    wasmtime_wasi_io::add_to_linker_async(linker)?;
    clocks::wall_clock::add_to_linker::<_, WasiClocks>(linker, InstanceState::clocks)?;
    clocks::monotonic_clock::add_to_linker::<_, WasiClocks>(linker, InstanceState::clocks)?;
    random::random::add_to_linker::<_, WasiRandom>(linker, InstanceState::random)?;
    random::insecure::add_to_linker::<_, WasiRandom>(linker, InstanceState::random)?;
    random::insecure_seed::add_to_linker::<_, WasiRandom>(linker, InstanceState::random)?;
    cli::exit::add_to_linker::<_, WasiCli>(linker, InstanceState::cli)?;
    cli::environment::add_to_linker::<_, WasiCli>(linker, InstanceState::cli)?;
    cli::stdin::add_to_linker::<_, WasiCli>(linker, InstanceState::cli)?;
    cli::stdout::add_to_linker::<_, WasiCli>(linker, InstanceState::cli)?;
    cli::stderr::add_to_linker::<_, WasiCli>(linker, InstanceState::cli)?;
    cli::terminal_input::add_to_linker::<_, WasiCli>(linker, InstanceState::cli)?;
    cli::terminal_output::add_to_linker::<_, WasiCli>(linker, InstanceState::cli)?;
    cli::terminal_stdin::add_to_linker::<_, WasiCli>(linker, InstanceState::cli)?;
    cli::terminal_stdout::add_to_linker::<_, WasiCli>(linker, InstanceState::cli)?;
    cli::terminal_stderr::add_to_linker::<_, WasiCli>(linker, InstanceState::cli)
}
