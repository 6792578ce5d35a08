// SPDX-License-Identifier: Apache-2.0

package balancer

import (
	"time"

	"meridian/topology"
)

const (
	// stallAgain is how often Stalled names a node at most, and stallLeast how long it must have been silent. Ours: where few requests come,
	// one that takes long looks so, too, and costs a check, no more often than they are made anyway.
	stallAgain = time.Second
	stallLeast = 100 * time.Millisecond
)

// tellStall reports whether Stalled is to name the node, whose oldest request has waited for age. The caller holds Table.mu.
func (st *state) tellStall(now int64, age float64) bool {
	if age < float64(stallLeast) || now-st.stallTold < int64(stallAgain) && now >= st.stallTold {
		return false
	}
	st.stallTold = now
	return true
}

// Stalled returns the nodes at which requests wait and from which nothing comes back: found by the ticks since the last call, and
// each at most once a second. Whether they hang or have one long request is for a check to tell.
func (t *Table) Stalled() []topology.NodeID {
	t.mu.Lock()
	defer t.mu.Unlock()
	out := t.stalled
	t.stalled = nil
	return out
}
