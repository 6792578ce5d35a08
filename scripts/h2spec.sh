#!/usr/bin/env bash
# Installs h2spec v2.2.1 and runs it --strict against the edge's listeners, in the clear and over TLS; proxy/h2spec_test.go
# says how many of its 146 cases must pass.
set -euo pipefail
cd "$(dirname "$0")/.."
GOBIN=$PWD/.cache/bin go install github.com/summerwind/h2spec/cmd/h2spec@v2.2.1+incompatible
H2SPEC=$PWD/.cache/bin/h2spec go test -count=1 -run '^TestH2spec$' -v ./proxy
