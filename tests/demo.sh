#!/usr/bin/env bash
# Indexes and searches this repository twice: through pooled adapters and a local upstream, then with no network.
# `just demo` builds what it needs and runs it.
set -euo pipefail
cd "$(dirname "$0")/.."

programs=${CARGO_TARGET_DIR:-target}/debug
folder=$(mktemp -d)
query="where are idle connections expired"
upstream=

finish() {
    [ -z "$upstream" ] || kill "$upstream" 2>/dev/null || true
    rm -rf "$folder"
}
trap finish EXIT

say() { printf '\n\033[1m%s\033[0m\n' "$*"; }
show() { say "\$ $*"; "$@"; }

# The base URL of an API on a port of its own, from the line the upstream prints when it is ready.
url_of() { sed -E "s/.*\"own_ports\":\{[^}]*\"$1\":\"([^\"]*)\".*/\1/" "$folder/upstream.json"; }

# What the upstream counted at an API's port.
counted() {
    local control address
    control=$(sed -E 's/.*"control":"([^"]*)".*/\1/' "$folder/upstream.json")
    address=${control#http://}
    address=${address%%/*}
    exec 3<>"/dev/tcp/${address%:*}/${address#*:}"
    printf 'GET /_control/stats HTTP/1.0\r\n\r\n' >&3
    sed -E "s/.*\"listeners\":\{[^}]*(\{[^}]*\},[^{]*)*\"$1\":\{\"opened\":([0-9]+).*/\2/" <&3 | tail -n 1
    exec 3>&-
}

say "A local upstream that answers as Voyage, Cohere and Qdrant do, 20 ms later"
"$programs/weir-upstream" --latency 20 --api-key demo-key >"$folder/upstream.json" &
upstream=$!
until [ -s "$folder/upstream.json" ]; do sleep 0.05; done

cat >"$folder/weir.toml" <<EOF
data_dir = "$folder/data"

[providers.voyage.config]
base_url = "$(url_of voyage)"
[providers.voyage.secrets]
api_key = { env = "DEMO_KEY" }
[providers.voyage.egress]
allow_private = ["127.0.0.1/32"]

[providers.cohere.config]
base_url = "$(url_of cohere)"
[providers.cohere.secrets]
api_key = { env = "DEMO_KEY" }
[providers.cohere.egress]
allow_private = ["127.0.0.1/32"]

[providers.qdrant.config]
base_url = "$(url_of qdrant)"
[providers.qdrant.secrets]
api_key = { env = "DEMO_KEY" }
[providers.qdrant.egress]
allow_private = ["127.0.0.1/32"]

[index]
embedding = "voyage"
store = "qdrant"
rerank = "cohere"
EOF
export DEMO_KEY=demo-key
weir() { "$programs/weir" "$@"; }

show weir --config "$folder/weir.toml" index .
show weir --config "$folder/weir.toml" search "$query" --limit 5 --pools
say "Connections the upstream saw"
for api in voyage qdrant cohere; do printf '%-8s %s\n' "$api" "$(counted "$api")"; done
kill "$upstream" && upstream=

say "The same with no network: the embedded adapters, no configuration, no key"
mkdir "$folder/empty"
weir() { env -i HOME="$folder/empty" PATH="$PATH" WEIR_DATA_DIR="$folder/embedded" "$(realpath "$programs/weir")" "$@"; }
show weir index .
show weir search "$query" --limit 5
