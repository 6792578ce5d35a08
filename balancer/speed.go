// SPDX-License-Identifier: Apache-2.0

package balancer

import (
	"math"
	"sync/atomic"
	"time"
)

const (
	// speedTau is the time constant by which a node's times are forgotten. Finagle's and Envoy's decay.
	speedTau = 10 * time.Second
	// quickWeight is the weight of one sample in the quick average. Ours: four slow answers in a row are most of it.
	quickWeight = 0.25
	// quickShare is which part of the quick average counts. From the simulation: a slow answer now and then leaves the slow average in
	// force, and a node that has become slow is noticed by its second answer.
	quickShare = 0.4
	// alikeRatio is up to which factor from the typical speed nodes count as equally fast. From the simulation: lower, and nodes
	// that are alike are told apart by chance; higher, and one twice as slow is not seen.
	alikeRatio = 1.5
	// penalty is what a failure counts as. Linkerd's. In the route's medians it is held within the bounds below.
	penalty      = 5 * time.Second
	leastPenalty = 20
	mostPenalty  = 1000
	// longestHold bounds how long a node's Retry-After is honoured.
	longestHold = 300 * time.Second
)

// speed is the failure-aware average of the ratios of a node's times to their routes' medians. Samples are taken in by one at a time;
// one that finds another at it is left out. It takes no lock.
//
// It is not the peak-EWMA of Finagle, which one late answer sets to its own time and which then takes tens of seconds to recover: with
// times that vary as those of services do, that mostly measures when a node had its last late answer. Here it is the larger of an
// average over 10 s and of two fifths of one over the last few answers, which a node that has become slow raises as fast. A failure
// counts by the square of how many of the last few were failures: one alone a little, a run of them the whole penalty.
type speed struct {
	busy   atomic.Bool
	times  atomic.Uint64 // two float32: slow average in the upper half, quick in the lower; 0: no sample
	failed atomic.Uint64 // two float32: share of failures among the last few in the upper half, penalty in the lower
	at     atomic.Int64  // of the last sample, Unix nanoseconds
	hold   atomic.Int64  // until when the node has asked to be left alone, Unix nanoseconds
	count  atomic.Uint64 // samples
}

func pair(hi, lo float64) uint64 {
	return uint64(math.Float32bits(float32(hi)))<<32 | uint64(math.Float32bits(float32(lo)))
}

func unpair(w uint64) (hi, lo float64) {
	return float64(math.Float32frombits(uint32(w >> 32))), float64(math.Float32frombits(uint32(w)))
}

// learn takes an answer's ratio in, or a failure, whose penalty is in the route's medians.
func (s *speed) learn(now int64, ratio float64, failed bool, penalty float64) {
	if !s.busy.CompareAndSwap(false, true) {
		return
	}
	defer s.busy.Store(false)
	dt := float64(max(0, now-s.at.Load()))
	slow, quick := unpair(s.times.Load())
	share, _ := unpair(s.failed.Load())
	share *= math.Exp(-dt / float64(speedTau))
	if failed {
		share += (1 - share) * quickWeight
	} else {
		share *= 1 - quickWeight
		if quick == 0 {
			slow, quick = ratio, ratio
		} else {
			least := 1 / float64(s.count.Load()+1) // at first a plain average, or the first answer would count for ten seconds
			slow += (ratio - slow) * max(1-math.Exp(-dt/float64(speedTau)), least)
			quick += (ratio - quick) * max(quickWeight, least)
		}
		s.times.Store(pair(slow, quick))
	}
	s.failed.Store(pair(share, penalty))
	s.at.Store(now)
	s.count.Add(1)
}

// value returns the ratio as of now. What is not renewed goes to typical, the tier's median, so that a node which was slow is tried
// again; a node without samples is typical.
func (s *speed) value(now int64, typical float64) float64 {
	v := typical
	fade := math.Exp(-float64(max(0, now-s.at.Load())) / float64(speedTau))
	if slow, quick := unpair(s.times.Load()); quick != 0 {
		slow = typical + (slow-typical)*fade
		v = max(slow, (slow+(quick-slow)*fade)*quickShare)
	}
	share, penalty := unpair(s.failed.Load())
	share *= fade
	v += penalty * share * share
	if now < s.hold.Load() {
		v = max(v, penalty)
	}
	return v
}

// reset forgets everything.
func (s *speed) reset() {
	s.times.Store(0)
	s.failed.Store(0)
	s.hold.Store(0)
	s.count.Store(0)
}

// penaltyOf is what a failure counts as on a route of this median.
func penaltyOf(median float64) float64 {
	return min(max(float64(penalty)/max(median, shortest), leastPenalty), mostPenalty)
}

// bucket rounds a ratio to steps of 10 %, so that nodes which are about as fast are alike.
func bucket(ratio float64) float64 {
	const step = 0.09531017980432493 // ln 1.1
	return math.Exp(step * math.Round(math.Log(max(ratio, 1e-3))/step))
}

// scoreOf returns what a speed counts as against the tier's typical one.
func scoreOf(v, typical float64) float64 {
	switch {
	case v > typical*alikeRatio:
		v /= alikeRatio
	case v < typical/alikeRatio:
		v *= alikeRatio
	default:
		v = typical
	}
	return bucket(v)
}
