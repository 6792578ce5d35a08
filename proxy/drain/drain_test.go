// SPDX-License-Identifier: Apache-2.0

package drain

import (
	"context"
	"errors"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"

	"meridian/balancer"
	"meridian/mcp"
	"meridian/topology"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// bench is a table with one node and a keeper that runs in a bubble of virtual time.
type bench struct {
	t        *testing.T
	table    *balancer.Table
	sessions *mcp.Sessions
	set      topology.Set
	rev      topology.Revision
	k        *Keeper
	cut      func(topology.NodeID) int

	mu   sync.Mutex // guards acks
	acks [][]topology.Ack
}

func newBench(t *testing.T) (b *bench, stop func()) {
	b = &bench{t: t, table: balancer.NewTable(), sessions: mcp.NewSessions(0, 0), set: topology.Set{}}
	b.set.Put(&topology.Region{Name: "here"})
	b.set.Put(&topology.Pool{Name: "p"})
	b.set.Put(&topology.Node{Name: "n1", Pool: "p", Region: "here", Address: "127.0.0.1:1"})
	b.cut = func(topology.NodeID) int { return 0 }
	b.k = New(Config{
		Table: b.table, Sessions: b.sessions,
		Publish: func(a []topology.Ack) {
			b.mu.Lock()
			defer b.mu.Unlock()
			b.acks = append(b.acks, a)
		},
		Cut: func(n topology.NodeID) int { return b.cut(n) },
	})
	b.apply()
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error)
	go func() { done <- b.k.Run(ctx) }()
	return b, func() {
		cancel()
		if err := <-done; !errors.Is(err, context.Canceled) {
			t.Errorf("Run returned %v", err)
		}
	}
}

func (b *bench) apply() {
	b.rev++
	snap, _ := topology.Build(b.rev, b.set)
	b.table.Apply(snap, nil)
	b.k.Kick()
}

func (b *bench) drain(after time.Duration) {
	d := &topology.Drain{Name: "node/n1", Created: time.Now()}
	if after > 0 {
		d.Deadline = d.Created.Add(after)
	}
	b.set.Put(d)
	b.apply()
}

func (b *bench) last() []topology.Ack {
	synctest.Wait()
	b.mu.Lock()
	defer b.mu.Unlock()
	if len(b.acks) == 0 {
		return nil
	}
	return b.acks[len(b.acks)-1]
}

func (b *bench) published() int {
	synctest.Wait()
	b.mu.Lock()
	defer b.mu.Unlock()
	return len(b.acks)
}

func (b *bench) want(acks ...topology.Ack) {
	b.t.Helper()
	if diff := cmp.Diff(acks, b.last()); diff != "" {
		b.t.Errorf("acknowledged (-want +got):\n%s", diff)
	}
}

// ack completes the word on the drain of n1 with what says which one it is.
func (b *bench) ack(a topology.Ack) topology.Ack {
	d := b.set[topology.Key{Kind: topology.KindDrain, Name: "node/n1"}].(*topology.Drain)
	a.Drain, a.Created, a.Deadline = d.Name, d.Created, d.Deadline
	return a
}

func TestADrainIsAcknowledgedAsItEmpties(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b, stop := newBench(t)
		defer stop()
		request, err := b.table.Pick(balancer.Request{Pool: "p", Now: time.Now()})
		if err != nil {
			t.Fatal(err)
		}
		stream, err := b.table.Pick(balancer.Request{Pool: "p", Now: time.Now()})
		if err != nil {
			t.Fatal(err)
		}
		stream.Stream()
		b.sessions.Bind("p", "s1", "n1", time.Now())
		b.drain(0)
		b.want(b.ack(topology.Ack{Node: "n1", Revision: 2, InFlight: 1, Streams: 1, Sessions: 1}))
		request.Done(time.Now())
		time.Sleep(Interval)
		b.want(b.ack(topology.Ack{Node: "n1", Revision: 2, Streams: 1, Sessions: 1}))
		stream.Done(time.Now())
		time.Sleep(Interval)
		b.want(b.ack(topology.Ack{Node: "n1", Revision: 2, Sessions: 1}))

		n := b.published()
		time.Sleep(10 * Interval)
		if again := b.published() - n; again != 0 {
			t.Errorf("published %d times although nothing changed", again)
		}
		delete(b.set, topology.Key{Kind: topology.KindDrain, Name: "node/n1"})
		b.apply()
		b.want([]topology.Ack{}...)
	})
}

