// SPDX-License-Identifier: Apache-2.0

package sim

import (
	"math"
	"testing"
	"time"

	"meridian/balancer"
)

// up makes a peer's balancer with n nodes that are up.
func up(p Policy, n int) Balancer {
	b := p.New(Setup{Scenario: &Scenario{Nodes: make([]Node, n), Routes: []Route{{Name: "all", Share: 1}}}, Rand: NewRand(1, 0)})
	for i := range n {
		b.Stand(i, true, balancer.StandingUp, 0)
	}
	return b
}

// pick picks as slot and returns the try.
func pick(b Balancer, now time.Duration, tried ...int32) *Try {
	t := &Try{Tried: tried, Sent: now}
	t.Node = b.Pick(t, now)
	return t
}

func TestRoundRobinTakesEachInTurn(t *testing.T) {
	b := up(RoundRobin, 3)
	b.Stand(1, true, balancer.StandingDown, 0)
	first := pick(b, 0).Node
	for range 4 {
		next := pick(b, 0).Node
		if next == first || next == 1 {
			t.Errorf("picked %d after %d", next, first)
		}
		first = next
	}
}

func TestNoPolicyPicksWhatIsDownOrTried(t *testing.T) {
	for _, p := range Policies() {
		b := up(p, 4)
		b.Stand(2, true, balancer.StandingDown, 0)
		for i := range 200 {
			try := pick(b, time.Duration(i)*time.Millisecond, 1)
			try.Slot = 0
			if try.Node == 1 || try.Node == 2 || try.Node < 0 {
				t.Fatalf("%s picked %d, which is down or tried", p.Name, try.Node)
			}
			b.Ended(try, OK, time.Millisecond, time.Duration(i)*time.Millisecond)
		}
		if got := pick(b, time.Second, 0, 1, 3).Node; got != -1 {
			t.Errorf("%s picked %d with all tried", p.Name, got)
		}
	}
}

func TestPeakEWMAJumpsUpAndDecaysSlowly(t *testing.T) {
	var p peak
	p.observe(100, 0)
	if p.cost != 100 {
		t.Errorf("cost %v after a peak of 100", p.cost)
	}
	p.observe(0, peakDecay)
	if want := 100 / math.E; math.Abs(p.cost-want) > 1e-9 {
		t.Errorf("cost %v a decay time later, want %v", p.cost, want)
	}
	p = peak{pending: 1}
	if p.load(0) < peakPenalty {
		t.Error("a node without history costs nothing during its first request")
	}
}

func TestLeastTimeRoundsAsNginxDoes(t *testing.T) {
	for _, c := range []struct {
		p    timed
		s    int64
		want int64
	}{
		{timed{}, 0, 20},
		{timed{responseTime: 19}, 0, 20},
		{timed{responseTime: 20}, 0, 40},
		{timed{responseTime: 45, inFlight: 2}, 0, 180},
		{timed{responseTime: 45, inFlight: 1, inFlightTime: 100}, 0, 240},
		{timed{responseTime: 9000}, 0, 5000},
		{timed{responseTime: 400}, 11, 220}, // halved once
		{timed{responseTime: 400}, 22, 120}, // twice
	} {
		if got := c.p.eta(c.s); got != c.want {
			t.Errorf("%+v at %d s: %d, want %d", c.p, c.s, got, c.want)
		}
	}
	avg := int64(0)
	average(&avg, 100)
	average(&avg, 200)
	if avg != 105 {
		t.Errorf("average %d, want 105", avg)
	}
}

func TestLeastTimeSeesAHangBeforeItEnds(t *testing.T) {
	b := up(LeastTime, 2)
	hung := pick(b, 0)
	for i := range 100 { // the other one answers
		now := time.Duration(i) * 50 * time.Millisecond
		try := pick(b, now)
		if i > 20 && try.Node == hung.Node {
			t.Fatalf("pick %d goes to the node that has answered nothing for %v", i, now)
		}
		if try.Node != hung.Node {
			b.Ended(try, OK, 10*time.Millisecond, now+10*time.Millisecond)
		}
	}
}

func TestPrequalPrefersTheFastOfTheColdAndTheIdlestOfTheHot(t *testing.T) {
	b := up(Prequal, 20).(*prequal)
	b.theta = 5
	cold, colder := &probe{rif: 5, latency: 10}, &probe{rif: 1, latency: 20}
	hot, hotter := &probe{rif: 6, latency: 1}, &probe{rif: 9, latency: 0}
	for _, c := range [][2]*probe{{cold, colder}, {cold, hot}, {colder, hotter}, {hot, hotter}} {
		if !b.better(c[0], c[1]) || b.better(c[1], c[0]) {
			t.Errorf("%+v isn't better than %+v", c[0], c[1])
		}
	}
}

func TestPrequalKeepsItsPoolYoungAndSmall(t *testing.T) {
	b := up(Prequal, 40).(*prequal)
	for i := range 100 {
		now := time.Duration(i) * time.Millisecond
		pick(b, now)
		for _, n := range b.Probes(now) {
			b.Probed(int(n), 1, time.Millisecond, now)
		}
		if len(b.pool) > prequalPool {
			t.Fatalf("%d probes in the pool", len(b.pool))
		}
	}
	if len(b.pool) < prequalPool-prequalRemove {
		t.Errorf("%d probes in the pool, want it full but for what a request removes", len(b.pool))
	}
	if got := b.uses(); got < 2 || got > 3 {
		t.Errorf("a probe is used %d times, want 2.5 = (1+1)/((1-16/40)·3-1)", got)
	}
	pick(b, 100*time.Millisecond+prequalMaxAge)
	if len(b.pool) != 0 {
		t.Errorf("%d probes are older than %v", len(b.pool), prequalMaxAge)
	}
}

func TestANodeKnowsItsMedianNearItsLoad(t *testing.T) {
	var s rifStats
	if s.median(3) != 0 {
		t.Error("a latency without a request")
	}
	for i := range 20 {
		s.add(2, time.Duration(i))
		s.add(9, time.Second)
	}
	if got := s.median(3); got != 16 { // of the last eight, 12 to 19
		t.Errorf("median %d, want 16", got)
	}
	if got := s.median(1000); got != time.Second {
		t.Errorf("median at a high load %v, want 1s", got)
	}
}
