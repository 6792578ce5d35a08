#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
#
# ts-client.sh URL [TEXT]: runs the official TypeScript SDK's client against an MCP URL (see internal/tsclient) and prints
# one line of JSON. Needs node (18 or later) and npm; the SDK is installed once below .cache, at the versions of the lock file.
set -eu
root=$(cd "$(dirname "$0")/.." && pwd)
src=$root/internal/tsclient
sum=$(cat "$src/package-lock.json" | cksum | tr -d ' ')
dir=$root/.cache/tsclient/$sum
if [ ! -e "$dir/installed" ]; then
	# Installed aside and moved into place, so that two at once don't meet half of an installation.
	mkdir -p "$root/.cache/tsclient"
	tmp=$(mktemp -d "$root/.cache/tsclient/new.XXXXXX")
	trap 'rm -rf "$tmp"' EXIT
	cp "$src/package.json" "$src/package-lock.json" "$tmp/"
	(cd "$tmp" && npm ci --ignore-scripts --no-audit --no-fund --loglevel=error) >&2
	touch "$tmp/installed"
	[ -d "$dir" ] || mv "$tmp" "$dir"
fi
cp "$src/client.mjs" "$dir/client.$$.mjs"
trap 'rm -rf "${tmp:-}" "$dir/client.$$.mjs"' EXIT
node "$dir/client.$$.mjs" "$@"
