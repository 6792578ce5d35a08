// SPDX-License-Identifier: Apache-2.0

package sim

import (
	"math"
	"time"
)

const (
	// coldRequests is after how many requests a cold cache is 1/e as cold: the n-th takes 1 + (Factor-1)·e^(-n/coldRequests)
	// times as long. Ours: half a minute's requests of a node that gets 10 a second, 3 s of one that gets 100.
	coldRequests = 300
	// roundSeconds is how much of a call may be left when its event comes: events come at whole nanoseconds.
	roundSeconds = 2e-9
)

// server is the state of a node.
//
// It counts in the work that each of its running calls has got since the server was last idle (attained, in seconds of a
// core). All get it at one rate, so the call that is done first is the one whose goal is least, whatever comes later.
type server struct {
	spec Node

	frozen   bool    // Hang or Vanish
	unheard  bool    // Vanish
	dead     bool    // Die, or Absent
	failing  bool    // FailFast
	slow     float64 // Slow
	coldness float64 // Factor - 1
	served   int     // calls taken since the cache was cold

	attained float64
	at       time.Duration // of attained
	running  []int32       // a binary heap of calls by goal
	waiting  line          // calls; those that left have another gen
	nWaiting int
	due      time.Duration // of the event that is scheduled, or never

	busy     float64 // seconds of cores at work
	measured float64 // of these in the measured time; before its end: until it began
	seen     *rifStats
	usage    usage
}

// rate returns how many seconds of work a running call gets in a second.
func (n *server) rate() float64 {
	if n.frozen || n.dead || len(n.running) == 0 {
		return 0
	}
	r := 1 / (n.spec.slowness() * n.slow)
	if over := float64(len(n.running)) / float64(n.spec.Cores); n.spec.Shares && over > 1 {
		r /= over
	}
	return r
}

// inFlight returns how many calls the node has.
func (n *server) inFlight() int { return len(n.running) + n.nWaiting }

// advance brings attained and busy up to now.
func (n *server) advance(now time.Duration, r *run) {
	if d := (now - n.at).Seconds(); d > 0 {
		n.attained += d * n.rate()
		n.busy += d * float64(min(len(n.running), n.spec.Cores))
		n.usage.pass(n.at, now, n.inFlight(), r.s)
	}
	n.at = now
}

// steal takes the processor for as long from all calls together, as the answer to a probe does. It costs nothing where a
// core is idle.
func (n *server) steal(work time.Duration) {
	if n.spec.Shares && len(n.running) >= n.spec.Cores {
		n.attained -= work.Seconds() / n.spec.slowness() / float64(len(n.running))
	}
}

// cold returns by how much longer the next call takes because of the cache, and counts it.
func (n *server) cold() float64 {
	if n.coldness == 0 {
		return 1
	}
	n.served++
	return 1 + n.coldness*math.Exp(-float64(n.served)/coldRequests)
}

// take begins a call, now or when a core is free. The caller has advanced the node and schedules it afterwards.
func (r *run) take(n *server, id int32) {
	c := &r.calls[id]
	c.rif = int32(n.inFlight())
	n.usage.arrive(r.now, r.s)
	c.need = c.work * n.cold()
	if !n.spec.Shares && len(n.running) >= n.spec.Cores {
		c.place = placeWaiting
		n.waiting.push(timer{arg: id, gen: c.gen})
		n.nWaiting++
		return
	}
	r.work(n, id)
}

// work puts a call among those that run.
func (r *run) work(n *server, id int32) {
	c := &r.calls[id]
	if len(n.running) == 0 {
		n.attained = 0
	}
	c.goal = n.attained + c.need
	n.running = append(n.running, id)
	r.up(n, len(n.running)-1)
}

// drop takes a call off the node that has it. The caller has advanced the node and schedules it afterwards.
func (r *run) drop(n *server, id int32) {
	c := &r.calls[id]
	switch place := c.place; {
	case place == placeNone:
		return
	case place == placeWaiting:
		n.nWaiting-- // its timer in waiting is void
	default:
		last := len(n.running) - 1
		moved := n.running[last]
		n.running = n.running[:last]
		if int(place) != last {
			n.running[place] = moved
			r.calls[moved].place = place
			r.down(n, int(place))
			r.up(n, int(r.calls[moved].place))
		}
		r.fill(n)
	}
	c.place = placeNone
}

// fill gives free cores to calls that wait.
func (r *run) fill(n *server) {
	for len(n.running) < n.spec.Cores && n.waiting.n > 0 {
		t := n.waiting.pop()
		if c := &r.calls[t.arg]; c.gen == t.gen && c.place == placeWaiting {
			n.nWaiting--
			r.work(n, t.arg)
		}
	}
}

// plan schedules the event at which the node's next call may be done. One that comes too early plans again, so that a call
// that joins or a node that becomes slower costs no event.
func (r *run) plan(i int32) {
	n := &r.nodes[i]
	rate := n.rate()
	if rate == 0 {
		return
	}
	left := (r.calls[n.running[0]].goal - n.attained) / rate
	at := n.at + time.Duration(math.Ceil(max(0, left)*1e9))
	if at < n.due {
		n.due = at
		r.events.push(event{at: at, kind: eventNode, arg: i})
	}
}

// step ends the calls that are done on a node.
func (r *run) step(i int32) {
	n := &r.nodes[i]
	if r.now != n.due {
		return // planned before an earlier one was
	}
	n.due = never
	n.advance(r.now, r)
	for len(n.running) > 0 && !n.frozen && !n.dead && r.calls[n.running[0]].goal <= n.attained+roundSeconds {
		id := n.running[0]
		if n.seen != nil {
			n.seen.add(int(r.calls[id].rif), r.now-r.calls[id].sent)
		}
		r.ended(id, OK)
	}
	r.plan(i)
}

func (r *run) up(n *server, i int) {
	h := n.running
	id := h[i]
	goal := r.calls[id].goal
	for i > 0 {
		parent := (i - 1) / 2
		if r.calls[h[parent]].goal <= goal {
			break
		}
		h[i] = h[parent]
		r.calls[h[i]].place = int32(i)
		i = parent
	}
	h[i] = id
	r.calls[id].place = int32(i)
}

func (r *run) down(n *server, i int) {
	h := n.running
	id := h[i]
	goal := r.calls[id].goal
	for {
		child := 2*i + 1
		if child >= len(h) {
			break
		}
		if child+1 < len(h) && r.calls[h[child+1]].goal < r.calls[h[child]].goal {
			child++
		}
		if r.calls[h[child]].goal >= goal {
			break
		}
		h[i] = h[child]
		r.calls[h[i]].place = int32(i)
		i = child
	}
	h[i] = id
	r.calls[id].place = int32(i)
}
