// SPDX-License-Identifier: Apache-2.0

package hash

import (
	"fmt"
	"math"
	"slices"
	"sort"
	"testing"

	"pgregory.net/rapid"
)

func members(n int, weight func(int) int) []Member {
	out := make([]Member, n)
	for i := range out {
		out[i] = Member{Name: fmt.Sprintf("node-%d", i), Weight: weight(i)}
	}
	return out
}

func one(int) int { return 1 }

func TestMaglevsSizesAreTheOnesOfThePaper(t *testing.T) {
	for n, want := range map[int]int{1: 65537, 655: 65537, 656: 65609, 1000: 100003, 10_000: 1_000_003, 50_000: 5_000_011, 500_000: 5_000_011} {
		if got := maglevSize(n); got != want || !isPrime(got) {
			t.Errorf("%d members: %d slots, want %d", n, got, want)
		}
	}
}

func TestMaglevSharesFollowWeights(t *testing.T) {
	m := NewMaglev(members(10, func(i int) int { return 1 + i%3 }))
	count := make([]int, 10)
	for _, s := range m.slots {
		count[s]++
	}
	for i, n := range count {
		want := float64(m.Len()) * float64(1+i%3) / 19
		if math.Abs(float64(n)-want) > 0.01*want+1 {
			t.Errorf("member %d has %d slots, want about %.0f", i, n, want)
		}
	}
}

// TestMaglevDisruption takes one of 100 members away: its keys must move, and of the others' at most two in a hundred.
func TestMaglevDisruption(t *testing.T) {
	all := members(100, one)
	before, after := NewMaglev(all), NewMaglev(slices.Delete(slices.Clone(all), 50, 51))
	moved, kept := 0, 0
	for k := range 100_000 {
		key := String(fmt.Sprint("key", k))
		was, is := all[before.At(key, 0)].Name, 0
		if is = after.At(key, 0); is >= 50 {
			is++
		}
		switch {
		case was == all[50].Name:
		case was != all[is].Name:
			moved++
		default:
			kept++
		}
	}
	if share := float64(moved) / float64(moved+kept); share > 0.02 {
		t.Errorf("%.2f %% of the keys of members that stayed have moved", 100*share)
	} else {
		t.Logf("%.2f %% of the keys of members that stayed have moved", 100*share)
	}
}

func TestARingMovesOnlyTheKeysOfWhoLeft(t *testing.T) {
	all := members(50, one)
	before, after := NewRing(all), NewRing(all[:49])
	for k := range 20_000 {
		key := String(fmt.Sprint("key", k))
		was, is := before.At(before.Find(key), 0), after.At(after.Find(key), 0)
		if was != 49 && was != is {
			t.Fatalf("key %d went from %d to %d, though 49 left", k, was, is)
		}
	}
}

// TestTheRingAgreesWithASearch compares the indexed look-up with a binary search over all points.
func TestTheRingAgreesWithASearch(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		n := rapid.IntRange(1, 40).Draw(t, "members")
		w := rapid.SliceOfN(rapid.IntRange(1, 20), n, n).Draw(t, "weights")
		r := NewRing(members(n, func(i int) int { return w[i] }))
		for range 100 {
			key := rapid.Uint64().Draw(t, "key")
			want := sort.Search(r.Len(), func(i int) bool { return r.points[i] >= Mix(key)&^(1<<memberBits-1) }) % r.Len()
			if got := r.Find(key); got != want {
				t.Fatalf("key %x: place %d, want %d", key, got, want)
			}
		}
	})
}

func TestARingHasItsPointsPerWeight(t *testing.T) {
	if n := NewRing(members(3, func(int) int { return 10 })).Len(); n != 3*160 {
		t.Errorf("%d points for three equal weights of 10", n)
	}
	if n := NewRing(members(2, func(i int) int { return 1 + 2*i })).Len(); n != 4*160 {
		t.Errorf("%d points for weights 1 and 3", n)
	}
	if n := newRing(members(60, func(i int) int { return 999 + i%2 }), 10_000).Len(); n > 10_000 || n < 10_000-60 {
		t.Errorf("%d points for more than fit", n)
	}
}

// TestRingSharesFollowWeights bounds the error by what 160 points a unit give: a standard deviation of 1/√160 ≈ 8 %.
func TestRingSharesFollowWeights(t *testing.T) {
	r := NewRing(members(10, func(i int) int { return 1 + i%2 }))
	count := make([]int, 10)
	for k := range 200_000 {
		count[r.At(r.Find(String(fmt.Sprint("key", k))), 0)]++
	}
	for i, n := range count {
		want := 200_000.0 * float64(1+i%2) / 15
		if math.Abs(float64(n)-want) > 0.3*want {
			t.Errorf("member %d has %d keys, want about %.0f", i, n, want)
		}
	}
}

// TestSmoothIsExactAndEven counts a member's turns over one cycle, and how far any stretch of it is from its share.
func TestSmoothIsExactAndEven(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		n := rapid.IntRange(1, 12).Draw(t, "members")
		w := rapid.SliceOfN(rapid.IntRange(1, 30), n, n).Draw(t, "weights")
		all := members(n, func(i int) int { return w[i] })
		reduced, sum := weights(all)
		order := Smooth(all)
		if len(order) != sum {
			t.Fatalf("%d turns, want %d", len(order), sum)
		}
		had := make([]int, n)
		for k, i := range order {
			had[i]++
			for j := range had {
				if due := float64(k+1) * float64(reduced[j]) / float64(sum); math.Abs(float64(had[j])-due) > 1.5+float64(n)/4 {
					t.Fatalf("after %d turns of %v member %d had %d, due %.1f", k+1, reduced, j, had[j], due)
				}
			}
		}
		if !slices.Equal(had, reduced) {
			t.Fatalf("turns %v, want %v", had, reduced)
		}
	})
}

func TestSmoothIsBounded(t *testing.T) {
	order := Smooth(members(1000, func(i int) int { return 1 + i%1000 }))
	if len(order) > mostTurns+1000 {
		t.Errorf("%d turns", len(order))
	}
	had := make([]int, 1000)
	for _, i := range order {
		had[i]++
	}
	if had[999] < 250 || had[999] > 270 || had[0] != 1 {
		t.Errorf("the heaviest has %d turns, the lightest %d; want 262 and 1", had[999], had[0])
	}
}

func TestNoMembersGiveEmptyTables(t *testing.T) {
	if NewMaglev(nil).Len() != 0 || NewRing(nil).Len() != 0 || len(Smooth(nil)) != 0 {
		t.Error("something of nothing")
	}
}

func TestStringsOfEveryFormHashAlike(t *testing.T) {
	if String("abc") != String([]byte("abc")) || String("") == String("\x00") {
		t.Error("a hash depends on more or less than the bytes")
	}
}

func BenchmarkBuild10000(b *testing.B) {
	all := members(10_000, one)
	b.Run("maglev", func(b *testing.B) {
		for b.Loop() {
			NewMaglev(all)
		}
	})
	b.Run("ring", func(b *testing.B) {
		for b.Loop() {
			NewRing(all)
		}
	})
	weighted := members(10_000, func(i int) int { return 1 + i%7 })
	b.Run("maglev-weighted", func(b *testing.B) {
		for b.Loop() {
			NewMaglev(weighted)
		}
	})
}
