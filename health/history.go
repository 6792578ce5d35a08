// SPDX-License-Identifier: Apache-2.0

package health

import "time"

// MaxHistory is how many changes of a target's state are kept.
const MaxHistory = 16

// Change is one change of a target's state.
type Change struct {
	At     time.Time `json:"at"`
	State  State     `json:"state"`
	Reason string    `json:"reason,omitempty"`
}

// history is the last changes, as a ring.
type history struct {
	changes []Change // at most MaxHistory
	oldest  int      // where the next one goes once it is full
}

func (h *history) add(c Change) {
	if len(h.changes) < MaxHistory {
		h.changes = append(h.changes, c)
		return
	}
	h.changes[h.oldest] = c
	h.oldest = (h.oldest + 1) % MaxHistory
}

// History returns the last changes of a target's state, at most MaxHistory, oldest first. It is nil for a target that is not known or
// not checked yet.
func (t *Tracker) History(id string) []Change {
	r := t.record(id)
	if r == nil {
		return nil
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	h := &r.history
	return append(append([]Change(nil), h.changes[h.oldest:]...), h.changes[:h.oldest]...)
}
