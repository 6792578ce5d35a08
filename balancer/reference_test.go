// SPDX-License-Identifier: Apache-2.0

package balancer

import (
	"fmt"
	"math"
	"slices"
	"testing"
	"time"

	"meridian/topology"

	"pgregory.net/rapid"
)

// reference is the pick as its documentation says it, by going through everything: no lists, no draws. It returns all nodes that a pick may
// return, and nothing where it must fail.
type reference struct {
	nodes  []refNode
	policy topology.Policy
	theta  float64
	use    float64
}

type refNode struct {
	name            topology.NodeID
	tier            int
	standing        Standing
	drained, tried  bool
	overflow        bool
	back, probed    bool // half-open; and with its one request out
	inFlight, limit int
	share, score    float64
	near            Near
	unit            float64 // mean weight of its tier
}

func (r *reference) allowed() []topology.NodeID {
	level := r.panics()
	tiers := 0
	for _, n := range r.nodes {
		tiers = max(tiers, n.tier+1)
	}
	is := func(n refNode, stage string) bool {
		up := n.standing == StandingUp && !n.overflow || n.standing == StandingEjected && level[n.tier] >= 1 || n.standing == StandingDown && level[n.tier] >= 2
		switch stage {
		case "overflow":
			return n.standing == StandingUp && n.overflow
		case "unknown":
			return n.standing == StandingUnknown
		case "refused":
			return n.standing == StandingRefused
		}
		return up
	}
	for _, demand := range []string{"soft", "hard", "least"} {
		stages := map[string][]string{"soft": {"up", "overflow"}, "hard": {"up", "overflow", "unknown"}, "least": {"up", "overflow", "refused"}}
		for _, stage := range stages[demand] {
			for tier := range tiers {
				open, all := r.open(tier, demand, func(n refNode) bool { return is(n, stage) })
				if len(open) == 0 {
					continue
				}
				best := r.best(open, all)
				if demand == "soft" && stage == "up" && level[tier] == 0 && level[tier+1] == 0 {
					rest, all := r.open(tier+1, demand, func(n refNode) bool { return is(n, stage) && n.near == NearRegion })
					best = r.relieved(best, r.best(rest, all))
				}
				return best
			}
		}
	}
	return nil
}

// open returns the nodes of a tier that can be picked, and how many there are if one could be picked that has room.
func (r *reference) open(tier int, demand string, is func(refNode) bool) (open []refNode, all int) {
	for _, n := range r.nodes {
		if n.tier != tier || !is(n) || n.drained {
			continue
		}
		all++
		limit := n.limit
		if demand == "soft" && limit > 0 {
			limit = int(math.Ceil(r.use * float64(limit)))
		}
		if !n.tried && (n.limit == 0 || n.inFlight < limit) && (demand == "least" || !n.probed) {
			open = append(open, n)
		}
	}
	return open, all
}

// relieved returns what may be picked where that is the best of a tier and the best of the rest of its region.
func (r *reference) relieved(zone, rest []topology.NodeID) []topology.NodeID {
	of := map[topology.NodeID]refNode{}
	for _, n := range r.nodes {
		of[n.name] = n
	}
	if r.policy != topology.PolicyLatency || of[zone[0]].near != NearZone {
		return zone
	}
	cost := func(n refNode) float64 { return n.score * (float64(n.inFlight) + 1) / n.share / n.unit }
	var out []topology.NodeID
	for _, z := range zone {
		stays := len(rest) == 0
		for _, o := range rest {
			n := of[z]
			waits, gain := float64(n.inFlight)/n.share-3, cost(n)-2*cost(of[o])
			if waits > -1e-6 && gain > -1e-6 {
				out = append(out, o)
			}
			stays = stays || waits < 1e-6 || gain < 1e-6 // on the border it may be either
		}
		if stays {
			out = append(out, z)
		}
	}
	return out
}

