// SPDX-License-Identifier: Apache-2.0

package balancer

import (
	"sync/atomic"
	"time"
)

// longestProbe is for how long a node that is back is held to one request if that neither succeeds nor fails: it may be one that the
// node answers when it has something to say. By then the node has been up by its checks all the time.
const longestProbe = 30 * time.Second

// halfOpen is the half-open state of a node that has come back from a ban, from checks that failed or from a connection that did: it
// gets one request at a time until one has succeeded, by every policy alike, as long as another node can take the rest. Its zero value
// is closed: nothing is held back. Safe for concurrent use, without a lock.
//
// The word is 0, or a number for the time that it was opened, in the upper 15 bits of 16, with 1 while a request is out. A lease keeps
// the number, so that what was sent before the node went away says nothing of how it is now.
type halfOpen struct{ word atomic.Uint32 }

const (
	probeOut  = 1
	probeNext = 2
	probeMask = 1<<16 - 1
)

// open begins it anew: a request that is out from before is forgotten. The caller holds Table.mu. last is the word of the time before.
func (h *halfOpen) open(last *uint32) {
	if *last = (*last + probeNext) & probeMask; *last == 0 {
		*last = probeNext
	}
	h.word.Store(*last)
}

// admits reports whether take would succeed.
func (h *halfOpen) admits() bool { return h.word.Load()&probeOut == 0 }

// take takes the one place, if there is but one. The ticket is 0 where there was no need for it.
func (h *halfOpen) take() (ticket uint16, ok bool) {
	w := h.word.Load()
	if w == 0 {
		return 0, true
	}
	if w&probeOut != 0 || !h.word.CompareAndSwap(w, w|probeOut) {
		return 0, false
	}
	return uint16(w | probeOut), true
}

// pass is a ticket without a place: for a request that nobody else can take, and whose success counts as well.
func (h *halfOpen) pass() uint16 { return uint16(h.word.Load() &^ probeOut) }

// succeeded closes it, if it is still that of the ticket.
func (h *halfOpen) succeeded(ticket uint16) {
	if ticket == 0 {
		return
	}
	free := uint32(ticket) &^ probeOut
	if !h.word.CompareAndSwap(free|probeOut, 0) {
		h.word.CompareAndSwap(free, 0)
	}
}

// undecided gives the place back.
func (h *halfOpen) undecided(ticket uint16) {
	if ticket&probeOut != 0 {
		h.word.CompareAndSwap(uint32(ticket), uint32(ticket)&^probeOut)
	}
}

// isOpen reports whether the node is held to one request.
func (h *halfOpen) isOpen() bool { return h.word.Load() != 0 }

// beginProbe holds the node to one request from now on. The caller holds Table.mu.
func (st *state) beginProbe(now int64) {
	st.probe.open(&st.probes)
	st.probeSince = now
}

// endProbeLocked ends it where no answer does. The caller holds Table.mu.
func (st *state) endProbeLocked(now int64) {
	if st.probe.isOpen() && now-st.probeSince > int64(longestProbe) {
		st.probe.word.Store(0)
	}
}
