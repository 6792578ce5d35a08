// SPDX-License-Identifier: Apache-2.0

package sim

import (
	"slices"
	"testing"
	"time"
)

func TestEventsComeInTheOrderOfTheirTimes(t *testing.T) {
	rand := NewRand(1, 0)
	var s schedule
	var want []time.Duration
	for range 20_000 {
		if len(s) > 0 && rand.Below(3) == 0 {
			slices.Sort(want)
			if got := s.pop().at; got != want[0] {
				t.Fatalf("got the event of %d, want that of %d", got, want[0])
			}
			want = want[1:]
			continue
		}
		if len(want) > 60 {
			continue
		}
		at := time.Duration(rand.Below(1000))
		s.push(event{at: at})
		want = append(want, at)
	}
	slices.Sort(want)
	for _, at := range want {
		if got := s.pop().at; got != at {
			t.Fatalf("got the event of %d, want that of %d", got, at)
		}
	}
	if s.next() != never {
		t.Errorf("an empty schedule's next event is at %d", s.next())
	}
}

func TestALineKeepsItsOrderWhileItGrows(t *testing.T) {
	var l line
	rand := NewRand(2, 0)
	pushed, popped := int32(0), int32(0)
	for range 10_000 {
		if rand.Below(5) < 3 {
			l.push(timer{arg: pushed})
			pushed++
		} else if l.n > 0 {
			if got := l.pop().arg; got != popped {
				t.Fatalf("got %d, want %d", got, popped)
			}
			popped++
		}
	}
	if l.n != int(pushed-popped) || l.n < 500 {
		t.Errorf("%d are left, want %d", l.n, pushed-popped)
	}
}

func TestQuantilesAreWithinOnePercent(t *testing.T) {
	rand := NewRand(3, 0)
	var h histogram
	var all []time.Duration
	for range 50_000 {
		d := time.Duration(rand.Exp() * float64(30*time.Millisecond))
		all = append(all, d)
		h.add(d)
	}
	slices.Sort(all)
	for _, q := range []float64{0.01, 0.5, 0.99, 0.999} {
		got, want := h.quantile(q), all[int(q*float64(len(all)))]
		if d := (got - want).Seconds() / want.Seconds(); d > 0.01 || d < -0.01 {
			t.Errorf("quantile %v: got %v, want %v", q, got, want)
		}
	}
	if bucketOf(100*time.Hour) != histogramBuckets-1 || bucketOf(-1) != 0 {
		t.Error("a latency out of range isn't in the last or the first bucket")
	}
}

func TestRandomNumbersHaveTheirMoments(t *testing.T) {
	rand := NewRand(4, 0)
	const n = 200_000
	var exp, normal, square float64
	var below [7]int
	for range n {
		exp += rand.Exp() / n
		x := rand.Normal()
		normal, square = normal+x/n, square+x*x/n
		below[rand.Below(7)]++
	}
	// Five standard deviations each.
	if exp < 0.989 || exp > 1.011 || normal < -0.0112 || normal > 0.0112 || square < 0.984 || square > 1.016 {
		t.Errorf("mean of Exp %.4f, of Normal %.4f, of its square %.4f", exp, normal, square)
	}
	for i, k := range below {
		if k < n/7-800 || k > n/7+800 {
			t.Errorf("%d came %d times of %d", i, k, n)
		}
	}
	if NewRand(1, 0).Uint64() == NewRand(1, 1).Uint64() || NewRand(1, 0).Uint64() == NewRand(2, 0).Uint64() {
		t.Error("two streams begin alike")
	}
}
