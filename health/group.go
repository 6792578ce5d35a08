// SPDX-License-Identifier: Apache-2.0

package health

import "sync/atomic"

// group counts the targets of one Settings.Group that can be picked, so that the last of them is never ejected, also when
// two fail at the same moment. A nil group has no last one.
type group struct{ pickable atomic.Int64 }

func (g *group) add(n int64) {
	if g != nil {
		g.pickable.Add(n)
	}
}

// release takes one target that can be picked out of the group, or reports false where it is the last.
func (g *group) release() bool {
	if g == nil {
		return true
	}
	for {
		n := g.pickable.Load()
		if n <= 1 {
			return false
		}
		if g.pickable.CompareAndSwap(n, n-1) {
			return true
		}
	}
}