// panics returns each tier's level.
func (r *reference) panics() map[int]int {
	type count struct{ up, ejected, down int }
	counts, spare := map[int]*count{}, false
	for _, n := range r.nodes {
		if counts[n.tier] == nil {
			counts[n.tier] = &count{}
		}
		if n.drained {
			continue
		}
		switch c := counts[n.tier]; {
		case n.standing == StandingUp && n.overflow, n.standing == StandingUnknown:
			spare = true
		case n.standing == StandingUp:
			c.up++
		case n.standing == StandingEjected:
			c.ejected++
		case n.standing == StandingDown:
			c.down++
		}
	}
	rooms := 0.0
	for _, c := range counts {
		if all := c.up + c.ejected + c.down; all > 0 {
			rooms += math.Min(1, 1.4*float64(c.up)/float64(all))
		}
	}
	level := map[int]int{}
	for t, c := range counts {
		all := c.up + c.ejected + c.down
		if 2*c.up < all {
			level[t] = 1
			if 2*(c.up+c.ejected) < all && rooms < 1 && !spare {
				level[t] = 2
			}
		}
	}
	return level
}

// best returns those of the open nodes that a pick may return: where all are looked at, the best; of more all that are not worse than all
// others but one, since two distinct ones are looked at.
func (r *reference) best(open []refNode, all int) []topology.NodeID {
	scans := all <= 4 || r.policy == topology.PolicyLatency // which scans more than this test has
	var out []topology.NodeID
	for _, n := range open {
		beaten := 0
		for _, o := range open {
			if o.name != n.name && r.better(o, n) {
				beaten++
			}
		}
		if scans && beaten == 0 || !scans && (beaten < len(open)-1 || len(open) == 1) {
			out = append(out, n.name)
		}
	}
	return out
}

// better reports whether a is picked rather than b.
func (r *reference) better(a, b refNode) bool {
	rif := func(n refNode) float64 { return float64(n.inFlight) / n.share }
	if r.policy == topology.PolicyLeastRequest {
		return (float64(a.inFlight)+1)/a.share < (float64(b.inFlight)+1)/b.share-1e-9
	}
	cost := func(n refNode) float64 { return n.score * (float64(n.inFlight) + 1) / n.share }
	if math.Max(a.score/b.score, b.score/a.score) <= 1.9 {
		switch hotA, hotB := rif(a) > r.theta, rif(b) > r.theta; {
		case hotA && hotB:
			return rif(a) < rif(b)-1e-9
		case hotA != hotB:
			return hotB
		}
	}
	return cost(a) < cost(b)*(1-1e-6)
}

