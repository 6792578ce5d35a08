// SPDX-License-Identifier: Apache-2.0

package health

import (
	"sync"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// TestWindowCountsAsAListOfRequestsDoes holds the ring to a list of all requests.
func TestWindowCountsAsAListOfRequestsDoes(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var w window
		type request struct {
			at     int64
			failed bool
		}
		var all []request
		now := time.Unix(rapid.Int64Range(0, 1<<40).Draw(t, "start"), 0)
		for range rapid.IntRange(1, 60).Draw(t, "requests") {
			now = now.Add(time.Duration(rapid.Int64Range(0, int64(4*time.Second)).Draw(t, "pause")))
			r := request{now.Unix(), rapid.Bool().Draw(t, "failed")}
			all = append(all, r)
			w.add(now, r.failed)
			var requests, failures uint64
			for _, r := range all {
				if now.Unix()-r.at < windowSeconds {
					requests++
					if r.failed {
						failures++
					}
				}
			}
			if n, bad := w.sum(now); n != requests || bad != failures {
				t.Fatalf("got %d of %d; want %d of %d", bad, n, failures, requests)
			}
		}
	})
}

func TestWindowLosesNothingAmongGoroutines(t *testing.T) {
	var w window
	var wg sync.WaitGroup
	now := time.Unix(1_800_000_000, 0)
	for i := range 8 {
		wg.Go(func() {
			for k := range 10_000 {
				w.add(now.Add(time.Duration(k%10)*time.Second), i%2 == 0)
			}
		})
	}
	wg.Wait()
	// A bucket belongs to one second at a time, and here ten seconds take turns at ten buckets.
	if n, bad := w.sum(now.Add(9 * time.Second)); n != 80_000 || bad != 40_000 {
		t.Errorf("got %d of %d", bad, n)
	}
}

func TestABucketIsFullAtAMillion(t *testing.T) {
	var w window
	now := time.Unix(1_800_000_000, 0)
	for range countMost + 10 {
		w.add(now, true)
	}
	if n, bad := w.sum(now); n != countMost || bad != countMost {
		t.Errorf("got %d of %d", bad, n)
	}
}

func TestBansAreJitteredByAFifth(t *testing.T) {
	least, most := time.Hour, time.Duration(0)
	for i := range uint64(10_000) {
		d := jittered(10*time.Second, seedOf(i+1, "a"))
		least, most = min(least, d), max(most, d)
	}
	if least < 8*time.Second || least > 8100*time.Millisecond || most > 12*time.Second || most < 11900*time.Millisecond {
		t.Errorf("got %s to %s", least, most)
	}
	if got := jittered(10*time.Second, seedOf(0, "a")+3); got != 10*time.Second {
		t.Errorf("without bits: got %s", got)
	}
	for i := range uint64(100) {
		if got := jittered(MaxBan, seedOf(i+1, "a")); got > MaxBan {
			t.Fatalf("got %s", got)
		}
	}
}

// BenchmarkObserveSuccess is what every request costs.
func BenchmarkObserveSuccess(b *testing.B) {
	tr := NewTracker(nil)
	now := time.Unix(1_800_000_000, 0)
	tr.Apply(map[string]Settings{"a": {}}, now)
	tr.Probed("a", true, "", 0, now)
	b.ReportAllocs()
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			tr.Observe("a", Success, "", now)
		}
	})
}
