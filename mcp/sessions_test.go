// SPDX-License-Identifier: Apache-2.0

package mcp

import (
	"fmt"
	"runtime"
	"sync"
	"testing"
	"time"
	"unsafe"

	"meridian/topology"
)

var now = time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)

func (s *Sessions) mustBe(t *testing.T, id string, at time.Time, want topology.NodeID) {
	t.Helper()
	if got, ok := s.Lookup("p", id, at); got != want || ok != (want != "") {
		t.Errorf("%s is bound to %q (%v), want %q", id, got, ok, want)
	}
}

func TestASessionIsFoundInItsPoolOnly(t *testing.T) {
	s := NewSessions(0, 0)
	s.Bind("p", "one", "a", now)
	s.Bind("q", "one", "b", now)
	s.mustBe(t, "one", now, "a")
	if n, _ := s.Lookup("q", "one", now); n != "b" {
		t.Errorf("in q it is %q", n)
	}
	s.Drop("p", "one")
	s.Drop("p", "one")
	s.mustBe(t, "one", now, "")
	if s.Count("a") != 0 || s.Count("b") != 1 || s.Len() != 1 {
		t.Errorf("a %d, b %d, in all %d", s.Count("a"), s.Count("b"), s.Len())
	}
}

func TestASessionMovesWhenItIsBoundAgain(t *testing.T) {
	s := NewSessions(0, 0)
	s.Bind("p", "one", "a", now)
	s.Bind("p", "one", "b", now)
	s.mustBe(t, "one", now, "b")
	if s.Count("a") != 0 || s.Count("b") != 1 || s.Len() != 1 {
		t.Errorf("a %d, b %d, in all %d", s.Count("a"), s.Count("b"), s.Len())
	}
}

func TestIDsThatAreNotValidAreNotBound(t *testing.T) {
	s := NewSessions(0, 0)
	for _, id := range []string{"", "a b", "é", "a\n"} {
		s.Bind("p", id, "a", now)
		s.mustBe(t, id, now, "")
	}
	if s.Len() != 0 {
		t.Errorf("%d sessions", s.Len())
	}
}

func TestBindCopiesTheID(t *testing.T) {
	s := NewSessions(0, 0)
	buf := []byte("one")
	s.Bind("p", unsafe.String(&buf[0], len(buf)), "a", now) // as an HTTP engine hands out a head that it will reuse
	buf[0] = 'x'
	s.mustBe(t, "one", now, "a")
}

func TestASessionIsForgottenWhenItIsIdle(t *testing.T) {
	s := NewSessions(0, time.Minute)
	s.Bind("p", "one", "a", now)
	s.mustBe(t, "one", now.Add(time.Minute), "a") // a use
	s.mustBe(t, "one", now.Add(2*time.Minute), "a")
	s.mustBe(t, "one", now.Add(3*time.Minute+1), "")
	if s.Len() != 0 || s.Count("a") != 0 {
		t.Errorf("%d sessions, %d of a", s.Len(), s.Count("a"))
	}
}

func TestExpireForgetsAllThatAreIdle(t *testing.T) {
	s := NewSessions(100_000, time.Minute)
	for i := range 5000 {
		s.Bind("p", fmt.Sprint(i), "a", now)
	}
	s.Bind("p", "young", "b", now.Add(time.Second))
	if n := s.Expire(now.Add(time.Minute)); n != 0 {
		t.Errorf("%d forgotten too soon", n)
	}
	if n := s.Expire(now.Add(time.Minute + 1)); n != 5000 || s.Len() != 1 || s.Count("a") != 0 || s.Count("b") != 1 {
		t.Errorf("%d forgotten, %d left, %d of a, %d of b", n, s.Len(), s.Count("a"), s.Count("b"))
	}
}

func TestBindForgetsIdleSessionsLittleByLittle(t *testing.T) {
	s := NewSessions(1000, time.Minute) // one shard
	for i := range 100 {
		s.Bind("p", fmt.Sprint("old", i), "a", now)
	}
	for i := range 50 {
		s.Bind("p", fmt.Sprint("new", i), "b", now.Add(time.Hour))
	}
	if s.Count("a") != 0 || s.Count("b") != 50 {
		t.Errorf("%d old and %d new ones are left", s.Count("a"), s.Count("b"))
	}
}

