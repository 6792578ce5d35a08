// SPDX-License-Identifier: Apache-2.0

package geo

import (
	"math/bits"
	"slices"
)

// runs is a partition of an address space into runs of consecutive addresses with one value each. Invariants: start[0]
// is 0, start ascends strictly, and neighbours have different ids (so that a run is as long as it can be).
type runs[K uint32 | uint64] struct {
	start []K
	id    []uint32
	// first[h] is the run that holds the address whose upper 16 bits are h and whose others are 0. It bounds the search
	// to the runs of one /16, mostly a handful.
	first []uint32
}

// width returns the number of bits in a key.
func (r *runs[K]) width() int { return bits.Len64(uint64(^K(0))) }

// add appends a run that begins at start, which must be above all before it.
func (r *runs[K]) add(start K, id uint32) {
	if n := len(r.id); n > 0 && r.id[n-1] == id {
		return
	}
	r.start = append(r.start, start)
	r.id = append(r.id, id)
}

// index builds first. To be called once, after the last add.
func (r *runs[K]) index() {
	shift := r.width() - 16
	r.first = make([]uint32, 1<<16)
	i := 0
	for h := range r.first {
		at := K(h) << shift
		for i+1 < len(r.start) && r.start[i+1] <= at {
			i++
		}
		r.first[h] = uint32(i)
	}
}

// find returns the number of the run that holds a.
func (r *runs[K]) find(a K) int {
	h := int(a >> (r.width() - 16))
	lo, hi := int(r.first[h]), len(r.start)
	if h+1 < len(r.first) {
		hi = int(r.first[h+1]) + 1
	}
	for hi-lo > 1 { // Invariant: start[lo] <= a, and a < start[hi] if there is one.
		mid := int(uint(lo+hi) >> 1)
		if r.start[mid] <= a {
			lo = mid
		} else {
			hi = mid
		}
	}
	return lo
}

// prefixBits returns the length of the largest prefix around a that lies within run i: a block that holds neither the
// last address before the run nor the first one after it, so the highest bit in which a differs from each is the bound.
func (r *runs[K]) prefixBits(i int, a K) int {
	free := r.width()
	if i > 0 {
		free = min(free, bits.Len64(uint64(a^(r.start[i]-1)))-1)
	}
	if i+1 < len(r.start) {
		free = min(free, bits.Len64(uint64(a^r.start[i+1]))-1)
	}
	return r.width() - free
}

// last returns the last key of run i.
func (r *runs[K]) last(i int) K {
	if i+1 < len(r.start) {
		return r.start[i+1] - 1
	}
	return ^K(0)
}

// replace returns r with id for all keys from first to last. The result has no index yet.
func (r *runs[K]) replace(first, last K, id uint32) runs[K] {
	i, found := slices.BinarySearch(r.start, first)
	if !found {
		i--
	}
	if r.id[i] == id && r.last(i) >= last {
		return *r
	}
	out := runs[K]{start: make([]K, 0, len(r.start)+2), id: make([]uint32, 0, len(r.id)+2)}
	for i, s := range r.start {
		e := r.last(i)
		if s < first || s > last {
			out.add(s, r.id[i])
		}
		if s > last || e < first {
			continue
		}
		out.add(max(s, first), id)
		if e > last {
			out.add(last+1, r.id[i])
		}
	}
	return out
}
