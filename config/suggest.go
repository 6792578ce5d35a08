// SPDX-License-Identifier: Apache-2.0

package config

import (
	"maps"
	"slices"
	"strings"
)

// didYouMean returns "; did you mean …?" with the known name that is nearest to the one written, or the whole list where
// none is near.
func didYouMean(written string, known map[string]int) string {
	best, least := "", 3 // at most two slips
	names := slices.Sorted(maps.Keys(known))
	for _, name := range names {
		if plainForm(written) == plainForm(name) {
			return "; did you mean " + name + "?"
		}
		if d := distance(written, name); d < least && d*2 < len(name) {
			best, least = name, d
		}
	}
	if best != "" {
		return "; did you mean " + best + "?"
	}
	return "; there are " + strings.Join(names, ", ")
}

// plainForm lets healthCheck and health-check stand for health_check.
func plainForm(s string) string {
	if len(s) > maxSuggestBytes {
		return s
	}
	return strings.ToLower(strings.ReplaceAll(strings.ReplaceAll(s, "_", ""), "-", ""))
}

// maxSuggestBytes bounds the names that are compared: no field's name is nearly as long.
const maxSuggestBytes = 40

// distance counts the slips between two names: a letter added, left out, changed, or two neighbours swapped.
func distance(a, b string) int {
	if len(a) > maxSuggestBytes || len(b) > maxSuggestBytes {
		return maxSuggestBytes
	}
	var rows [maxSuggestBytes + 1][maxSuggestBytes + 1]int
	for i := range len(a) + 1 {
		for j := range len(b) + 1 {
			if i == 0 || j == 0 {
				rows[i][j] = i + j
				continue
			}
			change := 1
			if a[i-1] == b[j-1] {
				change = 0
			}
			rows[i][j] = min(rows[i-1][j]+1, rows[i][j-1]+1, rows[i-1][j-1]+change)
			if i > 1 && j > 1 && a[i-1] == b[j-2] && a[i-2] == b[j-1] {
				rows[i][j] = min(rows[i][j], rows[i-2][j-2]+1)
			}
		}
	}
	return rows[len(a)][len(b)]
}
