// SPDX-License-Identifier: Apache-2.0

package balancer

import (
	"container/heap"
	"math/rand/v2"
	"testing"
	"time"

	"meridian/topology"
)

// press sends a node of so many workers more than it can do, for a time, and returns the limit at its end and how much was done a second.
// Each request takes service, as long as there is a worker; what is refused is gone.
func press(t *testing.T, tab *Table, rng *rand.Rand, at time.Time, workers int, service, d time.Duration) (limit int, perSecond float64) {
	t.Helper()
	var q events
	var line []*job
	working, done := 0, 0
	rate := 1.5 * float64(workers) / service.Seconds()
	start := func(j *job, when time.Duration) {
		working++
		heap.Push(&q, event{when + time.Duration((0.5+rng.Float64())*float64(service)), 0, j})
	}
	heap.Push(&q, event{0, -1, nil})
	ticked := time.Duration(0)
	for len(q) > 0 {
		e := heap.Pop(&q).(event)
		for ; ticked <= e.at; ticked += TickInterval {
			tab.Tick(at.Add(ticked))
		}
		when := at.Add(e.at)
		if e.node < 0 {
			if e.at > d {
				continue
			}
			heap.Push(&q, event{e.at + time.Duration(rng.ExpFloat64()/rate*1e9), -1, nil})
			l, err := tab.Pick(Request{Pool: "p", Now: when, Rand: rng.Uint64()})
			if err != nil {
				continue
			}
			if j := (&job{lease: l}); working < workers {
				start(j, e.at)
			} else {
				line = append(line, j)
			}
			continue
		}
		working--
		done++
		e.job.lease.Answered(when, Outcome{})
		e.job.lease.Done(when)
		if len(line) > 0 {
			next := line[0]
			line = line[1:]
			start(next, e.at)
		}
		if e.at <= d {
			limit = tab.Explain("p")[0].Limit
		}
	}
	return limit, float64(done) / d.Seconds()
}

// TestAnAdaptiveLimitFindsWhatANodeCanDo presses a node of eight workers: the limit must come down to where the queue is short, and its
// workers must be busy all the same. Then half of them are gone, and come back.
func TestAnAdaptiveLimitFindsWhatANodeCanDo(t *testing.T) {
	rng := rand.New(rand.NewPCG(9, 9))
	tab := table(t, node("a"), &topology.Pool{Name: "p", Limit: topology.Limit{Adaptive: true}})
	at := now
	for i, workers := range []int{8, 4, 8} {
		limit, rate := press(t, tab, rng, at, workers, 10*ms, 100*time.Second)
		at = at.Add(101 * time.Second)
		if can := float64(workers) * 100; rate < 0.85*can || limit < workers || limit > 4*workers+8 {
			t.Errorf("phase %d, %d workers: limit %d, %.0f done a second of %.0f", i, workers, limit, rate, can)
		} else {
			t.Logf("phase %d, %d workers: limit %d, %.0f done a second of %.0f", i, workers, limit, rate, can)
		}
	}
}

func TestAnAdaptiveLimitKeepsToItsBoundsAndTheCapacity(t *testing.T) {
	rng := rand.New(rand.NewPCG(9, 9))
	n := &topology.Node{Name: "a", Capacity: topology.Capacity{Connections: 6}}
	tab := table(t, n, &topology.Pool{Name: "p", Limit: topology.Limit{Adaptive: true, Min: 20}})
	if limit, _ := press(t, tab, rng, now, 8, 10*ms, 3*time.Second); limit != 6 {
		t.Errorf("limit %d above the node's capacity", limit)
	}
	n.Capacity.Connections = 0
	tab.Apply(snapshot(t, n, &topology.Pool{Name: "p", Limit: topology.Limit{Adaptive: true, Min: 40, Max: 50}}), nil)
	if limit, _ := press(t, tab, rng, now.Add(time.Minute), 2, 10*ms, 3*time.Second); limit < 40 || limit > 50 {
		t.Errorf("limit %d, want 40 to 50", limit)
	}
	tab.Apply(snapshot(t, n), nil)
	tab.Tick(now.Add(2 * time.Minute))
	if c := tab.Explain("p")[0]; c.Limit != 0 {
		t.Errorf("limit %d without one", c.Limit)
	}
}

func TestAnIdleNodesLimitDoesNotGrow(t *testing.T) {
	tab := table(t, node("a"), &topology.Pool{Name: "p", Limit: topology.Limit{Adaptive: true, Max: 100_000}})
	at := now
	for range 3000 {
		l := mustPick(t, tab, Request{Now: at})
		answer(&l, &at, 10*ms, OK)
		tab.Tick(at)
	}
	if limit := tab.Explain("p")[0].Limit; limit > firstLimit {
		t.Errorf("one request at a time made it %d", limit)
	}
}
