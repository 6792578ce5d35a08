// SPDX-License-Identifier: Apache-2.0

package health

import (
	"fmt"
	"math"
	"time"
)

// When a target is ejected for what it is beside others. The figures are those of Envoy's outlier detection where nothing else is
// said, over the last ten seconds.
const (
	// A failure rate of half, of at least so many requests.
	minRateRequests = 20
	// A success rate that is so many deviations below the mean, among at least so many targets of a group with as many requests each.
	successDeviations = 1.9
	minHosts          = 5
	minHostRequests   = 100
	// Ours: one error more than the others' none is no reason, however small the deviation.
	minHostFailures = 5
	// Ours: slower than three times the median of its tier, and than so many times what its nodes are off that, as often in a row.
	slowMedians  = 3
	slowMADs     = 5
	slowTimes    = 3
	minSlow      = 30
	compareEvery = 900 * time.Millisecond
)

// Slowness is how slowly a target answers beside the others of its tier, in any one unit.
type Slowness struct {
	ID string
	// S is the target's, Median that of its tier, and MAD the median of how far the tier's targets are from Median.
	S, Median, MAD float64
}

func (s Slowness) isSlow() bool {
	return s.S > slowMedians*s.Median && s.S > s.Median+slowMADs*s.MAD && s.Median > 0
}

// Compare ejects those that do much worse than the others of their group: by their success rate, or, by three calls in a row, by how
// slowly they answer. It judges at most once in 900 ms, so that a caller of once a second is not refused for being early; other calls do nothing.
func (t *Tracker) Compare(now time.Time, slow []Slowness) {
	t.mu.Lock()
	due := t.compared.IsZero() || now.Sub(t.compared) >= compareEvery || now.Before(t.compared)
	if due {
		t.compared = now
	}
	t.mu.Unlock()
	if !due {
		return
	}
	records := *t.records.Load()
	t.compareSuccess(records, now)
	t.compareSlow(records, slow, now)
}

// rate is what a target's requests of the last ten seconds came to.
type rate struct {
	r                  *record
	success            float64
	requests, failures uint64
}

func (t *Tracker) compareSuccess(records map[string]*record, now time.Time) {
	groups := map[*group][]rate{}
	for _, r := range records {
		g, ok := r.compared()
		if !ok {
			continue
		}
		if n, bad := r.window.sum(now); n >= minHostRequests {
			groups[g] = append(groups[g], rate{r, 1 - float64(bad)/float64(n), n, bad})
		}
	}
	for _, rates := range groups {
		if len(rates) < minHosts {
			continue
		}
		mean, deviation := spread(rates)
		for _, h := range rates {
			if h.failures >= minHostFailures && h.success < mean-successDeviations*deviation {
				why := fmt.Sprintf("%d of %d requests failed in %ds, while the nodes' mean is %.1f%% of success", h.failures, h.requests, windowSeconds, 100*mean)
				t.ejectFor(h.r, why, now)
			}
		}
	}
}

// spread returns the mean of success rates and their standard deviation.
func spread(rates []rate) (mean, deviation float64) {
	for _, h := range rates {
		mean += h.success
	}
	mean /= float64(len(rates))
	for _, h := range rates {
		deviation += (h.success - mean) * (h.success - mean)
	}
	return mean, math.Sqrt(deviation / float64(len(rates)))
}

func (t *Tracker) compareSlow(records map[string]*record, slow []Slowness, now time.Time) {
	seen := map[*record]Slowness{}
	for _, s := range slow {
		if r := records[s.ID]; r != nil {
			seen[r] = s
		}
	}
	for _, r := range records {
		s, ok := seen[r]
		n, _ := r.window.sum(now)
		if r.slowFor(ok && s.isSlow() && n >= minSlow) < slowTimes {
			continue
		}
		t.ejectFor(r, fmt.Sprintf("slow: %.1f times the median of its tier for %d s", s.S/s.Median, slowTimes), now)
	}
}

// slowFor counts how many times in a row the target was slow.
func (r *record) slowFor(isSlow bool) int {
	r.mu.Lock()
	defer r.mu.Unlock()
	if !isSlow || !r.verdict.CanPick() {
		r.slow = 0
		return 0
	}
	r.slow++
	return r.slow
}

// compared returns the group of a target that is to be compared: one that is picked, and has others.
func (r *record) compared() (*group, bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.group, r.comparableLocked()
}

func (r *record) comparableLocked() bool {
	return r.group != nil && r.verdict.CanPick() && r.settings.MaxFails == 0
}

// ejectFor ejects a target for what it is beside others.
func (t *Tracker) ejectFor(r *record, why string, now time.Time) {
	r.mu.Lock()
	if r.comparableLocked() && !r.gone {
		r.ejectLocked(why, now)
	}
	r.mu.Unlock()
	r.tell(t.changed)
}
