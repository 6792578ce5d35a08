// SPDX-License-Identifier: Apache-2.0

package balancer

import (
	"testing"

	"meridian/topology"
)

func TestAPickSaysInShortByWhatItWasMade(t *testing.T) {
	pool := func(p topology.Policy) topology.Resource { return &topology.Pool{Name: "p", Policy: p} }
	full := &topology.Node{Name: "f", Capacity: topology.Capacity{Connections: 10}}
	spare := &topology.Node{Name: "o", Labels: map[string]string{"role": "overflow"}}
	for name, c := range map[string]struct {
		resources []topology.Resource
		prepare   func(*Table)
		request   Request
		want      string
	}{
		"the edge's zone":      {[]topology.Resource{pool("latency"), zoned("a", "a", 0), zoned("b", "b", 0), in("us", "u")}, nil, Request{}, "latency zone 1/3"},
		"the rest of it":       {[]topology.Resource{pool("random"), zoned("b", "b", 0), in("us", "u")}, nil, Request{}, "random region 1/2"},
		"another region":       {[]topology.Resource{pool("latency"), in("eu", "e"), in("us", "u")}, nil, Request{Tried: []topology.NodeID{"e"}}, "latency remote 2/2"},
		"a key":                {[]topology.Resource{pool("maglev"), in("eu", "e")}, nil, Request{HasKey: true, Key: 1}, "maglev region 1/1"},
		"no key":               {[]topology.Resource{pool("ring"), in("eu", "e")}, nil, Request{}, "ring region 1/1 keyless"},
		"not checked":          {[]topology.Resource{pool("latency"), in("eu", "e")}, func(t *Table) { t.SetStanding("e", StandingUnknown) }, Request{}, "latency region 1/1 unchecked"},
		"refused":              {[]topology.Resource{pool("latency"), in("eu", "e")}, func(t *Table) { t.SetStanding("e", StandingRefused) }, Request{}, "latency region 1/1 refused"},
		"panic":                {[]topology.Resource{pool("latency"), in("eu", "e")}, func(t *Table) { t.SetStanding("e", StandingDown) }, Request{}, "latency region 1/1 panic"},
		"overflow":             {[]topology.Resource{pool("latency"), spare}, nil, Request{}, "latency region 1/1 overflow"},
		"above utilization":    {[]topology.Resource{pool("latency"), full}, binds("f", 9), Request{}, "latency region 1/1 above hot"},
		"hot":                  {[]topology.Resource{pool("latency"), in("eu", "e")}, binds("e", 3), Request{}, "latency region 1/1 hot"},
		"back":                 {[]topology.Resource{pool("latency"), in("eu", "e")}, comesBack("e"), Request{}, "latency region 1/1 probe slow_start"},
		"the pool's fallback":  {[]topology.Resource{&topology.Pool{Name: "p", FallbackPool: "q"}, &topology.Pool{Name: "q"}, &topology.Node{Name: "e", Pool: "q"}}, nil, Request{}, "latency region 1/1 fallback"},
		"a part begins beyond": {[]topology.Resource{pool("latency"), in("eu", "e"), in("us", "u")}, sharesOf(0, 1), Request{}, "latency remote 2/2 share"},
	} {
		t.Run(name, func(t *testing.T) {
			tab := zonedTable(t, c.resources...)
			for _, r := range c.resources {
				if n, ok := r.(*topology.Node); ok {
					tab.SetStanding(n.Name, StandingUp)
				}
			}
			if c.prepare != nil {
				c.prepare(tab)
			}
			l := mustPick(t, tab, c.request)
			w := l.Why()
			if got := w.String(); got != c.want || w.Node != l.Node().Name {
				t.Errorf("%q on %s; want %q", got, w.Node, c.want)
			}
			l.Done(now)
			if w = l.Why(); w.String() != "" {
				t.Errorf("after Done: %q", w.String())
			}
		})
	}
}

func binds(id topology.NodeID, n int) func(*Table) {
	return func(t *Table) {
		for range n {
			t.Bind(id, now)
		}
	}
}

func comesBack(id topology.NodeID) func(*Table) {
	return func(t *Table) {
		t.SetStanding(id, StandingEjected)
		t.SetStanding(id, StandingUp)
	}
}

// sharesOf has picks begin with the tiers by these sums.
func sharesOf(upTo ...float64) func(*Table) {
	return func(t *Table) { t.view.Load().pools["p"].shares.Store(&upTo) }
}

func TestASessionsLeaseSaysThatItWasBound(t *testing.T) {
	tab := table(t, node("a"))
	l, err := tab.Bind("a", now)
	if err != nil {
		t.Fatal(err)
	}
	if w := l.Why(); w.String() != "session region 1/1" {
		t.Errorf("%q", w.String())
	}
}

func TestTheReasonOfAPickDoesNotAllocate(t *testing.T) {
	if raceEnabled {
		t.Skip("the race detector allocates")
	}
	tab := table(t, node("a"), node("b"))
	l := mustPick(t, tab, Request{})
	buf := make([]byte, 0, 128)
	if got := testing.AllocsPerRun(100, func() {
		w := l.Why()
		buf = w.Append(buf[:0])
	}); got != 0 {
		t.Errorf("%v allocations", got)
	}
}

func TestAStandingIsReadAsItIsWritten(t *testing.T) {
	for _, s := range []Standing{StandingUnknown, StandingUp, StandingDown, StandingEjected, StandingRefused} {
		b, _ := s.MarshalText()
		got := Standing(99)
		if err := got.UnmarshalText(b); err != nil || got != s {
			t.Errorf("%s is read as %s, %v", b, got, err)
		}
	}
}
