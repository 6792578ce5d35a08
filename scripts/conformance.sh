#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
#
# Runs the official MCP conformance suite through an edge and directly against a worker, and compares (see
# internal/conformance). Builds both programs first. Takes the flags of internal/conformance, among them:
#   -url URL          of /mcp at an edge that runs already, instead of starting a fleet (or set URL)
#   -direct-url URL   of /mcp at a worker that runs already, instead of starting one (or set DIRECT_URL)
# Needs npm; everything else is installed below .cache.
set -eu
cd "$(dirname "$0")/.."
if [ -z "${URL:-}" ]; then go build -o bin/edge ./cmd/edge; fi
go build -o bin/backend ./cmd/backend
go build -o bin/conformance ./internal/conformance
exec bin/conformance ${URL:+-url "$URL"} ${DIRECT_URL:+-direct-url "$DIRECT_URL"} "$@"
