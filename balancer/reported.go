// SPDX-License-Identifier: Apache-2.0

package balancer

import (
	"sync/atomic"
	"time"

	"meridian/topology"
)

// Reported is what a node says of its own load with an answer, as ORCA has it (gRPC A51). Each is a share, usually 0 to 1; 0: not said.
type Reported struct {
	// Application is how much of what it can do the application does: believed before the others.
	Application float64
	// Named is the largest of the utilizations that the node gives names to, CPU that of its processors.
	Named, CPU float64
}

// utilization returns what is believed, 0 for nothing.
func (r Reported) utilization() float64 {
	for _, v := range []float64{r.Application, r.Named, r.CPU} {
		if v > 0 {
			return min(v, mostReported)
		}
	}
	return 0
}

const (
	// mostReported bounds what is believed of a node that says it does ten times what it can.
	mostReported = 10
	// reportLasts is how long a report says something of now.
	reportLasts = 10 * time.Second
	// reportWeight is the weight of one report in the average.
	reportWeight = 0.25
)

// Report takes note of what the node has said of its load with the answer. To be called after Answered. What a node is loaded with beyond
// the others of its tier counts as requests in flight that this edge does not see: other edges' and other clients'.
func (l *Lease) Report(r Reported) { l.report(r, max(l.began, l.seen)) }

// ReportLate is Report for what came behind the answer's body, which may be long after its head.
func (l *Lease) ReportLate(r Reported, now time.Time) { l.report(r, now.UnixNano()) }

func (l *Lease) report(r Reported, at int64) {
	u := r.utilization()
	if l.entry == nil || u == 0 {
		return
	}
	o := &l.entry.state.said
	if old := o.utilization.load(); old > 0 && at-o.at.Load() < int64(reportLasts) {
		u = old + (u-old)*reportWeight
	}
	o.utilization.store(u)
	o.at.Store(at)
}

// said is what a node has reported with its answers.
type said struct {
	utilization number
	at          atomic.Int64
}

// own is what a node reports of itself to the store. Guarded by Table.mu.
type own struct {
	load *topology.Load
	at   int64 // when this edge first saw it: clocks differ
}

// take takes over a snapshot's word.
func (o *own) take(n *topology.Node, now int64) {
	var l *topology.Load
	if n != nil {
		l = n.Load
	}
	if l == nil || o.load == nil || *l != *o.load {
		o.at = now
	}
	o.load = l
}

// utilizationLocked returns how much of what it can do the node says that it does, and whether it has said so lately. The caller
// holds Table.mu.
func (st *state) utilizationLocked(now int64) (float64, bool) {
	if u := st.said.utilization.load(); u > 0 && now-st.said.at.Load() < int64(reportLasts) {
		return u, true
	}
	if st.own.load != nil && st.own.load.CPU > 0 && now-st.own.at < int64(reportLasts) {
		return st.own.load.CPU, true
	}
	return 0, false
}

// exceedLocked publishes the nodes' excess load: what their utilization is above the tier's mean, in requests of which the tier's median
// node has so many in flight. The caller holds Table.mu.
func (g *group) exceedLocked(now int64, rif float64) {
	nodes := g.ready.Load().up.nodes
	sum, n := 0.0, 0
	for _, e := range nodes {
		if u, ok := e.state.utilizationLocked(now); ok {
			sum += u
			n++
		}
	}
	mean := 0.0
	if n > 0 {
		mean = sum / float64(n)
	}
	for _, e := range nodes {
		u, ok := e.state.utilizationLocked(now)
		excess := 0.0
		if ok {
			excess = max(0, u-mean) / max(mean, leastMean) * (rif + 1)
		}
		e.state.excess.store(excess)
	}
}

// leastMean keeps a tier that does next to nothing from being told apart by it. Ours.
const leastMean = 0.1
