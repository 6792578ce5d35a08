// SPDX-License-Identifier: Apache-2.0

package sim

import (
	"math"
	"slices"
	"time"

	"meridian/balancer"
)

// Prequal is the asynchronous one of Wydrowski, Kleinberg, Rumble and Archer (NSDI 2024, arXiv 2312.10172), with the paper's
// constants: of the probed nodes that are cold, below a quantile of requests in flight, the one with the least latency; if
// none is, the one with the fewest requests. Its heuristics against nodes that fail fast are not published and left out.
var Prequal = Policy{Name: "Prequal", New: func(s Setup) Balancer {
	n := len(s.Scenario.Nodes)
	return &prequal{members: newMembers(n), rand: s.Rand}
}}

// From the paper.
const (
	prequalPool     = 16
	prequalMaxAge   = time.Second
	prequalProbes   = 3    // for each request
	prequalRemove   = 1    // of the pool for each request
	prequalDelta    = 1    // δ
	prequalQuantile = 0.84 // 2^-0.25
)

const (
	// prequalRecent is of how many probes θ is the quantile. Ours: four pools.
	prequalRecent = 64
	// probeWork is what a probe's answer costs a core. Ours: the least that an RPC does, a twentieth of a millisecond.
	probeWork = 50 * time.Microsecond
)

// probe is an entry of the pool.
type probe struct {
	node    int32
	rif     int
	latency time.Duration
	at      time.Duration
	uses    int // how often it may still be used
}

type prequal struct {
	members
	rand    *Rand
	pool    []probe
	recent  []int // rings of the last probes' requests in flight
	next    int
	theta   int
	oldest  bool // the next removal takes the oldest, else the worst
	targets []int32
	scratch []int32
	sorted  []int
}

func (b *prequal) Stand(node int, present bool, s balancer.Standing, _ time.Duration) {
	b.stand(node, present, s)
	b.pool = slices.DeleteFunc(b.pool, func(p probe) bool { return !b.has(p.node) })
}

func (b *prequal) Pick(t *Try, now time.Duration) int {
	b.pool = slices.DeleteFunc(b.pool, func(p probe) bool { return now-p.at > prequalMaxAge })
	best := -1
	if len(b.pool) >= 2 {
		for i := range b.pool {
			if !contains(t.Tried, b.pool[i].node) && (best < 0 || b.better(&b.pool[i], &b.pool[best])) {
				best = i
			}
		}
	}
	node := -1
	if best >= 0 {
		node = int(b.pool[best].node)
		b.use(best)
	} else if b.scratch = append(b.scratch[:0], b.untried(t, b.scratch)...); len(b.scratch) > 0 {
		node = int(b.scratch[b.rand.Below(len(b.scratch))])
	}
	if len(t.Tried) == 0 {
		for range prequalRemove {
			b.remove()
		}
	}
	return node
}

// better is the rule of hot and cold.
func (b *prequal) better(p, q *probe) bool {
	hot, qHot := p.rif > b.theta, q.rif > b.theta
	switch {
	case hot != qHot:
		return !hot
	case hot:
		return p.rif < q.rif
	}
	return p.latency < q.latency
}

// use counts the request on the probes of its node, and the use of the probe.
func (b *prequal) use(i int) {
	node := b.pool[i].node
	for k := range b.pool {
		if b.pool[k].node == node {
			b.pool[k].rif++
		}
	}
	if b.pool[i].uses--; b.pool[i].uses <= 0 {
		b.pool = slices.Delete(b.pool, i, i+1)
	}
}

// remove takes the oldest and the worst out in turn.
func (b *prequal) remove() {
	if len(b.pool) == 0 {
		return
	}
	out := 0
	for i := range b.pool {
		if b.oldest && b.pool[i].at < b.pool[out].at || !b.oldest && b.better(&b.pool[out], &b.pool[i]) {
			out = i
		}
	}
	b.oldest = !b.oldest
	b.pool = slices.Delete(b.pool, out, out+1)
}

// uses returns how often a probe may be used: b_reuse of the paper, rounded up or down at random.
func (b *prequal) uses() int {
	n := float64(len(b.ready))
	rate := (1-prequalPool/n)*prequalProbes - prequalRemove
	if rate <= 0 {
		return math.MaxInt32 // probes come in more slowly than they are removed
	}
	x := max(1, (1+prequalDelta)/rate)
	k := int(x)
	if b.rand.Float() < x-float64(k) {
		k++
	}
	return k
}

// Probes implements Prober: distinct random nodes.
func (b *prequal) Probes(time.Duration) []int32 {
	b.targets = b.targets[:0]
	k := min(prequalProbes, len(b.ready))
	for len(b.targets) < k {
		if n := b.ready[b.rand.Below(len(b.ready))]; !contains(b.targets, n) {
			b.targets = append(b.targets, n)
		}
	}
	return b.targets
}

// Probed implements Prober.
func (b *prequal) Probed(node, inFlight int, latency, now time.Duration) {
	if !b.has(int32(node)) {
		return
	}
	b.learn(inFlight)
	if len(b.pool) >= prequalPool {
		oldest := 0
		for i := range b.pool {
			if b.pool[i].at < b.pool[oldest].at {
				oldest = i
			}
		}
		b.pool = slices.Delete(b.pool, oldest, oldest+1)
	}
	b.pool = append(b.pool, probe{node: int32(node), rif: inFlight, latency: latency, at: now, uses: b.uses()})
}

// learn brings θ up to date, every few probes: sorting for each would take most of a run.
func (b *prequal) learn(rif int) {
	if len(b.recent) < prequalRecent {
		b.recent = append(b.recent, rif)
	} else {
		b.recent[b.next] = rif
	}
	b.next = (b.next + 1) % prequalRecent
	if b.next%8 == 0 || len(b.recent) < 8 {
		b.sorted = append(b.sorted[:0], b.recent...)
		slices.Sort(b.sorted)
		b.theta = b.sorted[int(prequalQuantile*float64(len(b.sorted)-1))]
	}
}

func (b *prequal) Ended(*Try, Outcome, time.Duration, time.Duration) {}

// rifStats is what a node knows of its latencies: those of the last requests by how many others they found there.
type rifStats struct {
	last [64][8]time.Duration
	n    [64]int
}

func (s *rifStats) add(rif int, latency time.Duration) {
	rif = min(rif, len(s.last)-1)
	s.last[rif][s.n[rif]%8] = latency
	s.n[rif]++
}

// median returns the median of the latencies that requests had which found about rif others.
func (s *rifStats) median(rif int) time.Duration {
	rif = min(rif, len(s.last)-1)
	for d := range s.last {
		for _, at := range [2]int{rif - d, rif + d} {
			if at >= 0 && at < len(s.last) && s.n[at] > 0 {
				sorted := s.last[at]
				known := sorted[:min(8, s.n[at])]
				slices.Sort(known)
				return known[len(known)/2]
			}
		}
	}
	return 0
}
