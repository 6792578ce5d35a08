#!/usr/bin/env bash
# Measures bin/edge beside nginx, HAProxy and Caddy: scripts/bench-http.sh [flags of internal/bench], as in -rounds 9.
# Installs what it drives from Debian's packages where it is missing, and builds Caddy as a Go module: Debian's nginx,
# HAProxy and h2load speak no HTTP/3.
set -euo pipefail
cd "$(dirname "$0")/.."
CADDY=v2.11.9

missing=()
need() { command -v "$1" >/dev/null 2>&1 || [ -x "/usr/sbin/$1" ] || missing+=("$2"); }
need nginx nginx-light
need haproxy haproxy
need wrk wrk
need h2load nghttp2-client
if [ ${#missing[@]} -gt 0 ]; then
  sudo=; [ "$(id -u)" = 0 ] || sudo=sudo
  $sudo apt-get update -q
  # The packages would start their services, which the benchmark has no use for.
  $sudo env DEBIAN_FRONTEND=noninteractive RUNLEVEL=1 apt-get install -qy --no-install-recommends "${missing[@]}"
fi
export PATH="$PATH:/usr/sbin"
[ -x bin/edge ] || { echo "bin/edge is missing: run make build" >&2; exit 1; }
mkdir -p .cache
# Outside of our module, which so does not gain Caddy's dependencies.
if ! go version -m .cache/bin/caddy 2>/dev/null | grep -qE "^[[:space:]]+mod[[:space:]]+github.com/caddyserver/caddy/v2[[:space:]]+$CADDY[[:space:]]"; then
  GOBIN=$PWD/.cache/bin go install "github.com/caddyserver/caddy/v2/cmd/caddy@$CADDY"
fi
go build -o .cache/bench ./internal/bench
exec .cache/bench -caddy .cache/bin/caddy "$@"
