// SPDX-License-Identifier: Apache-2.0

package balancer

import (
	"cmp"
	"math"
	"slices"
	"time"
)

// TickInterval is how often Tick is to be called.
const TickInterval = 100 * time.Millisecond

const (
	// mostLooked is of how many nodes of a tier quantiles are made; of more, every second, third and so on is looked at.
	mostLooked = 1024
	// usualAge is up to how many medians an oldest request may be old without a word: of four that wait, with times that vary as those
	// of services do, one is commonly that old. A tier whose median is above half of it has its own usual age.
	usualAge = 2
	// picksKept is over how many ticks picks are counted: one second.
	picksKept = int(time.Second / TickInterval)
)

// Tick works out what picks go by and what changes with time: each tier's θ and median, each node's score. It is to be called about
// every TickInterval. It takes the table's lock, but no pick waits for that. It takes about 100 ns a node.
func (t *Table) Tick(now time.Time) {
	t.mu.Lock()
	defer t.mu.Unlock()
	last := t.now
	t.now = now.UnixNano()
	t.stood = last != 0 && t.now-last > stoodTicks*int64(TickInterval)
	for _, p := range t.view.Load().pools {
		for _, g := range p.groups {
			g.tickLocked(t)
			g.tier.room.follow(g.load(p.isLastNear(g)).room(), t.now-last)
		}
		p.shareLocked()
	}
	if t.now-t.settled >= int64(time.Second) || t.now < t.settled {
		t.measureLocked()
	}
}

// scratch is memory that ticks use again.
type scratch struct {
	a, b, c []float64
	speeds  []weightedSpeed
}

type weightedSpeed struct{ value, weight float64 }

// tickLocked works out what the tier's picks go by. The caller holds Table.mu.
func (g *group) tickLocked(t *Table) {
	for _, e := range g.all {
		e.state.rollLocked()
		if e.state.watchLocked(t.now, t.stood) {
			t.stalled = append(t.stalled, e.node.Name)
		}
		e.state.endProbeLocked(t.now)
		e.shareOutLocked(t.now)
		e.adaptLocked(t.now)
		e.limitLocked(t.edges)
	}
	g.endSlowStartLocked(t.now)
	g.scoreLocked(t.now, &t.scratch)
	g.loadLocked(t.now, &t.scratch)
}

// rollLocked moves the seconds over which picks and requests in flight are watched. The caller holds Table.mu.
func (st *state) rollLocked() {
	inFlight, _ := st.out()
	st.tick = (st.tick + 1) % len(st.inFlightAt)
	st.inFlightAt[st.tick] = uint32(inFlight)
	i := st.tick % picksKept
	st.picksBefore.Store(st.picksAt[i])
	st.picksAt[i] = st.picks.Load()
	st.rateAt[st.tick%len(st.rateAt)] = float32(st.perSecond())
}

const (
	// stallMedians is how many of a route's medians the oldest request must have waited, and half of that no answer have come, for a node
	// to be taken as stalled; stallWaits is how many must wait. Ours: one slow request is none, and so is a node that answers others
	// meanwhile. Of exponential times 1.6 % are longer. From simulation: with 10, a zone that is lost takes a third more requests with it.
	stallMedians = 6
	stallWaits   = 3
	// farStall is the least time that makes it one before work leaves the region: ten medians of a fast route are gone with a process
	// that waits for its processor, and the way costs more than that. Ours: it is after what time a check fails, and says the same.
	farStall = time.Second
	// stoodTicks is after how many missing ticks this process is taken to have stood still itself: the answers may be here, unread.
	stoodTicks = 3
	// failingShare is from which part of failures among a node's last few answers on it is as good as gone.
	failingShare = 0.5
)

// watchLocked notes how old the oldest request is that waits, and whether the node does anything at all: health's checks will say so, too,
// but a second later, in which a whole zone's requests would be lost with the zone. stood says that this process stood still until
// now: then silence is its own. The caller holds Table.mu.
//
// It reports whether that is to be told: see Stalled.
func (st *state) watchLocked(now int64, stood bool) (tell bool) {
	var age float64
	st.oldest, age = st.ages.oldest(now)
	inFlight, _ := st.out()
	silent := float64(now - st.speed.at.Load())
	share, _ := unpair(st.speed.failed.Load())
	share *= math.Exp(-max(0, silent) / float64(slowTau))
	fails := share > failingShare
	nothing := !stood && st.oldest > stallMedians && silent > age/2
	stalls := nothing && inFlight >= stallWaits
	st.lost, st.farLost = fails || stalls, fails || stalls && age > float64(farStall)
	return nothing && st.tellStall(now, age)
}

