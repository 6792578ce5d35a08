// SPDX-License-Identifier: Apache-2.0

// Package sim simulates edges that balance requests over nodes, for the policies of others and for ours, which is
// balancer.Table itself.
//
// A run is a pure function of its Config: discrete events in virtual time, one seed, no goroutine, no waiting. Requests come
// as a Poisson process, whether the nodes keep up or not (an open loop), and take what work they draw; both depend on the
// seed alone, so policies are compared on the same requests. A Scenario says what the nodes are, when they hang, fail, slow
// down, die or join, and how many edges there are, each with a balancer of its own.
//
// Checks and ejection come from the caller as values of Checks (internal/simulate wires health.Tracker in), for health is
// another room. Retries follow the proxy's contract, under balancer.Budget. What is left out: connections, bodies, streams,
// sessions, and the time that an edge itself takes.
//
//	r := sim.Run(sim.Config{Scenario: sim.Scenarios()[0], Policy: sim.Meridian, Load: 0.8, Seed: 1})
//	fmt.Println(r.P99, r.ErrorRatio())
package sim

import (
	"time"

	"meridian/balancer"
)

// What holds for every run. The proxy's defaults where it has them.
const (
	// requestDeadline is how long a request may take in all. Shorter than the proxy's 60 s, which no scenario lasts.
	requestDeadline = 5 * time.Second
	connectTimeout  = time.Second
	checkTimeout    = time.Second
	maxTries        = 3
	retryPercent    = 20
	minRetries      = 3
	// postShare of the requests may not be sent twice once a byte was written.
	postShare = 0.2
	// network is the way to a node and back. A connect that is refused, a probe and the shortest answer take as long.
	network = 500 * time.Microsecond
	// failAfter is how soon a node that fails fast does.
	failAfter   = time.Millisecond
	tickEvery   = 100 * time.Millisecond
	reportEvery = time.Second // also how old a report is when it is read
)

// Config is one run.
type Config struct {
	Scenario *Scenario
	Policy   Policy
	// Load is the rate of arrivals as a share of the scenario's Capacity.
	Load float64
	// Seed determines the run. Arrivals, routes, edges and the work of requests are the same for all policies of one seed.
	Seed uint64
	// Checks make the checks of each edge. Nil: no checks, no ejection and no retries.
	Checks NewChecks
}

const (
	placeNone    = -1
	placeWaiting = -2
)

// call is a request on its way. Slots are used again.
type call struct {
	arrived, sent time.Duration
	work          float64 // seconds of a core
	need          float64 // of the present try: with what the node's cache adds
	goal          float64 // what the node will have attained when the try is done
	place         int32   // in the node's heap, or placeNone or placeWaiting
	node          int32
	edge          int32
	route         int32
	rif           int32  // on the node when the try came there
	gen           uint32 // of the try
	life          uint32 // of the request
	tried         [maxTries]int32
	nTried        uint8
	alive         bool
	post          bool
	retrying      bool
	measured      bool
}

// front is one edge.
type front struct {
	balancer Balancer
	ticker   Ticker
	prober   Prober
	reporter Reporter
	checks   Checks
	budget   balancer.Budget
	told     []balancer.EdgeLoad // the last report, which the others read a second later
}

type run struct {
	cfg      Config
	s        *Scenario
	now      time.Duration
	events   schedule
	rate     float64 // arrivals a second at a share of 1
	arrivals *Rand
	jitter   *Rand

	calls []call
	free  []int32
	nodes []server
	edges []*front
	steps []float64 // the sums of the edges' weights

	deadlines line     // arg: a call, gen: its life
	failures  line     // arg: a call on a node that fails fast
	refusals  line     // arg: a call whose connect is refused
	connects  line     // arg: a call whose connect gets no answer
	probes    line     // arg: edge × nodes + node
	checkGen  []uint32 // by edge × nodes + node
	checking  []bool   // a check is under way
	unended   int      // measured requests that are under way

	out Result
	lat histogram
	try Try
}

// Run simulates one run until every request that came before Scenario.To has ended; the arrivals go on so long.
func Run(cfg Config) Result {
	r := newRun(cfg)
	r.start()
	next := r.afterArrival(0)
	for {
		at := min(next, r.events.next(), r.deadlines.next(), r.failures.next(), r.refusals.next(), r.connects.next(), r.probes.next())
		if at > r.s.To && r.unended == 0 {
			break
		}
		r.now = at
		switch at {
		case r.events.next():
			r.handle(r.events.pop())
		case next:
			r.arrive()
			next = r.afterArrival(at)
		default:
			r.expire(at)
		}
	}
	return r.result()
}

// expire ends the wait that ends now.
func (r *run) expire(at time.Duration) {
	switch at {
	case r.failures.next():
		r.failed(r.failures.pop(), Failed)
	case r.refusals.next():
		r.failed(r.refusals.pop(), Refused)
	case r.connects.next():
		r.failed(r.connects.pop(), Refused)
	case r.probes.next():
		r.probed(r.probes.pop())
	case r.deadlines.next():
		if t := r.deadlines.pop(); r.calls[t.arg].alive && r.calls[t.arg].life == t.gen {
			r.leave(t.arg)
			r.ended(t.arg, TimedOut)
		}
	}
}

// failed ends a try, if it still is the one for which the wait began.
func (r *run) failed(t timer, o Outcome) {
	if c := &r.calls[t.arg]; c.alive && c.gen == t.gen {
		r.ended(t.arg, o)
	}
}