func TestAFullTableForgetsTheOneUsedLongestAgo(t *testing.T) {
	s := NewSessions(3, 0)
	for _, id := range []string{"one", "two", "three"} {
		s.Bind("p", id, "a", now)
	}
	s.mustBe(t, "one", now, "a") // so that two is the oldest
	s.Bind("p", "four", "a", now)
	s.mustBe(t, "two", now, "")
	s.mustBe(t, "one", now, "a")
	if s.Len() != 3 || s.Count("a") != 3 {
		t.Errorf("%d sessions, %d of a", s.Len(), s.Count("a"))
	}
}

func TestTheTableIsBounded(t *testing.T) {
	for _, most := range []int{1, 7, 5000, 10_001} {
		s := NewSessions(most, 0)
		for i := range most * 2 {
			s.Bind("p", fmt.Sprint(i), "a", now)
		}
		if n := s.Len(); n > most || n < most*9/10 || n != s.Count("a") {
			t.Errorf("of at most %d it holds %d, %d of a", most, n, s.Count("a"))
		}
	}
}

func TestTheSessionsOfADroppedNodeAreGone(t *testing.T) {
	s := NewSessions(10, time.Minute)
	s.Bind("p", "one", "a", now)
	s.Bind("p", "two", "a", now)
	s.Bind("p", "other", "b", now)
	if n := s.DropNode("a"); n != 2 || s.DropNode("a") != 0 {
		t.Errorf("%d dropped", n)
	}
	s.Bind("p", "three", "a", now) // the node has come back
	s.mustBe(t, "one", now, "")
	s.mustBe(t, "two", now, "")
	s.mustBe(t, "three", now, "a")
	s.mustBe(t, "other", now, "b")
	if s.Count("a") != 1 || s.Len() != 2 {
		t.Errorf("%d of a, %d in all", s.Count("a"), s.Len())
	}
	s.Drop("p", "three")
	s.Drop("p", "other")
	if n := len(s.nodes.byID); n != 0 {
		t.Errorf("%d nodes without sessions are remembered", n)
	}
}

// TestTheCountsAgreeUnderConcurrentUse has all methods race, then compares the counts with what is there.
func TestTheCountsAgreeUnderConcurrentUse(t *testing.T) {
	s := NewSessions(4096, time.Second)
	var wg sync.WaitGroup
	for w := range 4 {
		wg.Go(func() {
			for i := range 3000 {
				id, node := fmt.Sprint((i*7+w)%5000), topology.NodeID(fmt.Sprint("n", i%5))
				at := now.Add(time.Duration(i) * time.Millisecond)
				s.Bind("p", id, node, at)
				s.Lookup("p", fmt.Sprint(i), at)
				if i%5 == 0 {
					s.Drop("p", id)
				}
				if i%500 == 0 {
					s.DropNode(node)
					s.Expire(at)
				}
			}
		})
	}
	wg.Wait()
	live := 0
	for i := range s.shards {
		seen := 0
		for e := s.shards[i].oldest; e != nil; e = e.newer {
			if seen++; !e.node.dropped.Load() {
				live++
			}
		}
		if seen != len(s.shards[i].byKey) {
			t.Errorf("shard %d lists %d of its %d", i, seen, len(s.shards[i].byKey))
		}
	}
	sum := 0
	for n := range 5 {
		sum += s.Count(topology.NodeID(fmt.Sprint("n", n)))
	}
	if sum != live {
		t.Errorf("counted %d, there are %d", sum, live)
	}
}

func TestLookupDoesNotAllocate(t *testing.T) {
	s := NewSessions(0, 0)
	s.Bind("p", "one", "a", now)
	if n := testing.AllocsPerRun(100, func() { s.Lookup("p", "one", now) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func BenchmarkLookup(b *testing.B) {
	s := NewSessions(0, 0)
	ids := make([]string, 100_000)
	for i := range ids {
		ids[i] = fmt.Sprintf("%026d", i)
		s.Bind("p", ids[i], "a", now)
	}
	b.ReportAllocs()
	b.ResetTimer()
	b.RunParallel(func(pb *testing.PB) {
		for i := 0; pb.Next(); i++ {
			if _, ok := s.Lookup("p", ids[i%len(ids)], now); !ok {
				b.Error("lost")
			}
		}
	})
}

// BenchmarkBind fills a table and reports the bytes that one session takes, its id of 36 bytes (a UUID) included.
func BenchmarkBind(b *testing.B) {
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	s := NewSessions(0, 0)
	b.ReportAllocs()
	i := 0
	for b.Loop() {
		s.Bind("p", fmt.Sprintf("%036d", i), "a", now)
		i++
	}
	runtime.GC()
	runtime.ReadMemStats(&after)
	b.ReportMetric(float64(after.HeapAlloc-before.HeapAlloc)/float64(s.Len()), "bytes/session")
}