// scoreLocked publishes every node's score, the tier's medians, and by what nodes are drawn. The caller holds Table.mu.
func (g *group) scoreLocked(now int64, mem *scratch) {
	l := &g.ready.Load().up
	t := g.tier
	typical := t.typical.load()
	if typical == 0 {
		typical = 1
	}
	speeds, olds := mem.speeds[:0], mem.b[:0]
	step := 1 + len(l.nodes)/mostLooked
	for i, e := range l.nodes {
		st := e.state
		st.value = st.speed.value(now, typical)
		if i%step == 0 {
			olds = append(olds, st.oldest)
			if st.speed.answers.Load() > 0 {
				speeds = append(speeds, weightedSpeed{st.value, 1 + float64(st.picks.Load()-st.picksBefore.Load())})
			}
		}
	}
	mem.speeds, mem.b = speeds, olds
	if len(speeds) > 0 {
		typical = g.mediansLocked(speeds, mem)
	}
	t.typical.store(typical)
	usual := max(usualAge, 2*quantile(olds, 0.5))
	if t.warming.Load() {
		usual = max(usual, warmingAge)
	}
	weights := mem.c[:0]
	for _, e := range l.nodes {
		score := scoreOf(max(t.tempered(e.state.value, typical), typical*e.state.oldest/usual), typical)
		e.state.rate(score)
		weights = append(weights, e.share/(score*score))
	}
	mem.c = weights
	t.median.store(bucket(typical))
	if _, ok := g.pool.policy.(latency); !ok || len(weights) <= lookAll {
		return
	}
	t.sampler.Store(newSampler(l, weights))
}

// mediansLocked works out the tier's median speed, and returns the median over its requests: with most nodes slow, most requests
// are nevertheless where they are not, and that is what a node is held against. It sorts speeds. The caller holds Table.mu.
func (g *group) mediansLocked(speeds []weightedSpeed, mem *scratch) float64 {
	slices.SortFunc(speeds, func(a, b weightedSpeed) int { return cmp.Compare(a.value, b.value) })
	values, sum := mem.a[:0], 0.0
	for _, s := range speeds {
		values = append(values, s.value)
		sum += s.weight
	}
	mem.a = values
	middle := values[(len(values)-1)/2]
	g.tier.middle.store(middle)
	g.tier.deviation.store(deviation(values, middle))
	half := sum / 2
	for _, s := range speeds {
		if half -= s.weight; half <= 0 {
			return s.value
		}
	}
	return middle
}

// loadLocked publishes from how many requests in flight on a node is hot. The caller holds Table.mu.
func (g *group) loadLocked(now int64, mem *scratch) {
	l := &g.ready.Load().up
	rifs := mem.a[:0]
	step := 1 + len(l.nodes)/mostLooked
	for i := 0; i < len(l.nodes); i += step {
		st := l.nodes[i].state
		inFlight, _ := st.out()
		rifs = append(rifs, (float64(inFlight)+st.excess.load())/st.share.load())
	}
	mem.a = rifs
	g.exceedLocked(now, quantile(rifs, 0.5))
	crowd := g.tier.crowd.load()
	g.tier.crowd.store(crowd + (quantile(rifs, 0.5)-crowd)/float64(picksKept))
	g.tier.theta.store(quantile(rifs, hotQuantile))
}

// typicalScore returns the tier's median score, 1 before anything is known.
func (t *tier) typicalScore() float64 {
	if m := t.median.load(); m > 0 {
		return m
	}
	return 1
}

// quantile sorts v and returns the value below which the share q of it is, 0 for nothing.
func quantile(v []float64, q float64) float64 {
	if len(v) == 0 {
		return 0
	}
	slices.Sort(v)
	return v[min(len(v)-1, int(q*float64(len(v))))]
}

// deviation returns the median of how far the values are from their median. It changes v.
func deviation(v []float64, median float64) float64 {
	for i := range v {
		v[i] = math.Abs(v[i] - median)
	}
	return quantile(v, 0.5)
}