// leave takes a call off its node.
func (r *run) leave(id int32) {
	c := &r.calls[id]
	if c.place == placeNone {
		return
	}
	n := &r.nodes[c.node]
	n.advance(r.now, r)
	r.drop(n, id)
	r.plan(c.node)
}

// afterArrival returns when the next request comes: a Poisson process, thinned to the ramp.
func (r *run) afterArrival(at time.Duration) time.Duration {
	for {
		at += time.Duration(r.arrivals.Exp() / r.rate * 1e9)
		if len(r.s.Ramp) == 0 || at > r.s.To || r.arrivals.Float() < r.s.share(at) {
			return at
		}
	}
}

// arrive begins a request. Everything that it draws comes from the stream of arrivals, whatever the policy does.
func (r *run) arrive() {
	id := r.alloc()
	c := &r.calls[id]
	u := r.arrivals.Float()
	route := 0
	for route < len(r.s.Routes)-1 && u >= r.s.Routes[route].Share {
		u -= r.s.Routes[route].Share
		route++
	}
	edge, u := 0, r.arrivals.Float()
	for edge < len(r.steps)-1 && u >= r.steps[edge] {
		edge++
	}
	c.edge, c.route = int32(edge), int32(route)
	c.work = r.s.Routes[route].draw(r.arrivals)
	c.post = r.arrivals.Float() < postShare
	c.arrived, c.nTried, c.retrying = r.now, 0, false
	if c.measured = r.now >= r.s.From && r.now < r.s.To; c.measured {
		r.unended++
	}
	c.alive = true
	c.life++
	r.out.Arrived++
	r.deadlines.push(timer{at: r.now + requestDeadline, arg: id, gen: c.life})
	r.edges[edge].budget.Begin()
	r.send(id)
}

func (r *run) alloc() int32 {
	if n := len(r.free); n > 0 {
		id := r.free[n-1]
		r.free = r.free[:n-1]
		return id
	}
	r.calls = append(r.calls, call{place: placeNone})
	return int32(len(r.calls) - 1)
}

// send begins a try.
func (r *run) send(id int32) {
	c := &r.calls[id]
	e := r.edges[c.edge]
	t := r.tryOf(id)
	node := e.balancer.Pick(t, r.now)
	if node < 0 {
		r.finish(id, false)
		return
	}
	c.node, c.sent = int32(node), r.now
	c.gen++
	if e.prober != nil && c.nTried == 0 {
		for _, n := range e.prober.Probes(r.now) {
			r.probes.push(timer{at: r.now + network, arg: c.edge*int32(len(r.nodes)) + n})
		}
	}
	n := &r.nodes[node]
	wait := timer{arg: id, gen: c.gen}
	switch {
	case n.unheard:
		wait.at = r.now + connectTimeout
		r.connects.push(wait)
	case n.dead:
		wait.at = r.now + network
		r.refusals.push(wait)
	case n.failing:
		wait.at = r.now + failAfter
		r.failures.push(wait)
	default:
		n.advance(r.now, r)
		r.take(n, id)
		r.plan(c.node)
	}
}

func (r *run) tryOf(id int32) *Try {
	c := &r.calls[id]
	r.try = Try{Slot: int(id), Node: int(c.node), Route: int(c.route), Sent: c.sent, Tried: c.tried[:c.nTried]}
	return &r.try
}

// ended ends the present try: the request is answered, tried again or failed.
func (r *run) ended(id int32, o Outcome) {
	c := &r.calls[id]
	e := r.edges[c.edge]
	if c.place != placeNone {
		r.drop(&r.nodes[c.node], id)
	}
	c.gen++
	latency := r.now - c.sent
	if o == OK {
		latency += network
	}
	e.balancer.Ended(r.tryOf(id), o, latency, r.now)
	if e.checks == nil {
		r.finish(id, o == OK)
		return
	}
	if e.checks.Observe(int(c.node), o, r.now) {
		r.checkAt(c.edge, c.node, r.now)
	}
	if o == OK || o == TimedOut || !r.mayRetry(c, e, o) {
		r.finish(id, o == OK)
		return
	}
	c.tried[c.nTried] = c.node
	c.nTried++
	r.out.Retries++
	r.send(id)
}

// mayRetry is the proxy's contract: what was not sent may be sent anywhere; what was sent, only if it may be repeated and the
// budget has a place.
func (r *run) mayRetry(c *call, e *front, o Outcome) bool {
	if c.nTried >= maxTries-1 {
		return false
	}
	if o == Refused || c.retrying {
		return o == Refused || !c.post
	}
	if c.post {
		return false
	}
	c.retrying = e.budget.Retry(retryPercent, minRetries)
	return c.retrying
}

// finish ends the request. One that failed counts with its deadline, so that failing soon doesn't look like being fast.
func (r *run) finish(id int32, ok bool) {
	c := &r.calls[id]
	e := r.edges[c.edge]
	e.budget.End(ok)
	if c.retrying {
		e.budget.RetryDone()
	}
	c.alive = false
	c.life++
	r.free = append(r.free, id)
	if ok {
		r.out.Answered++
	} else {
		r.out.Failed++
	}
	if !c.measured {
		return
	}
	r.unended--
	r.out.Measured++
	if ok {
		r.lat.add(r.now - c.arrived + network)
	} else {
		r.out.Errors++
		r.lat.add(requestDeadline)
	}
}
