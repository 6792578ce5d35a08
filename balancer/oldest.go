// SPDX-License-Identifier: Apache-2.0

package balancer

import (
	"math/bits"
	"sync/atomic"
	"time"
)

const (
	// ageClasses are the classes of routes by their median: below 256 µs, below 512 µs and so on to 4 s and more.
	ageClasses = 16
	// ageSlots is how many slots a class has, each of one of the class's medians: a request that is older than all of them is
	// kept apart from new ones by its start.
	ageSlots    = 32
	agePerClass = 128 * time.Microsecond // the shortest median of the second class is twice that
	countBits   = 19
	timeShift   = 16 // starts are kept in steps of 65 µs
	untimed     = 0xffff
)

// ages knows how old the oldest request is that waits for its answer's first byte, by class of its route's median: memory of
// 256 bytes for each class that a node has seen, however many requests there are. It takes no lock.
//
// A slot holds how many requests that began in its time still wait, and when the first of them began. When time comes round to a
// slot where one still waits, it keeps the older start, which is the oldest's as long as that one waits, and is given up when all
// of the slot's have ended.
type ages struct {
	classes [ageClasses]atomic.Pointer[[ageSlots]atomic.Uint64]
}

// ageClass returns the class of a route by its median. One of which nothing is known yet is taken for slow: nothing on it is late.
func ageClass(median float64) int {
	if median == 0 {
		median = float64(time.Second)
	}
	return min(ageClasses-1, bits.Len64(uint64(max(0, median))/uint64(agePerClass*2)))
}

// medianOf returns the middle of a class, in nanoseconds.
func medianOf(class int) float64 { return 1.4142 * float64(agePerClass<<class) }

// begin counts a request that starts to wait, and returns its slot for end.
func (a *ages) begin(class int, now int64) uint16 {
	slots := a.classes[class].Load()
	if slots == nil {
		a.classes[class].CompareAndSwap(nil, &[ageSlots]atomic.Uint64{})
		slots = a.classes[class].Load()
	}
	i := uint64(now) / uint64(agePerClass<<class) % ageSlots
	for {
		old := slots[i].Load()
		next := old + 1
		if old&(1<<countBits-1) == 0 {
			next = uint64(now)>>timeShift<<countBits | 1
		} else if next&(1<<countBits-1) == 0 {
			return untimed // half a million wait already
		}
		if slots[i].CompareAndSwap(old, next) {
			return uint16(class*ageSlots + int(i))
		}
	}
}

// end takes the request out.
func (a *ages) end(slot uint16) {
	if slot != untimed {
		a.classes[slot/ageSlots].Load()[slot%ageSlots].Add(^uint64(0))
	}
}

// oldest returns the age of the oldest request that waits, in medians of its class and in nanoseconds, or zeros. Of several classes it is the
// one of most medians.
func (a *ages) oldest(now int64) (medians, age float64) {
	for c := range a.classes {
		slots := a.classes[c].Load()
		if slots == nil {
			continue
		}
		began := uint64(1<<64 - 1)
		for i := range slots {
			if w := slots[i].Load(); w&(1<<countBits-1) != 0 {
				began = min(began, w>>countBits)
			}
		}
		if began != 1<<64-1 {
			if d := float64(now - int64(began<<timeShift)); d/medianOf(c) > medians {
				medians, age = d/medianOf(c), d
			}
		}
	}
	return medians, age
}
