#!/usr/bin/env bash
# Breaks what is behind bin/edge, nginx and HAProxy: scripts/faults.sh [flags of internal/faults], as in -fault F2 -v.
# Installs the others from Debian's packages where they are missing. The silent partition takes root, for a network namespace.
set -euo pipefail
cd "$(dirname "$0")/.."

missing=()
need() { command -v "$1" >/dev/null 2>&1 || [ -x "/usr/sbin/$1" ] || missing+=("$2"); }
need nginx nginx-light
need haproxy haproxy
need ip iproute2
if [ ${#missing[@]} -gt 0 ]; then
  sudo=; [ "$(id -u)" = 0 ] || sudo=sudo
  $sudo apt-get update -q
  # The packages would start their services, which nobody needs here.
  $sudo env DEBIAN_FRONTEND=noninteractive RUNLEVEL=1 apt-get install -qy --no-install-recommends "${missing[@]}"
fi
export PATH="$PATH:/usr/sbin"
[ -x bin/edge ] || { echo "bin/edge is missing: run make build" >&2; exit 1; }
mkdir -p .cache
go build -o .cache/faults ./internal/faults
exec .cache/faults "$@"
