// SPDX-License-Identifier: Apache-2.0

package etcd

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"

	"meridian/topology"
)

// register runs a registrar until stop.
func register(t *testing.T, c *Client, cfg RegistrarConfig) (r *Registrar, stop func()) {
	t.Helper()
	r = c.Registrar(cfg)
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- r.Run(ctx) }()
	stop = sync.OnceFunc(func() {
		cancel()
		if err := <-done; !errors.Is(err, context.Canceled) {
			t.Errorf("Run ended with %v", err)
		}
	})
	t.Cleanup(stop)
	return r, stop
}

func valueOf(n *topology.Node) func() []byte { return func() []byte { return topology.Encode(n) } }

func TestARegistrationStandsWhileTheProcessRuns(t *testing.T) {
	t.Parallel()
	c := newServer(t).client(t)
	var weight atomic.Int64
	weight.Store(1)
	r, stop := register(t, c, RegistrarConfig{Key: node(1).Key(), MinInterval: 100 * time.Millisecond, Value: func() []byte {
		n := node(1)
		n.Weight = int(weight.Load())
		return topology.Encode(n)
	}})
	if err := r.Wait(deadline(t)); err != nil {
		t.Fatal(err)
	}
	stored := func() *clientv3.GetResponse {
		got, err := c.etcd.Get(deadline(t), liveRoot+"nodes/n-00001")
		if err != nil {
			t.Fatal(err)
		}
		return got
	}
	if got := stored(); len(got.Kvs) != 1 || got.Kvs[0].Lease == 0 {
		t.Fatalf("stored: %v", got.Kvs)
	}
	for w := range 50 {
		weight.Store(int64(w + 2))
		r.Touch()
	}
	eventually(t, 5*time.Second, "the last touch", func() bool {
		it, _ := decode(liveKey(node(1).Key()), kvOf(stored().Kvs[0]))
		return it != nil && it.res.(*topology.Node).Weight == 51
	})
	if v := stored().Kvs[0].Version; v > 5 {
		t.Errorf("%d writes for 50 touches in no time", v)
	}
	stop()
	if got := stored(); len(got.Kvs) != 0 {
		t.Error("the key is still there")
	}
	if leases, err := c.etcd.Leases(deadline(t)); err != nil || len(leases.Leases) != 0 {
		t.Errorf("leases %v, %v", leases, err)
	}
}

func TestARegistrarComesBackAfterItsLeaseIsLost(t *testing.T) {
	t.Parallel()
	c := newServer(t).client(t)
	r, _ := register(t, c, RegistrarConfig{Key: node(1).Key(), Value: valueOf(node(1))})
	if err := r.Wait(deadline(t)); err != nil {
		t.Fatal(err)
	}
	leases, err := c.etcd.Leases(deadline(t))
	if err != nil || len(leases.Leases) != 1 {
		t.Fatal(leases, err)
	}
	if _, err := c.etcd.Revoke(deadline(t), leases.Leases[0].ID); err != nil {
		t.Fatal(err)
	}
	r.Touch() // as a process that reports its load does
	took := eventually(t, 5*time.Second, "the new registration", func() bool { return keys(t, c, liveRoot) == 1 })
	t.Logf("registered again after %s", took)
}

func TestARegistrarComesBackWithinASecondOfEtcd(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	c := s.client(t)
	r, stop := register(t, c, RegistrarConfig{Key: node(1).Key(), TTL: 2 * time.Second, Value: valueOf(node(1))})
	if err := r.Wait(deadline(t)); err != nil {
		t.Fatal(err)
	}
	s.stop(t)
	eventually(t, 10*time.Second, "the loss", func() bool { return !r.Registered() })
	// An etcd whose data is gone has neither the key nor the lease.
	s.cfg.Dir = t.TempDir()
	s.start(t)
	took := eventually(t, 5*time.Second, "the new registration", r.Registered)
	t.Logf("registered %s after etcd's return", took)
	if took > 1500*time.Millisecond {
		t.Errorf("it took %s", took)
	}
	if n := keys(t, s.client(t), liveRoot); n != 1 {
		t.Errorf("%d keys", n)
	}
	stop()
}

