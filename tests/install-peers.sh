#!/usr/bin/env bash
# Installs the servers and proxies that the pool is proved against, Node for the clients in its language, the browser that
# opens the dashboard and the reader of metrics, where Debian's packages can be had; tells which are missing where they
# cannot. Starts none of them.
set -euo pipefail

# command : package
peers=(
    nginx:nginx-light
    nghttpd:nghttp2-server
    haproxy:haproxy
    tinyproxy:tinyproxy
    danted:dante-server
    chromium:chromium
    node:nodejs
    npm:npm
    promtool:prometheus
)

# Servers lie where an ordinary user's PATH may not lead.
export PATH="$PATH:/usr/local/sbin:/usr/sbin:/sbin"
missing=()
for peer in "${peers[@]}"; do
    command -v "${peer%%:*}" >/dev/null || missing+=("${peer##*:}")
done
[ ${#missing[@]} -gt 0 ] || exit 0

as_root=()
if [ "$(id -u)" != 0 ]; then as_root=(sudo -n); fi
if ! command -v apt-get >/dev/null || { [ ${#as_root[@]} -gt 0 ] && ! sudo -n true 2>/dev/null; }; then
    echo "the tests need these packages, which only root can install (named as Debian names them): ${missing[*]}" >&2
    exit 1
fi

# Without this, a package's first act is to start a server on a well-known port.
policy=/usr/sbin/policy-rc.d
if [ ! -e "$policy" ]; then
    trap '"${as_root[@]}" rm -f "$policy"' EXIT
    printf '#!/bin/sh\nexit 101\n' | "${as_root[@]}" tee "$policy" >/dev/null
    "${as_root[@]}" chmod 755 "$policy"
fi

echo "installing ${missing[*]}"
"${as_root[@]}" apt-get update -qq
"${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${missing[@]}" >/dev/null
