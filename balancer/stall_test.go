// SPDX-License-Identifier: Apache-2.0

package balancer

import (
	"math/rand/v2"
	"testing"
	"time"
)

// waiting returns a table of two nodes in the own region and one in another, all of known speed, where four requests wait for each of
// the own ones, and the time.
func waiting(t *testing.T) (*Table, time.Time) {
	t.Helper()
	tab := table(t, node("a"), node("b"), in("us", "u"))
	at := now
	for range 200 {
		l := mustPick(t, tab, Request{Now: at, Rand: rand.Uint64()})
		answer(&l, &at, ms, OK)
	}
	at = tab.ticks(at, time.Second)
	for range 4 {
		for _, e := range []*entry{tab.view.Load().nodes["a"], tab.view.Load().nodes["b"]} {
			if _, err := e.acquire(at.UnixNano(), nil, 0, demandHard); err != nil {
				t.Fatal(err)
			}
		}
	}
	return tab, at
}

// TestAShortStallSendsNothingToAnotherRegion has a whole region be late: by many medians of its route, which its checks would forgive,
// it keeps its work; by more than a check's patience it doesn't.
func TestAShortStallSendsNothingToAnotherRegion(t *testing.T) {
	tab, at := waiting(t)
	if at = tab.ticks(at, 900*ms); tab.Tiers("p")[0].Share != 1 {
		t.Errorf("900 ms late, the own region's share is %v", tab.Tiers("p")[0].Share)
	}
	if at = tab.ticks(at, 300*ms); tab.Tiers("p")[0].Share != 0 {
		t.Errorf("1.2 s late, the own region's share is %v", tab.Tiers("p")[0].Share)
	}
	if a := tab.Availability()[0]; a.Region != "eu" || a.A < 0 || a.A > 1 {
		t.Errorf("got %+v", a)
	}
}

// TestAnEdgeThatStoodStillBlamesNoNode has no tick come for two seconds: what it then finds unanswered may have been answered long since.
func TestAnEdgeThatStoodStillBlamesNoNode(t *testing.T) {
	tab, at := waiting(t)
	at = at.Add(2 * time.Second)
	if tab.Tick(at); tab.Tiers("p")[0].Share != 1 {
		t.Errorf("it has learned nothing yet, and the own region's share is %v", tab.Tiers("p")[0].Share)
	}
	if tab.ticks(at, 200*ms); tab.Tiers("p")[0].Share != 0 {
		t.Errorf("still silent afterwards: the own region's share is %v", tab.Tiers("p")[0].Share)
	}
}
