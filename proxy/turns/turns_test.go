// SPDX-License-Identifier: Apache-2.0

package turns

import (
	"net/netip"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// TestAddressesTakeTurns has one address wait many times before others come.
func TestAddressesTakeTurns(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ts := New(1)
		if !ts.Enter(netip.MustParseAddr("192.0.2.1"), time.Time{}) {
			t.Fatal("a free place was not given")
		}
		var order []string // guarded by the one place
		var all sync.WaitGroup
		come := func(name, addr string) {
			all.Go(func() {
				if !ts.Enter(netip.MustParseAddr(addr), time.Time{}) {
					t.Errorf("%s has no place", name)
				}
				order = append(order, name)
				ts.Leave()
			})
			synctest.Wait() // it waits
		}
		for _, name := range []string{"a1", "a2", "a3"} {
			come(name, "192.0.2.1")
		}
		come("b1", "192.0.2.2")
		come("c1", "2001:db8::1")
		come("c2", "2001:db8::ffff:1") // the same subscriber
		if got := ts.Waiting(); got != 6 {
			t.Errorf("%d wait", got)
		}
		ts.Leave()
		all.Wait()
		if want := []string{"a1", "b1", "c1", "a2", "c2", "a3"}; !slices.Equal(order, want) {
			t.Errorf("the order was %v, want %v", order, want)
		}
		if ts.free != 1 || len(ts.lines) != 0 || ts.round.Len() != 0 {
			t.Errorf("left over: %+v", ts)
		}
	})
}

func TestWhoseTurnDoesNotComeInTimeGivesUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ts, a := New(1), netip.MustParseAddr("192.0.2.1")
		ts.Enter(a, time.Time{})
		began := time.Now()
		if ts.Enter(a, began.Add(time.Second)) || time.Since(began) != time.Second {
			t.Errorf("it gave up after %s", time.Since(began))
		}
		ts.Leave()
		if ts.free != 1 || len(ts.lines) != 0 {
			t.Errorf("left over: %+v", ts)
		}
		if !ts.Enter(a, began) {
			t.Error("a free place is given whatever the time")
		}
	})
}

// TestNoMoreThanThePlacesAreTaken also has some give up at the moment in which their turn comes.
func TestNoMoreThanThePlacesAreTaken(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ts := New(3)
		var in, entered, gaveUp atomic.Int32
		var all sync.WaitGroup
		for i := range 300 {
			all.Go(func() {
				a := netip.AddrFrom4([4]byte{192, 0, 2, byte(i % 7)})
				if !ts.Enter(a, time.Now().Add(time.Duration(i)*time.Millisecond)) {
					gaveUp.Add(1)
					return
				}
				entered.Add(1)
				if n := in.Add(1); n > 3 {
					t.Errorf("%d have a place", n)
				}
				time.Sleep(3 * time.Millisecond)
				in.Add(-1)
				ts.Leave()
			})
		}
		all.Wait()
		if ts.free != 3 || ts.Waiting() != 0 || entered.Load() == 0 || gaveUp.Load() == 0 {
			t.Errorf("%d entered and %d gave up; left over: %+v", entered.Load(), gaveUp.Load(), ts)
		}
	})
}
