// SPDX-License-Identifier: Apache-2.0

package health

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"
)

// Describe returns the verdict in a line for people, as of now: "down for 3s: 2 checks in a row failed: status 503
// (4 checks, 2 failed)".
func (v Verdict) Describe(now time.Time) string {
	var b strings.Builder
	b.WriteString(v.State.String())
	if !v.Since.IsZero() {
		fmt.Fprintf(&b, " for %s", now.Sub(v.Since).Round(time.Millisecond))
	}
	if v.Reason != "" {
		b.WriteString(": " + v.Reason)
	}
	fmt.Fprintf(&b, " (%d checks, %d failed", v.Checks, v.Failures)
	if v.Refuted > 0 {
		fmt.Fprintf(&b, ", %d refuted", v.Refuted)
	}
	b.WriteString(")")
	return b.String()
}

// Describe returns a line for every target, sorted by id, as of now.
func (t *Tracker) Describe(now time.Time) string {
	all := t.All()
	var b strings.Builder
	for _, id := range slices.Sorted(maps.Keys(all)) {
		fmt.Fprintf(&b, "%s: %s\n", id, all[id].Describe(now))
	}
	return b.String()
}
