# Every task of the project. `just` lists them.

set shell := ["bash", "-euo", "pipefail", "-c"]

adapters := "voyage cohere openai qdrant local memory"

# Lists the recipes.
default:
    @just --list --unsorted

# Adds what the compiler needs for components.
[private]
wasm-target:
    @rustup target list --installed | grep -qx wasm32-wasip2 || rustup target add wasm32-wasip2

# Builds every adapter to guest-providers/dist/NAME.wasm, which the program bundles.
build-guests: wasm-target
    cd guest-providers && cargo build --locked --release
    mkdir -p guest-providers/dist
    for name in {{adapters}}; do cmp -s guest-providers/{target/wasm32-wasip2/release,dist}/$name.wasm || cp guest-providers/{target/wasm32-wasip2/release,dist}/$name.wasm; done

# Builds the components the tests misuse the host with.
[private]
build-fixtures: wasm-target
    cd tests/fixtures && cargo build --locked --release --target wasm32-wasip2

# Builds the program `weir` and the local upstream, adapters included.
build: build-guests
    cargo build --locked --workspace

# Indexes and searches this repository: through a local upstream and pooled adapters, then with no network at all.
demo: build
    tests/demo.sh

# The whole test suite. Needs Python 3 for the official clients.
test: build build-fixtures python-clients
    cargo test --locked --workspace
    cd guest-providers && cargo native-test --locked --workspace

# Puts the providers' official Python clients into a folder of their own.
[private]
python-clients:
    @cmp -s tests/python/requirements.txt target/python/requirements.txt || { \
        python3 -m venv target/python && \
        target/python/bin/pip install --quiet --disable-pip-version-check -r tests/python/requirements.txt && \
        cp tests/python/requirements.txt target/python/; }

# Measures the pool beside other clients and puts the figures into benches/README.md. Wants a machine with nothing else to do.
[positional-arguments]
bench *options: bench-python
    cargo build --locked --release --manifest-path benches/Cargo.toml
    benches/target/release/weir-benches run --python benches/target/python/bin/python3 --readme benches/README.md --json benches/target/figures.json "$@"

[private]
bench-python:
    @cmp -s benches/python/requirements.txt benches/target/python/requirements.txt || { \
        python3 -m venv benches/target/python && \
        benches/target/python/bin/pip install --quiet --disable-pip-version-check -r benches/python/requirements.txt && \
        cp benches/python/requirements.txt benches/target/python/; }

# Formatting, clippy, documentation, and what the dependency tree may hold. Warnings are errors.
lint: build-guests cargo-deny
    cargo fmt --all --check
    cd guest-providers && cargo fmt --all --check
    cd tests/fixtures && cargo fmt --all --check
    cd benches && cargo fmt --all --check
    cargo clippy --locked --workspace --all-targets -- -D warnings
    cd guest-providers && cargo native-clippy --locked --workspace -- -D warnings
    cd benches && cargo clippy --locked --all-targets -- -D warnings
    RUSTDOCFLAGS="-D warnings -A rustdoc::private-intra-doc-links" cargo doc --locked --workspace --no-deps --document-private-items
    cargo deny --offline check licenses bans sources
    cargo deny --offline --config deny.toml --manifest-path guest-providers/Cargo.toml check licenses bans sources

# Known vulnerabilities in the dependencies. Fetches the RustSec database.
audit: cargo-deny
    cargo deny check advisories

[private]
cargo-deny:
    @command -v cargo-deny >/dev/null || cargo install --locked cargo-deny

# Formats everything.
fmt:
    cargo fmt --all
    cd guest-providers && cargo fmt --all
    cd tests/fixtures && cargo fmt --all
    cd benches && cargo fmt --all

# Installs the program into Cargo's folder, optimised.
install: build-guests
    cargo install --locked --path host/weir
