// SPDX-License-Identifier: Apache-2.0

// Package hash makes the tables by which a balancer finds the node of a key, or of a turn: Maglev, a ring of points, and the
// smooth order of weighted round robin. All are functions of names and weights alone, so that every edge makes the same ones.
//
// It knows neither requests nor whether a node can be picked: a table gives a member's index, and the caller goes on to
// the next where that one can't be used. Building takes up to a second for the largest tables; it is the caller's to do that
// where nobody waits. The tables are immutable once built, and safe for concurrent use.
//
//	m := hash.NewMaglev(members)
//	i := m.At(hash.String("session-7"), 0)
package hash

// Member is one node of a table.
type Member struct {
	Name string
	// Weight is its share relative to the others; below 1 counts as 1.
	Weight int
}

// String returns 64 well mixed bits of s: FNV-1a, finished by Mix, since FNV's upper bits depend little on the last bytes. It is no
// secret which strings collide: a stranger who chooses keys can make many fall on one node, and bounded load is what holds then.
func String[T ~string | ~[]byte](s T) uint64 {
	h := uint64(0xcbf29ce484222325)
	for i := range len(s) {
		h = (h ^ uint64(s[i])) * 0x100000001b3
	}
	return Mix(h)
}

// Mix returns 64 bits, each of which depends on all of x: splitmix64's finisher (Steele, Lea, Flood: Fast splittable
// pseudorandom number generators, 2014).
func Mix(x uint64) uint64 {
	x += 0x9e3779b97f4a7c15
	x = (x ^ x>>30) * 0xbf58476d1ce4e5b9
	x = (x ^ x>>27) * 0x94d049bb133111eb
	return x ^ x>>31
}

// weights returns the members' weights divided by their greatest common divisor, and their sum.
func weights(members []Member) (w []int, sum int) {
	w = make([]int, len(members))
	divisor := 0
	for i, m := range members {
		w[i] = max(1, m.Weight)
		divisor = gcd(divisor, w[i])
	}
	for i := range w {
		w[i] /= divisor
		sum += w[i]
	}
	return w, sum
}

func gcd(a, b int) int {
	for b != 0 {
		a, b = b, a%b
	}
	return a
}
