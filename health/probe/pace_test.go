// SPDX-License-Identifier: Apache-2.0

package probe

import (
	"testing"
	"time"
)

func TestManyNodesAreCheckedLessOften(t *testing.T) {
	const interval = time.Second
	for _, c := range []struct {
		name string
		kind Kind
		next time.Duration
		n    int
		want time.Duration
	}{
		{"few nodes keep their interval", Node, interval, 1000, interval},
		{"10,000 are checked every ten seconds", Node, interval, 10000, 10 * time.Second},
		{"a longer interval stays", Node, time.Minute, 10000, time.Minute},
		{"one in transition is not kept waiting", Node, 100 * time.Millisecond, 10000, 100 * time.Millisecond},
		{"nor an edge", Edge, interval, 10000, interval},
	} {
		if got := stretched(c.kind, c.next, interval, c.n); got != c.want {
			t.Errorf("%s: after %s, want %s", c.name, got, c.want)
		}
	}
}

func TestFirstChecksOfManyAreSpread(t *testing.T) {
	now := time.Now()
	for n, want := range map[int]time.Duration{50: 0, 1000: time.Second, 10000: time.Second, 30000: 3 * time.Second} {
		if got := firstDue(now, Target{}, n, n).Sub(now); got != want {
			t.Errorf("the last of %d is first checked after %s, want %s", n, got, want)
		}
	}
}
