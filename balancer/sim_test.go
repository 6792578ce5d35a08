// SPDX-License-Identifier: Apache-2.0

package balancer

import (
	"container/heap"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"meridian/topology"
)

// play is a small simulation: requests come at random to nodes that work on a few at a time, first come, first served. It is for
// comparing policies within these tests.
type play struct {
	policy  topology.Policy
	workers int             // of each node
	service []time.Duration // mean time of a request at each node
	load    float64         // of all nodes' capacity
	seconds int
	// fault may change what happens to a request: its time, and whether it fails at once.
	fault func(node int, at time.Duration) (factor float64, fails bool)
}

type event struct {
	at   time.Duration
	node int // -1: a request comes
	job  *job
}

type job struct {
	came  time.Duration
	lease Lease
	fails bool
}

type events []event

func (e events) Len() int           { return len(e) }
func (e events) Less(i, j int) bool { return e[i].at < e[j].at }
func (e events) Swap(i, j int)      { e[i], e[j] = e[j], e[i] }
func (e *events) Push(x any)        { *e = append(*e, x.(event)) }
func (e *events) Pop() any          { x := (*e)[len(*e)-1]; *e = (*e)[:len(*e)-1]; return x }

// played is what clients saw.
type played struct {
	p50, p99, p999 time.Duration
	failed, total  int
	share          []int // requests by node
}

func (p play) run(t testing.TB, seed uint64) played {
	n := len(p.service)
	tab := policied(t, p.policy, n, equalWeights)
	rng := rand.New(rand.NewPCG(seed, 3))
	capacity := 0.0 // requests a second
	for _, s := range p.service {
		capacity += float64(p.workers) / s.Seconds()
	}
	rate := p.load * capacity
	queues, working := make([][]*job, n), make([]int, n)
	var q events
	push := func(e event) { heap.Push(&q, e) }
	push(event{0, -1, nil})
	index := map[topology.NodeID]int{}
	for i := range n {
		index[nodeName(i)] = i
	}
	var times []time.Duration
	out := played{share: make([]int, n)}
	start := func(i int, j *job, at time.Duration) {
		working[i]++
		factor, fails := 1.0, false
		if p.fault != nil {
			factor, fails = p.fault(i, at)
		}
		took := time.Duration(rng.ExpFloat64() * float64(p.service[i]) * factor)
		if j.fails = fails; fails {
			took = 100 * time.Microsecond
		}
		push(event{at + took, i, j})
	}
	end, ticked := time.Duration(p.seconds)*time.Second, time.Duration(0)
	for len(q) > 0 {
		e := heap.Pop(&q).(event)
		for ; ticked <= e.at && ticked < 2*end; ticked += TickInterval {
			tab.Tick(now.Add(ticked))
		}
		if e.at > 2*end {
			break
		}
		at := now.Add(e.at)
		if e.node < 0 {
			if e.at > end {
				continue
			}
			push(event{e.at + time.Duration(rng.ExpFloat64()/rate*1e9), -1, nil})
			l, err := tab.Pick(Request{Pool: "p", Now: at, Rand: rng.Uint64()})
			if err != nil {
				t.Fatal(err)
			}
			i := index[l.Node().Name]
			j := &job{came: e.at, lease: l}
			out.share[i]++
			if working[i] < p.workers {
				start(i, j, e.at)
			} else {
				queues[i] = append(queues[i], j)
			}
			continue
		}
		working[e.node]--
		if e.at > 0 {
			kind := OK
			if e.job.fails {
				kind = Failed
				out.failed++
			}
			e.job.lease.Answered(at, Outcome{Kind: kind})
			e.job.lease.Done(at)
			times = append(times, e.at-e.job.came)
		}
		if len(queues[e.node]) > 0 {
			next := queues[e.node][0]
			queues[e.node] = queues[e.node][1:]
			start(e.node, next, e.at)
		}
	}
	for i := range queues {
		for range queues[i] {
			times = append(times, 2*end)
		}
	}
	slices.Sort(times)
	at := func(q float64) time.Duration { return times[min(len(times)-1, int(q*float64(len(times))))] }
	out.p50, out.p99, out.p999, out.total = at(0.5), at(0.99), at(0.999), len(times)
	return out
}