func TestARegistrarThatEndsWithoutEtcdEndsSoon(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	r, stop := register(t, s.client(t), RegistrarConfig{Key: node(1).Key(), Value: valueOf(node(1))})
	if err := r.Wait(deadline(t)); err != nil {
		t.Fatal(err)
	}
	s.stop(t)
	began := time.Now()
	stop()
	if took := time.Since(began); took > 2*time.Second {
		t.Errorf("it took %s", took)
	}
}

func TestARegistrarRefusesAWrongConfiguration(t *testing.T) {
	c, err := Open(Config{Endpoints: []string{"127.0.0.1:1"}})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	value := valueOf(node(1))
	for _, cfg := range []RegistrarConfig{
		{Key: pool("mcp").Key(), Value: value},
		{Key: node(1).Key()},
		{Key: node(1).Key(), Value: value, TTL: time.Second},
		{Key: node(1).Key(), Value: value, Acks: func() []topology.Ack { return nil }},
	} {
		if err := c.Registrar(cfg).Run(deadline(t)); err == nil || errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("%+v: %v", cfg.Key, err)
		}
	}
}

func TestADrainIsWaitedForUntilEveryLiveEdgeIsQuiet(t *testing.T) {
	c := newServer(t).client(t)
	mustApply(t, c, fleet(1)...)
	var mu sync.Mutex
	acks := map[string][]topology.Ack{}
	touch := map[string]*Registrar{}
	for _, name := range []string{"e1", "e2"} {
		cfg := RegistrarConfig{Key: key(topology.KindEdge, name), MinInterval: -1}
		cfg.Value = func() []byte {
			return fmt.Appendf(nil, `{"version":1,"name":%q,"region":"here","addresses":["127.0.0.1"]}`, name)
		}
		cfg.Acks = func() []topology.Ack {
			mu.Lock()
			defer mu.Unlock()
			return acks[name]
		}
		r, _ := register(t, c, cfg)
		if err := r.Wait(deadline(t)); err != nil {
			t.Fatal(err)
		}
		touch[name] = r
	}
	ack := func(edge string, a topology.Ack) {
		mu.Lock()
		acks[edge] = []topology.Ack{a}
		mu.Unlock()
		touch[edge].Touch()
	}
	rev := mustApply(t, c, &topology.Drain{Name: "node/n-00000", Created: time.Unix(1, 0).UTC()}).Revision
	progress := make(chan DrainProgress, 100)
	type end struct {
		p   DrainProgress
		err error
	}
	done := make(chan end, 1)
	go func() {
		p, err := c.WaitDrained(deadline(t), "n-00000", rev, func(p DrainProgress) { progress <- p })
		done <- end{p, err}
	}()
	next := func(what string, ok func(DrainProgress) bool) {
		t.Helper()
		for {
			select {
			case p := <-progress:
				if ok(p) {
					return
				}
			case e := <-done:
				t.Fatalf("it ended before %s: %+v", what, e)
			case <-time.After(10 * time.Second):
				t.Fatal("never " + what)
			}
		}
	}
	next("two edges waited for", func(p DrainProgress) bool { return p.Waiting == 2 && len(p.Edges) == 2 })
	ack("e1", topology.Ack{Node: "n-00000", Revision: rev - 1}) // of an older topology: does not count
	ack("e2", topology.Ack{Node: "n-00000", Revision: rev, InFlight: 2, Streams: 1, Sessions: 3})
	next("e2's figures", func(p DrainProgress) bool { return p.Waiting == 2 && p.InFlight == 2 && p.Streams == 1 })
	ack("e1", topology.Ack{Node: "n-00000", Revision: rev, Sessions: 1})
	next("e1 quiet", func(p DrainProgress) bool { return p.Waiting == 1 && p.Sessions == 4 })
	ack("e2", topology.Ack{Node: "n-00000", Revision: rev + 1, Sessions: 3})
	if e := <-done; e.err != nil || e.p.Waiting != 0 || e.p.Sessions != 4 {
		t.Errorf("got %+v", e)
	}
}
