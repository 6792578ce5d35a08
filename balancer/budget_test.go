// SPDX-License-Identifier: Apache-2.0

package balancer

import (
	"sync"
	"sync/atomic"
	"testing"
)

func TestRetriesStayWithinTheirBudget(t *testing.T) {
	for _, c := range []struct{ live, percent, least, want int }{
		{1, 20, 3, 3}, {10, 20, 3, 3}, {15, 20, 3, 3}, {20, 20, 3, 4}, {100, 20, 3, 20}, {100, 100, 1, 100}, {4, 20, 1, 1}, {0, 20, 1, 1},
	} {
		var b Budget
		for range c.live {
			b.Begin()
		}
		got := 0
		for range c.live + 10 {
			if b.Retry(c.percent, c.least) {
				got++
			}
		}
		if got != c.want || b.Retrying() != c.want {
			t.Errorf("%+v: %d retries, Retrying says %d", c, got, b.Retrying())
		}
		for range got {
			b.RetryDone()
		}
		if !b.Retry(c.percent, c.least) {
			t.Errorf("%+v: a place that was given back is lost", c)
		}
	}
}

func TestManyAtOnceTakeNoMoreThanThereIs(t *testing.T) {
	var b Budget
	for range 100 {
		b.Begin()
	}
	var won atomic.Int64
	var wg sync.WaitGroup
	for range 64 {
		wg.Go(func() {
			if b.Retry(20, 3) {
				won.Add(1)
			}
		})
	}
	wg.Wait()
	if got := won.Load(); got > 20 {
		t.Errorf("%d retries of 20", got)
	}
}

func TestADeathOfANodeIsABurstThatEndedRequestsPayFor(t *testing.T) {
	var b Budget
	for range 2 * mostEnded {
		b.Begin()
		b.End(true)
	}
	got := 0
	for b.Retry(20, 3) {
		got++
	}
	if want := mostEnded * 20 / 100; got != want {
		t.Errorf("%d retries at once; want %d for the requests that had ended", got, want)
	}
	for range 100 {
		b.Begin()
		b.End(false)
	}
	if b.Retry(20, 3) {
		t.Error("a retry that nothing pays for")
	}
}
