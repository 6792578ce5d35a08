// SPDX-License-Identifier: Apache-2.0

package balancer

import (
	"math"
	"sync/atomic"
	"time"
)

const (
	// speedTau is the time constant of the slow average, and that by which a node's times are forgotten while it gets nothing. Ours: with
	// many edges, each of which sends a node a few requests a second, longer ones show queues of the others that are long gone.
	speedTau = 4 * time.Second
	// slowTau is by what a node is forgotten that is more than four times slower than typical: that is no queue. Finagle's and Envoy's decay.
	slowTau    = 10 * time.Second
	fourSlower = 1.386 // ln 4
	// quickWeight is the weight of one sample in the quick average. Ours: four slow answers in a row are most of it.
	quickWeight = 0.25
	// quickTau bounds it by the time since the last one: the answers that waited behind one slow request come all at once, and are one event.
	// Ours. From simulation: without it, short requests behind one of a second take their node out for ten.
	quickTau = time.Second
	// quickShare is the logarithm of which part of the quick average counts. From simulation: a slow answer now and then leaves the slow
	// average in force, and a node that has become slow is noticed by its second answer.
	quickShare = -0.5
	// alikeRatio is up to which factor from the typical speed nodes count as equally fast. From simulation: lower, and nodes that are
	// alike are told apart by chance; higher, and the queues that other edges make are not seen.
	alikeRatio = 1.1
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
// average over 4 s and of three fifths of one over the last few answers, which a node that has become slow raises as fast. Both are of
// logarithms: of a route whose answers take a millisecond or a second, a mean is the share of the long ones. A failure counts by the
// square of how many of the last few were failures: one alone a little, a run of them the whole penalty.
type speed struct {
	busy    atomic.Bool
	times   atomic.Uint64 // two float32: slow average of the ratios' logarithms in the upper half, quick in the lower
	failed  atomic.Uint64 // two float32: share of failures among the last few in the upper half, penalty in the lower
	at      atomic.Int64  // of the last sample, Unix nanoseconds
	hold    atomic.Int64  // until when the node has asked to be left alone, Unix nanoseconds
	count   atomic.Uint64 // samples
	answers atomic.Uint64 // those of them that are no failures
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
	share *= math.Exp(-dt / float64(slowTau))
	if failed {
		share += (1 - share) * quickWeight
	} else {
		share *= 1 - quickWeight
		v := math.Log(max(ratio, 1e-6))
		least := 1 / float64(s.answers.Add(1)) // at first a plain average, or the first answer would count for ten seconds
		slow += (v - slow) * max(1-math.Exp(-dt/float64(speedTau)), least)
		quick += (v - quick) * max(min(quickWeight, 1-math.Exp(-dt/float64(quickTau))), least)
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
	idle := float64(max(0, now-s.at.Load()))
	long := math.Exp(-idle / float64(slowTau))
	if s.answers.Load() > 0 {
		slow, quick := unpair(s.times.Load())
		usual, fade := math.Log(typical), long
		if max(slow, quick+quickShare) < usual+fourSlower {
			fade = math.Exp(-idle / float64(speedTau))
		}
		slow = usual + (slow-usual)*fade
		v = math.Exp(max(slow, slow+(quick-slow)*fade+quickShare))
	}
	share, penalty := unpair(s.failed.Load())
	share *= long
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
	s.answers.Store(0)
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
