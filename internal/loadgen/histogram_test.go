// SPDX-License-Identifier: Apache-2.0

package loadgen

import (
	"math"
	"math/rand/v2"
	"slices"
	"testing"
	"time"
)

func TestAQuantileIsAtMostOneBucketAboveTheTruth(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	var h, other Histogram
	var all []time.Duration
	for i := range 20_000 {
		d := time.Duration(math.Exp(random.Float64() * 25)) // 1 ns to 72 s, each order as often as another
		all = append(all, d)
		if i%3 == 0 {
			other.Add(d)
		} else {
			h.Add(d)
		}
	}
	h.Merge(&other)
	slices.Sort(all)
	if h.Count() != len(all) {
		t.Fatalf("counted %d of %d", h.Count(), len(all))
	}
	for _, q := range []float64{0.01, 0.5, 0.9, 0.99, 0.999, 0.9999} {
		truth := all[int(math.Ceil(q*float64(len(all))))-1]
		if got := h.Quantile(q); got < truth || float64(got) > float64(truth)*(1+1.0/128) {
			t.Errorf("the %g quantile is %d, want %d and at most 0.8 %% more", q, got, truth)
		}
	}
	if h.Quantile(1) != all[len(all)-1] {
		t.Errorf("the greatest is %s, want %s", h.Quantile(1), all[len(all)-1])
	}
}

func TestEveryDurationHasABucket(t *testing.T) {
	for _, d := range []time.Duration{math.MinInt64, -1, 0, 1, 127, 128, 255, 256, 257, 511, 512, time.Hour, math.MaxInt64 - 1, math.MaxInt64} {
		i := bucket(d)
		if i < 0 || i >= buckets || highest(i) < max(d, 0) || i > 0 && highest(i-1) >= d {
			t.Errorf("%d is in bucket %d, which ends at %d", d, i, highest(i))
		}
	}
	var h Histogram
	if h.Quantile(0.5) != 0 {
		t.Error("an empty one has a quantile")
	}
	h.Add(-5)
	if h.Quantile(1) != 0 {
		t.Errorf("a negative duration counts as %s", h.Quantile(1))
	}
}
