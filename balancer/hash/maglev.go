// SPDX-License-Identifier: Apache-2.0

package hash

// From Eisenbud et al., Maglev: A Fast and Reliable Software Network Load Balancer (NSDI 2016), section 3.4: a table of a prime
// size of at least 100 slots per backend keeps the backends' shares within one percent of each other.
const (
	smallMaglev    = 65_537
	largestMaglev  = 5_000_011
	slotsPerMember = 100
)

// Maglev is a table of slots: a key has one, and the slot a member.
type Maglev struct{ slots []int32 }

// NewMaglev builds a table of 65,537 slots; above 655 members, of the next prime from 100 per member on, at most 5,000,011.
// It takes memory of 4 bytes a slot, and time for each slot of a few random accesses. Without members it is empty.
func NewMaglev(members []Member) *Maglev {
	if len(members) == 0 {
		return &Maglev{}
	}
	size := maglevSize(len(members))
	m := &Maglev{slots: make([]int32, size)}
	for i := range m.slots {
		m.slots[i] = -1
	}
	next, skip := make([]int, len(members)), make([]int, len(members))
	for i, member := range members {
		h := String(member.Name)
		next[i] = int(h % uint64(size))
		skip[i] = int(Mix(h)%uint64(size-1)) + 1
	}
	order := Smooth(members)
	for filled := 0; ; {
		for _, i := range order {
			at := next[i]
			for m.slots[at] >= 0 {
				at = step(at, skip[i], size)
			}
			m.slots[at] = i
			next[i] = step(at, skip[i], size)
			if filled++; filled == size {
				return m
			}
		}
	}
}

func step(at, skip, size int) int {
	if at += skip; at >= size {
		at -= size
	}
	return at
}

// Len returns how many slots there are.
func (m *Maglev) Len() int { return len(m.slots) }

// At returns the index of the key's member, or that of its n-th alternative: random jumps, each to a slot that has nothing to do
// with the one before, so that what one member can't take is spread over all others (Chen, Coleman, Shrivastava: Revisiting
// Consistent Hashing with Bounded Loads, arXiv 1908.08762). The table must not be empty.
func (m *Maglev) At(key uint64, n int) int {
	for range n {
		key = Mix(key)
	}
	hi := mulHigh(Mix(key), uint64(len(m.slots)))
	return int(m.slots[hi])
}

func maglevSize(members int) int {
	if members <= smallMaglev/slotsPerMember {
		return smallMaglev
	}
	if members >= largestMaglev/slotsPerMember {
		return largestMaglev
	}
	n := members * slotsPerMember
	for !isPrime(n) {
		n++
	}
	return n
}

func isPrime(n int) bool {
	if n%2 == 0 {
		return n == 2
	}
	for d := 3; d*d <= n; d += 2 {
		if n%d == 0 {
			return false
		}
	}
	return n > 1
}
