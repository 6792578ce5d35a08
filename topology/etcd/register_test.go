// SPDX-License-Identifier: Apache-2.0

package etcd

import (
	"context"
	"errors"
	"fmt"
	"slices"
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
		p, err := c.WaitDrained(deadline(t), "node/n-00000", nil, func(p DrainProgress) { progress <- p })
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

func TestAnEdgeThatEndsWithoutAGoodbyeLeavesItsMark(t *testing.T) {
	c := newServer(t).client(t)
	mustApply(t, c, fleet(1)...)
	edge := func(name string) (stop func(), kill func()) {
		cfg := RegistrarConfig{Key: key(topology.KindEdge, name), MinInterval: -1, TTL: 2 * time.Second}
		cfg.Value = func() []byte {
			return fmt.Appendf(nil, `{"version":1,"name":%q,"region":"here","addresses":["127.0.0.1"]}`, name)
		}
		cfg.Acks = func() []topology.Ack { return nil }
		r, stop := register(t, c, cfg)
		if err := r.Wait(deadline(t)); err != nil {
			t.Fatal(err)
		}
		kill = func() { // as a process whose lease runs out: another has the name meanwhile
			if _, err := c.etcd.Put(deadline(t), seenRoot+name, `{"version":1,"edge":"`+name+`","lease":"1"}`); err != nil {
				t.Fatal(err)
			}
			stop()
		}
		return stop, kill
	}
	unknown := func(want ...topology.EdgeID) {
		t.Helper()
		_, got, err := c.Edges(deadline(t))
		if err != nil || !slices.Equal(got, want) {
			t.Errorf("unknown are %v, %v; want %v", got, err, want)
		}
	}
	stop, _ := edge("well")
	_, kill := edge("ill")
	if _, err := c.Forget(deadline(t), "ill"); !errors.Is(err, ErrLive) {
		t.Errorf("an edge that runs is forgotten: %v", err)
	}
	stop()
	unknown()
	kill()
	unknown("ill")
	d := &topology.Drain{Name: "node/n-00000", Created: time.Unix(1, 0).UTC()}
	mustApply(t, c, d)
	short, cancel := context.WithTimeout(deadline(t), time.Second)
	defer cancel()
	if p, err := c.WaitDrained(short, d.Name, nil, nil); err == nil || p.Unknown != 1 || p.Edges[0].Edge != "ill" || p.Edges[0].Live {
		t.Errorf("waited for %+v, %v", p, err)
	}
	if p, err := c.WaitDrained(deadline(t), d.Name, []topology.EdgeID{"ill"}, nil); err != nil || !p.Complete() || !p.Edges[0].Ignored {
		t.Errorf("with it ignored: %+v, %v", p, err)
	}
	if was, err := c.Forget(deadline(t), "ill"); err != nil || !was {
		t.Errorf("Forget: %t, %v", was, err)
	}
	unknown()
}

func TestADrainIsWaitedForUntilTheNodesThemselvesAreDone(t *testing.T) {
	c := newServer(t).client(t)
	mustApply(t, c, fleet(1)...)
	n := node(7)
	n.Zone = "a"
	var busy atomic.Int64
	busy.Store(3)
	r, _ := register(t, c, RegistrarConfig{Key: n.Key(), MinInterval: -1, Value: func() []byte {
		loaded := *n
		loaded.Load = &topology.Load{InFlight: int(busy.Load())}
		return topology.Encode(&loaded)
	}})
	if err := r.Wait(deadline(t)); err != nil {
		t.Fatal(err)
	}
	d := &topology.Drain{Name: "zone/" + string(n.Region) + "/a", Created: time.Unix(1, 0).UTC()}
	mustApply(t, c, d)
	edge, _ := register(t, c, RegistrarConfig{
		Key: key(topology.KindEdge, "e"), MinInterval: -1,
		Value: func() []byte {
			return []byte(`{"version":1,"name":"e","region":"here","addresses":["127.0.0.1"]}`)
		},
		Acks: func() []topology.Ack { return []topology.Ack{{Drain: d.Name, Created: d.Created}} },
	})
	if err := edge.Wait(deadline(t)); err != nil {
		t.Fatal(err)
	}
	told := make(chan DrainProgress, 100)
	done := make(chan error, 1)
	go func() {
		_, err := c.WaitDrained(deadline(t), d.Name, nil, func(p DrainProgress) { told <- p })
		done <- err
	}()
	for p := range told {
		if len(p.Nodes) == 1 && p.Nodes[0].Node == n.Name && p.Nodes[0].InFlight == 3 && !p.Complete() {
			break
		}
	}
	busy.Store(0)
	r.Touch()
	if err := <-done; err != nil {
		t.Error(err)
	}
}
