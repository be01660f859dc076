# Every task of the project. `just` lists them.

set shell := ["bash", "-euo", "pipefail", "-c"]

adapters := "voyage cohere openai mistral azure huggingface perplexity google anthropic bedrock qdrant tavily jina tei chroma local memory"

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

# Builds what judges the adapters' requests by the providers' own documents.
[private]
build-specs:
    cd tests/specs && cargo build --locked

# Writes the crate of a new adapter to a folder beside this one, ready to be built: `just new-provider acme --capability reranking`.
[positional-arguments]
new-provider name *options: build
    target/debug/weir new "$1" --path "../$1" "${@:2}"

# Builds the program `weir` and the local upstream, adapters included.
build: build-guests
    cargo build --locked --workspace

# Indexes and searches this repository: through a local upstream and pooled adapters, then with no network at all.
demo: build
    tests/demo.sh

# The whole test suite. Needs Python 3 for the official clients, and root to install the servers of `just peers`.
test: build build-fixtures build-specs peers python-clients node-clients python-adapter chroma browser
    cargo test --locked --workspace
    cd guest-providers && cargo native-test --locked --workspace

# Installs the servers and proxies the pool is proved against, or says which are missing.
peers:
    tests/install-peers.sh

# The proofs of the pool, of reloading and of indexing at their full length, on a machine that does nothing else.
soak: build build-fixtures python-clients peers
    cargo test --locked --workspace --test faults -- --ignored soak
    LOOM_MAX_PREEMPTIONS=3 cargo test --locked --workspace --lib interleavings
    # Told to give back what is free, the allocator does not hide what leaks.
    MALLOC_MMAP_THRESHOLD_=32768 MALLOC_TRIM_THRESHOLD_=32768 \
        cargo test --locked --workspace --test endurance --test guest_endurance -- --ignored --nocapture --test-threads=1
    cargo test --locked --workspace --test real_servers -- --ignored --nocapture for_ten_minutes
    cargo test --locked --workspace --test reload --test config_reload -- --ignored --nocapture
    cargo build --locked --workspace --release
    # Twice as many descriptors as there are slow clients, of which a server takes a quarter.
    ulimit -n 16384; cargo test --locked --workspace --release --test bad_clients -- --ignored --nocapture --test-threads=1
    # With a local upstream that is not optimised, it is the upstream that bounds the throughput.
    cargo test --locked --workspace --release --test index_soak --test retrieval --test search_scale -- \
        --ignored --nocapture --test-threads=1

# Fuzzes each parser of what comes from outside, for so many seconds each.
fuzz seconds="60": build-guests cargo-fuzz
    mkdir -p host/runtime/fuzz/corpus/inspect
    for name in {{adapters}}; do head -c 4096 guest-providers/dist/$name.wasm > host/runtime/fuzz/corpus/inspect/$name; done
    for crate in host/pool host/runtime; do (cd $crate && for target in $(cargo fuzz list); do \
        RUSTC_BOOTSTRAP=1 cargo fuzz run $target -- -max_total_time={{seconds}}; done); done

[private]
cargo-fuzz:
    @command -v cargo-fuzz >/dev/null || cargo install --locked cargo-fuzz

# Puts the providers' official Python clients into a folder of their own.
[private]
python-clients:
    @cmp -s tests/python/requirements.txt target/python/requirements.txt || { \
        python3 -m venv target/python && \
        target/python/bin/pip install --quiet --disable-pip-version-check --no-compile -r tests/python/requirements.txt && \
        cp tests/python/requirements.txt target/python/; }

# Puts the providers' official clients for Node into a folder of their own.
[private]
node-clients: peers
    @cmp -s tests/node/package.json target/node/installed || { \
        mkdir -p target/node && cp tests/node/package.json target/node/ && \
        npm install --silent --no-audit --no-fund --no-package-lock --prefix target/node && \
        cp tests/node/package.json target/node/installed; }

# Builds the adapter in Python to target/python-adapter/acme.wasm.
python-adapter:
    @cmp -s guest-providers/python/requirements.txt target/componentize-py/requirements.txt || { \
        python3 -m venv target/componentize-py && \
        target/componentize-py/bin/pip install --quiet --disable-pip-version-check -r guest-providers/python/requirements.txt && \
        cp guest-providers/python/requirements.txt target/componentize-py/; }
    @mkdir -p target/python-adapter
    @[ target/python-adapter/acme.wasm -nt guest-providers/python/app.py ] || \
        target/componentize-py/bin/componentize-py -q -d wit/v0.1.0 -w embedding-provider \
            componentize -p guest-providers/python app -o target/python-adapter/acme.wasm

