// SPDX-License-Identifier: Apache-2.0

package sim

import "time"

// never is a time after the end of every run.
const never = time.Duration(1<<63 - 1)

// eventKind is what is to happen.
type eventKind uint8

const (
	eventNode      eventKind = iota // arg: the node on which a call may be done
	eventCheck                      // arg: the check that is due
	eventCheckLate                  // arg: the check that got no answer
	eventFault                      // arg: the place in Scenario.Faults
	eventTick                       // every tickEvery
	eventReports                    // every reportEvery
	eventMeasure                    // the measured time begins
)

// event is something that will happen. A value of 24 bytes, so that the heap neither boxes nor allocates.
type event struct {
	at   time.Duration
	gen  uint32 // of what arg names; an event of an older one is void
	arg  int32
	kind eventKind
}

// schedule is a 4-ary heap of events: half as deep as a binary one, and the four children share a cache line or two.
type schedule []event

func (s schedule) next() time.Duration {
	if len(s) == 0 {
		return never
	}
	return s[0].at
}

func (s *schedule) push(e event) {
	h := append(*s, e)
	i := len(h) - 1
	for i > 0 {
		parent := (i - 1) / 4
		if h[parent].at <= e.at {
			break
		}
		h[i] = h[parent]
		i = parent
	}
	h[i] = e
	*s = h
}

func (s *schedule) pop() event {
	h := *s
	top, last := h[0], h[len(h)-1]
	h = h[:len(h)-1]
	*s = h
	if len(h) == 0 {
		return top
	}
	i := 0
	for {
		child := 4*i + 1
		if child >= len(h) {
			break
		}
		least := child
		for c := child + 1; c < min(child+4, len(h)); c++ {
			if h[c].at < h[least].at {
				least = c
			}
		}
		if h[least].at >= last.at {
			break
		}
		h[i] = h[least]
		i = least
	}
	h[i] = last
	return top
}

// timer is the end of a wait that is the same for everyone who waits.
type timer struct {
	at  time.Duration
	arg int32
	gen uint32
}

// line is a queue of timers. All wait equally long, so they end in the order in which they began, and no heap is needed.
type line struct {
	ring []timer
	head int
	n    int
}

func (l *line) next() time.Duration {
	if l.n == 0 {
		return never
	}
	return l.ring[l.head].at
}

func (l *line) push(t timer) {
	if l.n == len(l.ring) {
		grown := make([]timer, max(64, 2*len(l.ring)))
		for i := range l.n {
			grown[i] = l.ring[(l.head+i)&(len(l.ring)-1)]
		}
		l.ring, l.head = grown, 0
	}
	l.ring[(l.head+l.n)&(len(l.ring)-1)] = t
	l.n++
}

func (l *line) pop() timer {
	t := l.ring[l.head]
	l.head = (l.head + 1) & (len(l.ring) - 1)
	l.n--
	return t
}
