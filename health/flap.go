// SPDX-License-Identifier: Apache-2.0

package health

import "time"

// flapHold is how many intervals a target that has gone down again soon after it came back is held down at first. Ours.
const flapHold = 2

// downLocked takes the target out for what checks say. One that came back not long ago is held: it must have been down for a while, which
// doubles each time, before checks can bring it back, so that one that flaps changes its state ever more seldom, as bans have it for
// failing requests.
func (r *record) downLocked(reason string, now time.Time) {
	soon := max(r.settings.Ban, r.hold)
	if !r.cameUp.IsZero() && now.Sub(r.cameUp) <= soon {
		r.hold = min(max(2*r.hold, flapHold*r.settings.Interval), MaxBan)
	} else {
		r.hold = 0
	}
	r.heldUntil = now.Add(r.hold)
	r.becomeLocked(Down, reason, now)
}

// heldLocked reports whether a target that is down and passes its checks is to wait. The first that comes back of a group of which
// nobody can be picked doesn't.
func (r *record) heldLocked(now time.Time) bool { return now.Before(r.heldUntil) && r.group.any() }

// any reports whether a member can be picked.
func (g *group) any() bool {
	if g == nil {
		return false
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.pickable > 0
}