// TestTheFastPickAgreesWithTheSlowOne makes pools at random, and holds what Pick returns to what the reference allows.
func TestTheFastPickAgreesWithTheSlowOne(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		ref := reference{use: 0.9, policy: rapid.SampledFrom([]topology.Policy{topology.PolicyLatency, topology.PolicyLeastRequest}).Draw(rt, "policy")}
		resources := []topology.Resource{&topology.Pool{Name: "p", Policy: ref.policy}}
		n := rapid.IntRange(1, 9).Draw(rt, "nodes")
		for i := range n {
			r := refNode{
				name: nodeName(i), tier: rapid.IntRange(0, 2).Draw(rt, "tier"), drained: rapid.IntRange(0, 5).Draw(rt, "drained") == 0,
				standing: Standing(rapid.SampledFrom([]int{1, 1, 1, 0, 2, 3, 4}).Draw(rt, "standing")), overflow: rapid.IntRange(0, 5).Draw(rt, "overflow") == 0,
				tried: rapid.IntRange(0, 5).Draw(rt, "tried") == 0, inFlight: rapid.IntRange(0, 8).Draw(rt, "in flight"),
				back: rapid.IntRange(0, 2).Draw(rt, "back") == 0, score: bucket(rapid.SampledFrom([]float64{1, 1, 1, 1.3, 2, 5, 100}).Draw(rt, "score")),
			}
			x := &topology.Node{Name: r.name, Region: []topology.RegionID{"eu", "eu", "us"}[r.tier], Zone: []string{"a", "b", "a"}[r.tier], Weight: rapid.IntRange(1, 4).Draw(rt, "weight")}
			if rapid.IntRange(0, 2).Draw(rt, "bounded") == 0 {
				r.limit = rapid.IntRange(1, 10).Draw(rt, "limit")
				x.Capacity.Connections = r.limit
				r.inFlight = min(r.inFlight, r.limit)
			}
			r.back = r.back && r.standing == StandingUp
			r.probed = r.back && rapid.Bool().Draw(rt, "probed")
			if r.overflow {
				x.Labels = map[string]string{"role": "overflow"}
			}
			resources = append(resources, x)
			ref.nodes = append(ref.nodes, r)
		}
		tab := zonedTable(t, resources...)
		var tried []topology.NodeID
		drains := slices.Clone(resources)
		for i := range ref.nodes {
			r := &ref.nodes[i]
			for range r.inFlight {
				if _, err := tab.Bind(r.name, now); err != nil {
					rt.Fatal(err)
				}
			}
			if r.tried {
				tried = append(tried, r.name)
			}
			if r.drained {
				drains = append(drains, drain(string(r.name)))
			}
		}
		tab.Apply(snapshot(t, drains...), []topology.RegionID{"eu", "us"})
		tiers := map[int]int{} // the reference counts all tiers, the table those that have a node
		for i := range ref.nodes {
			r := &ref.nodes[i]
			e := tab.view.Load().nodes[r.name]
			e.state.rate(r.score)
			r.share, r.near, r.unit = e.share, e.group.near, e.group.unit()
			tiers[r.tier] = e.group.place
			if r.back {
				tab.SetStanding(r.name, StandingRefused)
			}
			tab.SetStanding(r.name, r.standing)
			if r.probed {
				e.state.probe.take()
			}
			e.state.endSlowStart()
			e.state.share.store(e.share)
		}
		for i := range ref.nodes {
			ref.nodes[i].tier = tiers[ref.nodes[i].tier]
		}
		ref.theta = leastTheta
		want := ref.allowed()
		for k := range 20 {
			l, err := tab.Pick(Request{Pool: "p", Now: now.Add(time.Second), Rand: rapid.Uint64().Draw(rt, fmt.Sprint("rand", k)), Tried: tried})
			switch {
			case err != nil && len(want) > 0:
				rt.Fatalf("%v; want one of %v", err, want)
			case err == nil && !slices.Contains(want, l.Node().Name):
				rt.Fatalf("picked %s, want one of %v: %+v", l.Node().Name, want, ref.nodes)
			}
			l.Done(now.Add(time.Second))
			for i := range ref.nodes { // what was given back must not have told anything
				tab.view.Load().nodes[ref.nodes[i].name].state.rate(ref.nodes[i].score)
			}
		}
	})
}

// TestWhatIsLearnedSurvivesChangesOfTheTopology applies other topologies between, with the same nodes and others.
func TestWhatIsLearnedSurvivesChangesOfTheTopology(t *testing.T) {
	tab := zonedTable(t, zoned("a1", "a", 100), zoned("a2", "a", 100), zoned("b1", "b", 0))
	at := tab.ticks(now, time.Second)
	for range 50 {
		l := mustPick(t, tab, Request{Now: at, Tried: []topology.NodeID{"a2", "b1"}})
		answer(&l, &at, 100*ms, OK)
		l = mustPick(t, tab, Request{Now: at, Tried: []topology.NodeID{"a1", "b1"}})
		answer(&l, &at, 10*ms, OK)
	}
	for range 95 {
		for _, n := range []topology.NodeID{"a1", "a2"} {
			if _, err := tab.Bind(n, at); err != nil {
				t.Fatal(err)
			}
		}
	}
	at = tab.ticks(at, 10*time.Second)
	state := func() string {
		s := ""
		for _, c := range tab.Explain("p") {
			if c.Node != "new" {
				s += fmt.Sprintf("%s %d %v %v %s; ", c.Node, c.InFlight, c.Score, c.RIF, c.Standing)
			}
		}
		return s + fmt.Sprint(tab.Tiers("p")[0].Share, tab.Tiers("p")[0].Speed)
	}
	before := state()
	for _, more := range [][]topology.Resource{{}, {node("new")}, {&topology.Route{Name: "r", Pool: "p"}}} {
		tab.Apply(snapshot(t, append(more, zoned("a1", "a", 100), zoned("a2", "a", 100), zoned("b1", "b", 0))...), []topology.RegionID{"eu", "us"})
		if after := state(); after != before {
			t.Errorf("before %s\nafter  %s", before, after)
		}
	}
}