# Puts a real Chroma server into a folder of its own. The package brings the server along; its dependencies are the
# Python client's alone.
[private]
chroma:
    @cmp -s tests/python/chroma.txt target/chroma/chroma.txt || { \
        python3 -m venv target/chroma && \
        target/chroma/bin/pip install --quiet --disable-pip-version-check --no-deps -r tests/python/chroma.txt && \
        cp tests/python/chroma.txt target/chroma/; }

# Puts what drives the browser into a folder of its own. The browser itself is Debian's.
[private]
browser: peers
    @cmp -s tests/browser/package.json target/browser/installed.json || { \
        mkdir -p target/browser && cp tests/browser/package.json target/browser/ && \
        npm install --prefix target/browser --ignore-scripts --no-audit --no-fund --silent && \
        cp tests/browser/package.json target/browser/installed.json; }

# Measures the pool beside other clients and puts the figures into benches/README.md. Wants a machine with nothing else to do.
[positional-arguments]
bench *options: build-guests build-fixtures bench-python
    cd benches/over-wasi-http && cargo build --locked --release --target wasm32-wasip2
    cargo build --locked --release --workspace --bin weir
    cargo build --locked --release --manifest-path benches/Cargo.toml --target-dir target
    target/release/weir-benches run --weir target/release/weir --python benches/target/python/bin/python3 --readme benches/README.md --json benches/target/figures.json "$@"

# Measures weir as a gateway beside LiteLLM, Portkey, TensorZero and nginx, and puts the figures into benches/README.md.
# The others come from PyPI, npm and Debian: a gigabyte. Wants a machine with nothing else to do.
[positional-arguments]
bench-gateways *options: build-guests peers
    cargo build --locked --release --workspace --bin weir
    cargo build --locked --release --manifest-path benches/Cargo.toml --target-dir target
    for name in litellm tensorzero; do cmp -s benches/python/gateways/$name.txt benches/target/$name/requirements.txt || { \
        python3 -m venv benches/target/$name && \
        benches/target/$name/bin/pip install --quiet --disable-pip-version-check -r benches/python/gateways/$name.txt && \
        cp benches/python/gateways/$name.txt benches/target/$name/requirements.txt; }; done
    cmp -s benches/node/package.json benches/target/portkey/package.json || { mkdir -p benches/target/portkey && \
        cp benches/node/package.json benches/target/portkey/ && npm install --silent --prefix benches/target/portkey; }
    target/release/weir-benches gateways --weir target/release/weir --nginx "$(command -v nginx)" \
        --litellm benches/target/litellm --tensorzero benches/target/tensorzero \
        --portkey benches/target/portkey/node_modules/@portkey-ai/gateway --readme benches/README.md "$@"

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
    cd tests/specs && cargo fmt --all --check
    cd benches && cargo fmt --all --check
    cd benches/over-wasi-http && cargo fmt --all --check
    cd host/pool/fuzz && cargo fmt --all --check
    cd host/runtime/fuzz && cargo fmt --all --check
    cargo clippy --locked --workspace --all-targets -- -D warnings
    cd guest-providers && cargo native-clippy --locked --workspace -- -D warnings
    cd tests/specs && cargo clippy --locked --all-targets -- -D warnings
    cargo clippy --locked --all-targets --manifest-path benches/Cargo.toml --target-dir target -- -D warnings
    RUSTDOCFLAGS="-D warnings -A rustdoc::private-intra-doc-links" cargo doc --locked --workspace --no-deps --document-private-items
    cargo deny --offline check licenses bans sources
    cargo deny --offline --config deny.toml --manifest-path guest-providers/Cargo.toml check licenses bans sources

# Known vulnerabilities in the dependencies. Fetches the RustSec database.
audit: cargo-deny
    cargo deny check advisories

# Unoptimised it is built in a fraction of the time, and has little to do.
[private]
cargo-deny:
    @command -v cargo-deny >/dev/null || cargo install --locked --debug cargo-deny

# Formats everything.
fmt:
    cargo fmt --all
    cd guest-providers && cargo fmt --all
    cd tests/fixtures && cargo fmt --all
    cd tests/specs && cargo fmt --all
    cd benches && cargo fmt --all
    cd benches/over-wasi-http && cargo fmt --all
    cd host/pool/fuzz && cargo fmt --all
    cd host/runtime/fuzz && cargo fmt --all

# Installs the program into Cargo's folder, optimised.
install: build-guests
    cargo install --locked --path host/weir