func repeat(n int, of ...time.Duration) []time.Duration {
	var out []time.Duration
	for i := range n {
		out = append(out, of[i%len(of)])
	}
	return out
}

const ms = time.Millisecond

// plays are the situations, and how large latency's 99 % quantile may be at most, of least_request's.
var plays = []struct {
	name string
	play
	bound float64
}{
	{"alike, 0.5", play{workers: 4, service: repeat(10, 10*ms), load: 0.5, seconds: 20}, 1.05},
	{"alike, 0.8", play{workers: 4, service: repeat(10, 10*ms), load: 0.8, seconds: 20}, 1.05},
	{"alike, 0.95", play{workers: 4, service: repeat(10, 10*ms), load: 0.95, seconds: 20}, 1.05},
	{"four with one worker, 0.8", play{workers: 1, service: repeat(4, 5*ms), load: 0.8, seconds: 60}, 1.05},
	{"half 16 times slower, 0.5", play{workers: 4, service: repeat(10, 10*ms, 160*ms), load: 0.5, seconds: 20}, 0.1},
	{"half 16 times slower, 0.8", play{workers: 4, service: repeat(10, 10*ms, 160*ms), load: 0.8, seconds: 20}, 0.1},
	{"half 16 times slower, 0.95", play{workers: 4, service: repeat(10, 10*ms, 160*ms), load: 0.95, seconds: 20}, 0.1},
	{"one browns out", play{workers: 4, service: repeat(10, 10*ms), load: 0.6, seconds: 30, fault: func(node int, at time.Duration) (float64, bool) {
		if node == 3 && at > 10*time.Second && at < 20*time.Second {
			return 50, false
		}
		return 1, false
	}}, 1.05},
	{"one hangs", play{workers: 4, service: repeat(10, 10*ms), load: 0.6, seconds: 30, fault: func(node int, at time.Duration) (float64, bool) {
		if node == 3 && at > 10*time.Second && at < 14*time.Second {
			return 1000, false
		}
		return 1, false
	}}, 1.05},
	{"one fails fast", play{workers: 4, service: repeat(10, 10*ms), load: 0.6, seconds: 30, fault: func(node int, at time.Duration) (float64, bool) {
		return 1, node == 3 && at > 10*time.Second
	}}, 1.05},
}

// TestLatencyIsNotWorseThanLeastRequest plays each situation with both. Their time is not the clock's: one seed has one result.
func TestLatencyIsNotWorseThanLeastRequest(t *testing.T) {
	for i, p := range plays {
		if raceEnabled && i%4 != 0 {
			continue // there is one goroutine: the race detector has nothing to find, and is slow
		}
		p.policy = topology.PolicyLatency
		ours := p.run(t, 1)
		p.policy = topology.PolicyLeastRequest
		theirs := p.run(t, 1)
		t.Logf("%-28s p50 %5.1f and %5.1f, p99 %6.1f and %8.1f, p99.9 %6.1f and %8.1f, failed %d and %d of %d", p.name, inMS(ours.p50), inMS(theirs.p50),
			inMS(ours.p99), inMS(theirs.p99), inMS(ours.p999), inMS(theirs.p999), ours.failed, theirs.failed, ours.total)
		if float64(ours.p99) > p.bound*float64(theirs.p99) {
			t.Errorf("%s: the 99 %% quantile is %s, least_request's %s", p.name, ours.p99, theirs.p99)
		}
		if ours.failed > theirs.failed/100 {
			t.Errorf("%s: %d failed of %d; least_request's %d", p.name, ours.failed, ours.total, theirs.failed)
		}
	}
}

func inMS(d time.Duration) float64 { return float64(d) / float64(ms) }
