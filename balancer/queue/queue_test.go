// SPDX-License-Identifier: Apache-2.0

package queue

import (
	"errors"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"pgregory.net/rapid"
)

var now = time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)

const ms = time.Millisecond

// line adds n tickets a millisecond apart and returns where they enter their number when they are served, negative when they expire.
func line(t testing.TB, q *Queue, n int, deadline time.Duration) (*[]int, []*Ticket) {
	t.Helper()
	order := &[]int{}
	var tickets []*Ticket
	for i := range n {
		ticket, err := q.Add(now.Add(time.Duration(i)*ms), now.Add(deadline), func(granted bool) {
			if granted {
				*order = append(*order, i)
			} else {
				*order = append(*order, -i)
			}
		})
		if err != nil {
			t.Fatal(err)
		}
		tickets = append(tickets, ticket)
	}
	return order, tickets
}

func TestTheOldestComesFirstUpToHalfFullThenTheNewest(t *testing.T) {
	q := New(8)
	order, _ := line(t, q, 7, time.Minute)
	for q.Grant(now.Add(10 * ms)) {
	}
	if want := []int{6, 5, 4, 0, 1, 2, 3}; !slices.Equal(*order, want) {
		t.Errorf("served %v, want %v", *order, want)
	}
}

func TestAFullQueueRefuses(t *testing.T) {
	q := New(3)
	line(t, q, 3, time.Minute)
	if _, err := q.Add(now, now.Add(time.Hour), nil); !errors.Is(err, ErrFull) {
		t.Error(err)
	}
	q.Resize(4)
	if _, err := q.Add(now, now.Add(time.Hour), func(bool) {}); err != nil {
		t.Error(err)
	}
	if _, err := New(0).Add(now, now.Add(time.Hour), nil); !errors.Is(err, ErrFull) {
		t.Error("a queue of none takes one")
	}
}

// TestWhoCannotBeInTimeIsRefusedAtOnce gives a place every 100 ms: with four waiting the fifth's turn comes in half a second.
func TestWhoCannotBeInTimeIsRefusedAtOnce(t *testing.T) {
	q := New(100)
	if _, err := q.Add(now, now.Add(-ms), nil); !errors.Is(err, ErrLate) {
		t.Errorf("a deadline that has passed: %v", err)
	}
	line(t, q, 24, time.Hour)
	at := now
	for range 20 {
		at = at.Add(100 * ms)
		q.Grant(at)
	}
	if _, err := q.Add(at, at.Add(450*ms), nil); !errors.Is(err, ErrLate) {
		t.Errorf("450ms for a turn in 500ms: %v", err)
	}
	if _, err := q.Add(at, at.Add(600*ms), func(bool) {}); err != nil {
		t.Errorf("600ms for it: %v", err)
	}
}

func TestAnExpiredTicketIsToldAndTakesNoPlace(t *testing.T) {
	q := New(10)
	order, _ := line(t, q, 3, 50*ms)
	q.Add(now, now.Add(time.Hour), func(granted bool) { *order = append(*order, map[bool]int{true: 3, false: -3}[granted]) })
	if !q.Grant(now.Add(time.Second)) {
		t.Error("nobody was served")
	}
	if want := []int{0, -1, -2, 3}; !slices.Equal(*order, want) {
		t.Errorf("%v, want %v", *order, want)
	}
	order, _ = line(t, q, 3, 50*ms)
	q.Expire(now.Add(40 * ms))
	if len(*order) != 0 || q.Len() != 3 {
		t.Errorf("expired before time: %v", *order)
	}
	q.Expire(now.Add(50 * ms))
	if len(*order) != 3 || q.Len() != 0 {
		t.Errorf("%v of three are told, %d left", *order, q.Len())
	}
}

func TestWhoLeavesIsNotServed(t *testing.T) {
	q := New(10)
	order, tickets := line(t, q, 3, time.Minute)
	if !q.Leave(tickets[1]) || q.Leave(tickets[1]) {
		t.Error("one that waits can leave once")
	}
	q.Grant(now)
	if q.Leave(tickets[0]) {
		t.Error("one that was served leaves")
	}
	q.Grant(now)
	if q.Grant(now) || !slices.Equal(*order, []int{0, 2}) {
		t.Errorf("served %v", *order)
	}
}

// TestAnyOrderOfCallsKeepsTheLine compares with a plain slice.
func TestAnyOrderOfCallsKeepsTheLine(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		size := rapid.IntRange(1, 10).Draw(t, "size")
		q := New(size)
		type waiting struct {
			id     int
			ticket *Ticket
		}
		var model []waiting
		served := -1
		for id := range 60 {
			switch rapid.IntRange(0, 3).Draw(t, "call") {
			case 0, 1:
				ticket, err := q.Add(now, now.Add(time.Hour), func(bool) { served = id })
				if (err == nil) != (len(model) < size) {
					t.Fatalf("%d of %d wait, and: %v", len(model), size, err)
				}
				if err == nil {
					model = append(model, waiting{id, ticket})
				}
			case 2:
				at := 0
				if 2*len(model) > size {
					at = len(model) - 1
				}
				if got := q.Grant(now); got != (len(model) > 0) {
					t.Fatalf("granted: %v of %d", got, len(model))
				}
				if len(model) > 0 {
					if served != model[at].id {
						t.Fatalf("served %d, want %d", served, model[at].id)
					}
					model = slices.Delete(model, at, at+1)
				}
			case 3:
				if len(model) > 0 {
					at := rapid.IntRange(0, len(model)-1).Draw(t, "who")
					if !q.Leave(model[at].ticket) {
						t.Fatal("it could not leave")
					}
					model = slices.Delete(model, at, at+1)
				}
			}
			if q.Len() != len(model) {
				t.Fatalf("%d wait, want %d", q.Len(), len(model))
			}
		}
	})
}

// TestEachTicketHearsOnce races everything; run it under the race detector.
func TestEachTicketHearsOnce(t *testing.T) {
	q := New(50)
	var added, heard, left atomic.Int64
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			for i := range 500 {
				t, err := q.Add(now, now.Add(time.Duration(i%7)*ms+ms), func(bool) { heard.Add(1) })
				if err != nil {
					q.Grant(now)
					continue
				}
				added.Add(1)
				if i%5 == 0 && q.Leave(t) {
					left.Add(1)
				}
				if i%11 == 0 {
					q.Expire(now.Add(3 * ms))
				}
			}
		})
	}
	wg.Wait()
	for q.Grant(now) {
	}
	if added.Load() != heard.Load()+left.Load() {
		t.Errorf("%d tickets, %d heard, %d left", added.Load(), heard.Load(), left.Load())
	}
}
