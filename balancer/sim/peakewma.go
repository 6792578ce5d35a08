// SPDX-License-Identifier: Apache-2.0

package sim

import (
	"math"
	"time"
)

// PeakEWMA is Finagle's: of two distinct random nodes the one with the lower peak-sensitive mean latency × (in flight + 1).
// As there, an end is an end, however the request ended (PeakEwma.scala).
var PeakEWMA = Policy{Name: "peak EWMA", New: func(s Setup) Balancer {
	n := len(s.Scenario.Nodes)
	return &peakEWMA{pair: pair{members: newMembers(n), rand: s.Rand}, nodes: make([]peak, n)}
}}

const (
	// peakDecay is Balancers.p2cPeakEwma's decayTime.
	peakDecay = 10 * time.Second
	// peakPenalty is what a node without history costs while it has its first request.
	peakPenalty = float64(math.MaxInt64 >> 16)
)

type peak struct {
	cost    float64 // nanoseconds
	stamp   time.Duration
	pending int
}

// observe is Metric.observe with Ema.update: a latency above the mean replaces it.
func (p *peak) observe(rtt float64, now time.Duration) {
	w := math.Exp(-float64(now-p.stamp) / float64(peakDecay))
	p.stamp = now
	if rtt > p.cost {
		p.cost = rtt
		return
	}
	p.cost = p.cost*w + rtt*(1-w)
}

func (p *peak) load(now time.Duration) float64 {
	p.observe(0, now)
	if p.cost == 0 && p.pending != 0 {
		return peakPenalty + float64(p.pending)
	}
	return p.cost * float64(p.pending+1)
}

type peakEWMA struct {
	pair
	nodes []peak
}

func (b *peakEWMA) Pick(t *Try, now time.Duration) int {
	x, y := b.draw(t)
	if x < 0 {
		return -1
	}
	if b.nodes[y].load(now) < b.nodes[x].load(now) {
		x = y
	}
	b.nodes[x].pending++
	return x
}

func (b *peakEWMA) Ended(t *Try, _ Outcome, latency, now time.Duration) {
	p := &b.nodes[t.Node]
	p.pending--
	p.observe(float64(latency), now)
}
