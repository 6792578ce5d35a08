#!/usr/bin/env bash
# Runs every fuzz target of the module for the given time each: scripts/fuzz.sh 20s
set -euo pipefail
cd "$(dirname "$0")/.."
time=${1:-20s}
passed=0 failed=0
while IFS=: read -r file target; do
  pkg=./$(dirname "$file")
  echo "== $pkg $target"
  if go test "$pkg" -run "^$" -fuzzminimizetime 1x -fuzz "^$target\$" -fuzztime "$time"; then passed=$((passed + 1)); else failed=$((failed + 1)); fi
done < <(git ls-files '*_test.go' | xargs grep -HoE '^func Fuzz[A-Za-z0-9_]+' | sed 's/func //' | sort)
echo "$passed passed, $failed failed"
[ "$failed" = 0 ]
