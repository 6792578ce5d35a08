// SPDX-License-Identifier: Apache-2.0

package hash

import (
	"math/bits"
	"slices"
)

const (
	// pointsPerWeight is how many points a member has per unit of weight. nginx's and ketama's constant.
	pointsPerWeight = 160
	// mostPoints bounds a ring. Envoy's bound; 8 bytes each.
	mostPoints = 8 << 20
	// memberBits is how much of a point tells whose it is; the rest is its place. Two points in one place, of which a full ring has
	// some dozens, are in the order of their members.
	memberBits = 24
)

// Ring is a circle of points: a key belongs to the member whose point comes next.
type Ring struct {
	points []uint64 // place in the upper bits, member in the lower memberBits; sorted
	starts []int32  // by the upper bits of a place: the first point that is not before it
	shift  uint
}

// NewRing builds a ring of 160 points per unit of weight, the weights divided by their greatest common divisor; where that gives
// more than 8,388,608 points, each member has a part in proportion, and at least one. Without members it is empty.
func NewRing(members []Member) *Ring { return newRing(members, mostPoints) }

func newRing(members []Member, most float64) *Ring {
	if len(members) == 0 {
		return &Ring{}
	}
	w, sum := weights(members)
	scale := 1.0
	if want := float64(sum) * pointsPerWeight; want > most {
		scale = most / want
	}
	points := make([]uint64, 0, int(float64(sum)*pointsPerWeight*scale)+len(members))
	for i, m := range members {
		h := String(m.Name)
		for k := range uint64(max(1, float64(w[i])*pointsPerWeight*scale)) {
			points = append(points, Mix(h^Mix(k))&^(1<<memberBits-1)|uint64(i))
		}
	}
	slices.Sort(points)
	r := &Ring{points: points}
	r.index()
	return r
}

// index notes where places begin, for about each point one: then a look-up is one step and not twenty.
func (r *Ring) index() {
	size := uint(bits.Len(uint(len(r.points))))
	r.shift = 64 - size
	r.starts = make([]int32, 1<<size)
	at := 0
	for i := range r.starts {
		for at < len(r.points) && r.points[at]>>r.shift < uint64(i) {
			at++
		}
		r.starts[i] = int32(at)
	}
}

// Len returns how many points there are.
func (r *Ring) Len() int { return len(r.points) }

// Find returns the place of the key's point, for At. The ring must not be empty.
func (r *Ring) Find(key uint64) int {
	key = Mix(key) &^ (1<<memberBits - 1)
	at := int(r.starts[key>>r.shift])
	for at < len(r.points) && r.points[at] < key {
		at++
	}
	return at % len(r.points)
}

// At returns the index of the member whose point is n places after that of Find.
func (r *Ring) At(place, n int) int {
	return int(r.points[(place+n)%len(r.points)] & (1<<memberBits - 1))
}

func mulHigh(a, b uint64) uint64 {
	hi, _ := bits.Mul64(a, b)
	return hi
}
