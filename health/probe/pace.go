// SPDX-License-Identifier: Apache-2.0

package probe

import "time"

// An edge that checks more nodes than it can check in their interval stretches the intervals of all, before checks take the processors from
// requests: a check costs some 0.3 ms. With the nodes shared out, an edge of a hundred checks some 400 of 10,000; this is for the edge that
// is alone with them. Edges' probes, and checks in transition or on doubt (Kick, Hurry), are not stretched. Both are ours.
const (
	checksPerSecond = 1000  // of those that are as they were
	firstPerSecond  = 10000 // of nodes that have come
)

// stretched returns when to check one of n targets again for which the tracker says next and whose interval is that.
func stretched(k Kind, next, interval time.Duration, n int) time.Duration {
	if k != Node || next < interval || n <= checksPerSecond {
		return next
	}
	return max(next, time.Duration(n)*time.Second/checksPerSecond)
}

// few is up to how many new targets are checked at once without being spread. Ours: a start with so few is no herd.
const few = 100

// firstDue spreads the first checks of many targets evenly over the smaller of their interval and a second, or over as long as
// firstPerSecond allows.
func firstDue(now time.Time, t Target, i, n int) time.Time {
	if n < few {
		return now
	}
	span := max(min(t.Check.WithDefaults().Interval.Std(), time.Second), time.Duration(n)*time.Second/firstPerSecond)
	return now.Add(span * time.Duration(i) / time.Duration(n))
}
