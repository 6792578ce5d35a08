// SPDX-License-Identifier: Apache-2.0

package sim

import (
	"time"

	"meridian/balancer"
)

func newRun(cfg Config) *run {
	s := cfg.Scenario
	r := &run{
		cfg: cfg, s: s, rate: cfg.Load * s.Capacity(),
		arrivals: NewRand(cfg.Seed, streamArrivals), jitter: NewRand(cfg.Seed, streamJitter),
		nodes: make([]server, len(s.Nodes)),
	}
	edges := s.Edges
	if len(edges) == 0 {
		edges = []Edge{{Weight: 1}}
	}
	total, sum := 0, 0
	for _, e := range edges {
		total += e.Weight
	}
	for i, e := range edges {
		sum += e.Weight
		r.steps = append(r.steps, float64(sum)/float64(total))
		b := cfg.Policy.New(Setup{Scenario: s, Edge: i, Retries: cfg.Checks != nil, Rand: NewRand(cfg.Seed, streamBalancers+uint64(i))})
		f := &front{balancer: b}
		f.ticker, _ = b.(Ticker)
		f.prober, _ = b.(Prober)
		f.reporter, _ = b.(Reporter)
		r.edges = append(r.edges, f)
	}
	r.checkGen = make([]uint32, len(edges)*len(s.Nodes))
	r.checking = make([]bool, len(r.checkGen))
	return r
}

// The streams of a seed.
const (
	streamArrivals uint64 = iota
	streamJitter
	streamBalancers // and one for each further edge
)

func (r *run) start() {
	probed := r.edges[0].prober != nil
	for i, spec := range r.s.Nodes {
		r.nodes[i] = server{spec: spec, slow: 1, due: never, dead: spec.Absent}
		if probed {
			r.nodes[i].seen = &rifStats{}
		}
	}
	for e := range r.edges {
		if r.cfg.Checks != nil {
			r.edges[e].checks = r.cfg.Checks(len(r.nodes), func(node int, s balancer.Standing) {
				r.edges[e].balancer.Stand(node, true, s, r.now)
			})
		}
		for i, n := range r.s.Nodes {
			if !n.Absent {
				r.enter(int32(e), int32(i))
			}
		}
	}
	for i, f := range r.s.Faults {
		r.events.push(event{at: f.At, kind: eventFault, arg: int32(i)})
	}
	r.events.push(event{at: tickEvery, kind: eventTick})
	r.events.push(event{at: reportEvery, kind: eventReports})
	r.events.push(event{at: r.s.From, kind: eventMeasure})
	r.events.push(event{at: r.s.To, kind: eventMeasure})
}

// enter brings a node into an edge's topology. The first check is before the first request.
func (r *run) enter(edge, node int32) {
	e := r.edges[edge]
	if e.checks == nil {
		e.balancer.Stand(int(node), true, balancer.StandingUp, r.now)
		return
	}
	e.balancer.Stand(int(node), true, balancer.StandingUnknown, r.now)
	e.checks.Target(int(node), r.now)
	r.check(edge*int32(len(r.nodes)) + node)
}

func (r *run) handle(e event) {
	switch e.kind {
	case eventNode:
		r.step(e.arg)
	case eventCheck:
		if r.checkGen[e.arg] == e.gen {
			r.check(e.arg)
		}
	case eventCheckLate:
		if r.checkGen[e.arg] == e.gen {
			r.checked(e.arg, false)
		}
	case eventFault:
		r.fault(&r.s.Faults[e.arg])
	case eventTick:
		for i := range r.edges {
			if t := r.edges[i].ticker; t != nil {
				t.Tick(r.now)
			}
		}
		r.events.push(event{at: r.now + tickEvery, kind: eventTick})
	case eventReports:
		r.report()
		r.events.push(event{at: r.now + reportEvery, kind: eventReports})
	case eventMeasure:
		r.measureWork(r.now == r.s.From)
	}
}

// measureWork begins or ends the time in which the work of nodes is counted.
func (r *run) measureWork(begin bool) {
	for i := range r.nodes {
		n := &r.nodes[i]
		n.advance(r.now, r)
		n.measured = n.busy - n.measured
		if begin {
			n.measured = n.busy
		}
	}
}

// check checks a node. One that is well answers at once: what a check takes then decides nothing.
func (r *run) check(arg int32) {
	r.checkGen[arg]++
	n := &r.nodes[int(arg)%len(r.nodes)]
	if n.frozen {
		r.checking[arg] = true
		r.events.push(event{at: r.now + checkTimeout, kind: eventCheckLate, arg: arg, gen: r.checkGen[arg]})
		return
	}
	r.checked(arg, !n.dead)
}

func (r *run) checked(arg int32, ok bool) {
	edge, node := int(arg)/len(r.nodes), int(arg)%len(r.nodes)
	r.checking[arg] = false
	next := r.edges[edge].checks.Checked(node, ok, r.now)
	next = time.Duration(float64(next) * (0.9 + 0.2*r.jitter.Float()))
	r.checkAt(int32(edge), int32(node), r.now+next)
}

// checkAt has a node checked then instead of when it was planned. A check that is under way goes on.
func (r *run) checkAt(edge, node int32, at time.Duration) {
	arg := edge*int32(len(r.nodes)) + node
	if r.checking[arg] {
		return
	}
	r.checkGen[arg]++
	r.events.push(event{at: at, kind: eventCheck, arg: arg, gen: r.checkGen[arg]})
}

func (r *run) fault(f *Fault) {
	for _, i := range f.Nodes {
		n := &r.nodes[i]
		n.advance(r.now, r)
		switch f.Kind {
		case Hang:
			n.frozen = true
		case Resume:
			n.frozen = false
		case Slow:
			n.slow = f.Factor
		case FailFast:
			n.failing = true
		case Mend:
			n.failing = false
		case Vanish:
			n.frozen, n.unheard = true, true
		case Die:
			r.die(n, int32(i))
		case Start, Join:
			n.dead, n.served, n.coldness = false, 0, f.Factor-1
			if f.Kind == Join {
				for e := range r.edges {
					r.enter(int32(e), int32(i))
				}
			}
		}
		r.plan(int32(i))
	}
}

// die breaks off what a node has.
func (r *run) die(n *server, i int32) {
	n.dead = true
	for id := range r.calls {
		if c := &r.calls[id]; c.alive && c.node == i && c.place != placeNone {
			r.ended(int32(id), Failed)
		}
	}
}

func (r *run) probed(t timer) {
	edge, node := int(t.arg)/len(r.nodes), int(t.arg)%len(r.nodes)
	n := &r.nodes[node]
	if n.frozen || n.dead {
		return // no answer within the probe's timeout
	}
	n.advance(r.now, r)
	n.steal(probeWork)
	rif := n.inFlight()
	r.edges[edge].prober.Probed(node, rif, n.seen.median(rif), r.now)
}

// report has every edge read what the others said a second ago, and say what it has now.
func (r *run) report() {
	if len(r.edges) == 1 || r.edges[0].reporter == nil {
		return
	}
	var others []balancer.EdgeLoad
	for i, e := range r.edges {
		others = others[:0]
		for k, other := range r.edges {
			if k != i {
				others = append(others, other.told...)
			}
		}
		e.reporter.Reported(others)
	}
	for _, e := range r.edges {
		e.told = e.reporter.Report()
	}
}
