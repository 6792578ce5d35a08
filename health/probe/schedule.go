// SPDX-License-Identifier: Apache-2.0

package probe

import (
	"container/heap"
	"math/rand/v2"
	"time"
)

// entry is a target's place in the schedule. Guarded by Prober.mu.
type entry struct {
	target Target
	due    time.Time // when to check next; meaningless while a check runs
	index  int       // in the queue, or notQueued while a check runs and after removal
	again  bool      // Kick came while a check ran
	hurry  bool      // the next check has half of its time
}

const notQueued = -1

// next takes the target that is due out of the queue. If there is none, or too many checks run, it returns after how
// long to ask again unless woken.
func (p *Prober) next(now time.Time) (*entry, Target, time.Duration) {
	p.mu.Lock()
	defer p.mu.Unlock()
	const long = time.Hour // SetTargets, Kick and finish wake Run
	if len(p.queue) == 0 || p.running >= p.cfg.MaxConcurrent {
		return nil, Target{}, long
	}
	e := p.queue[0]
	if wait := e.due.Sub(now); wait > 0 {
		return nil, Target{}, wait
	}
	heap.Pop(&p.queue)
	p.running++
	t := e.target
	if e.hurry {
		e.hurry = false
		t.Check.Timeout = t.Check.WithDefaults().Timeout / 2
	}
	return e, t, 0
}

// finish puts a target back into the queue after a check, unless it was removed meanwhile.
func (p *Prober) finish(e *entry, due time.Time) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.running--
	if p.entries[e.target.ID] == e {
		e.due = due
		if e.again {
			e.due, e.again = time.Time{}, false
		}
		heap.Push(&p.queue, e)
	}
	p.wakeUp()
}

// current reports whether the target of a running check is still one.
func (p *Prober) current(e *entry) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.entries[e.target.ID] == e
}

func (p *Prober) removeLocked(e *entry) {
	if e.index != notQueued {
		heap.Remove(&p.queue, e.index)
	}
}

func (p *Prober) wakeUp() {
	select {
	case p.wake <- struct{}{}:
	default: // a token is there already
	}
}

// jitter moves d by up to the part of it either way, so that the checks of many edges and targets do not fall into step.
func jitter(d time.Duration, part float64) time.Duration {
	most := time.Duration(float64(d) * part)
	return d - most + rand.N(2*most+1)
}

// queue is a heap of entries by due time.
type queue []*entry

func (q queue) Len() int           { return len(q) }
func (q queue) Less(i, j int) bool { return q[i].due.Before(q[j].due) }
func (q queue) Swap(i, j int) {
	q[i], q[j] = q[j], q[i]
	q[i].index, q[j].index = i, j
}

// Push implements heap.Interface.
func (q *queue) Push(x any) {
	e := x.(*entry)
	e.index = len(*q)
	*q = append(*q, e)
}

// Pop implements heap.Interface.
func (q *queue) Pop() any {
	last := len(*q) - 1
	e := (*q)[last]
	(*q)[last] = nil
	*q = (*q)[:last]
	e.index = notQueued
	return e
}
