// SPDX-License-Identifier: Apache-2.0

package balancer

import (
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

func TestTheBurstIsATenthOfASecond(t *testing.T) {
	for perSecond, want := range map[float64]int{0.5: 1, 1: 1, 10: 1, 20: 2, 1000: 100, 1e9: 1e8} {
		r := rateOf(int64(1e9 / perSecond))
		if got := int(r.tolerance/r.interval) + 1; got != want {
			t.Errorf("%v a second: a burst of %d, want %d", perSecond, got, want)
		}
	}
}

func TestConcurrentTakersShareOneRate(t *testing.T) {
	r := rateOf(int64(1e9 / 1000))
	var word, taken atomic.Int64
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			for i := range 1000 { // one second
				if r.take(&word, now.Add(time.Duration(i)*time.Millisecond).UnixNano()) {
					taken.Add(1)
				}
			}
		})
	}
	wg.Wait()
	if n := taken.Load(); n < 1000 || n > 1100 {
		t.Errorf("%d in a second at 1000 a second and a burst of 100", n)
	}
}

func TestNoBoundIsNoBound(t *testing.T) {
	var word atomic.Int64
	for range 1000 {
		if r := rateOf(0); !r.take(&word, 0) || !r.open(&word, 0) {
			t.Fatal("refused")
		}
	}
}
