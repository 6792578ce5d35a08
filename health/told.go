// SPDX-License-Identifier: Apache-2.0

package health

import "time"

// Told takes in a change of what those who check a target say of it, where this edge doesn't (Settings.Rarely): it is down, or it is not.
// It is to be called once for each change, not again and again, since what this edge sees itself comes first: a target that it has
// seen fail stays down until a check of its own has passed, however well the others reach it, and one that it sees well comes back
// although others can't reach it. For one that is checked here it does nothing.
func (t *Tracker) Told(id string, down bool, reason string, now time.Time) {
	r := t.record(id)
	if r == nil {
		return
	}
	r.mu.Lock()
	if r.settings.Rarely > 0 && !r.gone {
		r.toldLocked(down, reason, now)
	}
	r.mu.Unlock()
	r.tell(t.changed)
}

func (r *record) toldLocked(down bool, reason string, now time.Time) {
	switch s := r.verdict.State; {
	case down && (s.CanPick() || s == Unknown || s == Refused):
		r.passed, r.failed, r.refused = 0, 0, false
		r.becomeLocked(Down, reason, now)
		r.told = true
	case !down && (s == Unknown || s == Down && r.told):
		r.becomeLocked(Up, reason, now)
	}
}

// Majority is the verdict of several witnesses, of which down say that a target is down, and up that it isn't: it is down if more than
// half say so. One that is cut off from the target can't take it out for all then, and one that is late, or whose word is an
// old one, can't keep it in. Where they are even it is up: who then sends to it finds out.
func Majority(up, down int) (isDown bool) { return down > up }
