// SPDX-License-Identifier: Apache-2.0

package balancer

import (
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// TestPicksGoOnWhileOneOfTenThousandNodesChanges takes a node away while picks are made: none fails, and once Apply has
// returned none gets the node that is gone. It prints how long Apply and the background took, and the longest pick meanwhile, which on a busy
// machine is the scheduler's.
func TestPicksGoOnWhileOneOfTenThousandNodesChanges(t *testing.T) {
	for _, p := range allPolicies {
		t.Run(string(p), func(t *testing.T) {
			fewer := weighted(t, p, 9_999, equalWeights)
			tab := policied(t, p, 10_000, equalWeights)
			var stop, gone atomic.Bool
			var longest time.Duration
			picks := 0
			var wg sync.WaitGroup
			wg.Go(func() {
				for rng := rand.New(rand.NewPCG(1, 1)); !stop.Load(); picks++ {
					was := gone.Load()
					began := time.Now()
					l, err := tab.Pick(Request{Pool: "p", Now: began, Rand: rng.Uint64(), Key: rng.Uint64(), HasKey: true})
					took := time.Since(began)
					if err != nil || was && l.Node().Name == nodeName(9_999) {
						t.Errorf("pick %d: %v, %v", picks, l.Node(), err)
						return
					}
					l.Done(began)
					longest = max(longest, took)
				}
			})
			began := time.Now()
			work := tab.Apply(fewer, nil)
			apply := time.Since(began)
			gone.Store(true)
			if work != nil {
				work()
			}
			build := time.Since(began)
			stop.Store(true)
			wg.Wait()
			t.Logf("%s: applied in %s, with its table in %s; the longest of %d picks meanwhile took %s", p, apply, build, picks, longest)
			if n := len(tab.view.Load().nodes); n != 9_999 {
				t.Errorf("%d nodes", n)
			}
		})
	}
}