func TestAtTheDeadlineWhatIsLeftIsCutAndCounted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b, stop := newBench(t)
		defer stop()
		leases := make([]balancer.Lease, 3)
		for i := range leases {
			var err error
			if leases[i], err = b.table.Pick(balancer.Request{Pool: "p", Now: time.Now()}); err != nil {
				t.Fatal(err)
			}
		}
		leases[0].Stream()
		b.sessions.Bind("p", "s1", "n1", time.Now())
		b.cut = func(topology.NodeID) int {
			for i := range leases {
				select {
				case <-leases[i].Cut():
					leases[i].Done(time.Now())
				default:
					t.Error("requests were aborted before new ones were kept away")
				}
			}
			return len(leases)
		}
		b.drain(time.Second)
		time.Sleep(time.Second - time.Millisecond)
		b.want(b.ack(topology.Ack{Node: "n1", Revision: 2, InFlight: 2, Streams: 1, Sessions: 1}))
		time.Sleep(Interval + time.Millisecond)
		b.want(b.ack(topology.Ack{Node: "n1", Revision: 2, Cut: 3, Done: true}))
		if _, err := b.table.Bind("n1", time.Now()); !errors.Is(err, balancer.ErrCut) {
			t.Errorf("Bind after the cut: %v", err)
		}
	})
}

func TestANewDrainOfANodeStartsAnew(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b, stop := newBench(t)
		defer stop()
		b.drain(time.Second)
		time.Sleep(2 * time.Second)
		b.want(b.ack(topology.Ack{Node: "n1", Revision: 2, Done: true}))
		b.drain(time.Minute)
		b.want(b.ack(topology.Ack{Node: "n1", Revision: 3}))
	})
}

func TestANodeThatIsLeavingIsAcknowledgedToo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b, stop := newBench(t)
		defer stop()
		b.set.Put(&topology.Node{Name: "n1", Pool: "p", Region: "here", Address: "127.0.0.1:1", Leaving: true})
		b.apply()
		b.want(topology.Ack{Node: "n1", Revision: 2})
	})
}

// TestADrainOfTheEdgeItselfIsAllThatItHas also holds for its region, and until resolvers have forgotten it clients are told nothing.
func TestADrainOfTheEdgeItselfIsAllThatItHas(t *testing.T) {
	for _, name := range []string{"edge/e1", "region/here"} {
		synctest.Test(t, func(t *testing.T) {
			left, load := 3*time.Second, Load{InFlight: 2, Streams: 1, Connections: 9}
			var told []bool
			b, stop := newBench(t)
			defer stop()
			synctest.Wait() // Run waits for a kick now
			began := time.Now()
			b.k.cfg.Resolvers = func(*topology.Drain) time.Duration { return left - time.Since(began) }
			b.k.cfg.Self = Self{
				Name: "e1", Region: "here", Load: func() Load { return load }, Leave: func(on bool) { told = append(told, on) },
				CutAll: func() int { load = Load{Connections: 1}; return 3 },
			}
			d := &topology.Drain{Name: name, Created: began, Deadline: began.Add(5 * time.Second)}
			b.set.Put(d)
			b.apply()
			ack := topology.Ack{Drain: name, Created: began, Deadline: d.Deadline, Revision: 2, InFlight: 2, Streams: 1, Connections: 9, DNSLeft: 3}
			b.want(ack)
			time.Sleep(left + Interval)
			ack.DNSLeft = 0
			b.want(ack)
			if len(told) != 1 || !told[0] {
				t.Errorf("clients were told %v; want to leave, once", told)
			}
			time.Sleep(2 * time.Second)
			ack.InFlight, ack.Streams, ack.Connections, ack.Cut, ack.Done = 0, 0, 1, 3, true
			b.want(ack)
			delete(b.set, d.Key())
			b.apply()
			b.want([]topology.Ack{}...)
			if len(told) != 2 || told[1] {
				t.Errorf("clients were told %v; want it taken back", told)
			}
		})
	}
}
