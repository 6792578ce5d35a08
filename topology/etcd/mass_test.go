// SPDX-License-Identifier: Apache-2.0

package etcd

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"

	"meridian/topology"
)

// TestManyLeasesThatVanishAtOnceAreNoDeaths has all processes' leases end at the same moment, without a goodbye, in a real etcd: nobody
// is dropped but who checks find dead, there is an alarm, and it ends by itself when they register again. One lease alone is dropped
// in its time before and after.
func TestManyLeasesThatVanishAtOnceAreNoDeaths(t *testing.T) {
	s := newServer(t)
	c := s.client(t)
	mustApply(t, c, fleet(0)...)
	const held = time.Second
	var dead atomic.Pointer[topology.NodeID]
	f := follow(t, s.client(t), WatcherConfig{Hold: held, Down: func(r topology.Resource) bool {
		id := dead.Load()
		return id != nil && r.Key().Name == string(*id)
	}})
	leases := map[int]clientv3.LeaseID{}
	register := func(i int) {
		t.Helper()
		l, err := c.etcd.Grant(deadline(t), 60)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := c.etcd.Put(deadline(t), liveKey(node(i).Key()), string(topology.Encode(node(i))), clientv3.WithLease(l.ID)); err != nil {
			t.Fatal(err)
		}
		leases[i] = l.ID
	}
	lose := func(i int) {
		t.Helper()
		if _, err := c.etcd.Revoke(deadline(t), leases[i]); err != nil {
			t.Fatal(err)
		}
	}
	metric := func(want string) {
		t.Helper()
		var b bytes.Buffer
		if f.WritePrometheus(&b); !strings.Contains(b.String(), "meridian_topology_mass_disappearance "+want) {
			t.Errorf("the metrics lack meridian_topology_mass_disappearance %s", want)
		}
	}
	for i := range 7 {
		register(i + 1)
	}
	f.until(t, 5*time.Second, "7 nodes", nodes(7))
	lose(7)
	f.until(t, 10*time.Second, "one lost lease alone", nodes(6))
	if st := f.Status(); st.Mass != "" {
		t.Errorf("an alarm for one lease: %s", st.Mass)
	}

	for i := range 6 {
		lose(i + 1)
	}
	eventually(t, 5*time.Second, "the alarm", func() bool { return strings.Contains(f.Status().Mass, "6 of 6") })
	metric("1")
	id := node(6).Name
	dead.Store(&id)
	f.until(t, 10*time.Second, "the one that checks find dead gone", nodes(5)) // after Hold, so that the others' time is over as well
	if st := f.Status(); st.Mass == "" || f.latest().Node(id) != nil {
		t.Errorf("got %+v", st)
	}
	for i := range 4 {
		register(i + 1)
	}
	eventually(t, 5*time.Second, "the end of the alarm", func() bool { return f.Status().Mass == "" })
	metric("0")
	f.until(t, 10*time.Second, "the one that has not come back gone, in the usual time", nodes(4))
	seen := false
	for _, snap := range f.all() {
		there := snap.Node("n-00001") != nil
		if seen && !there {
			t.Errorf("n-00001, which came back, was missing at revision %d", snap.Revision)
		}
		seen = seen || there
	}
}

// TestRegistrarsThatAnOutageOutlivesKeepTheirNodes stops etcd for longer than every lease, with registrars that are frozen meanwhile, as
// their machines' network may be: nobody is dropped when etcd is back without them.
func TestRegistrarsThatAnOutageOutlivesKeepTheirNodes(t *testing.T) {
	s := newServer(t)
	c := s.client(t)
	mustApply(t, c, fleet(0)...)
	const held = time.Second
	f := follow(t, s.client(t), WatcherConfig{Hold: held})
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan error, 4)
	for i := range 4 {
		r := s.client(t).Registrar(RegistrarConfig{Key: node(i + 1).Key(), TTL: 2 * time.Second, Value: func() []byte { return topology.Encode(node(i + 1)) }})
		go func() { ended <- r.Run(ctx) }()
	}
	f.until(t, 5*time.Second, "4 nodes", nodes(4))
	s.stop(t)
	stop()
	for range 4 {
		if err := <-ended; !errors.Is(err, context.Canceled) {
			t.Errorf("Run returned %v", err)
		}
	}
	s.start(t)
	eventually(t, 20*time.Second, "the alarm", func() bool { return strings.Contains(f.Status().Mass, "4 of 4") })
	after := time.NewTimer(3 * held)
	defer after.Stop()
	<-after.C
	if !nodes(4)(f.latest()) || f.Status().Held != 4 {
		t.Errorf("%d nodes are left, %d held", len(f.latest().Nodes), f.Status().Held)
	}
}

func TestAMassIsAShareOfARegionOrOfAll(t *testing.T) {
	at := func(region topology.RegionID, n int) *item {
		return &item{res: &topology.Node{Name: topology.NodeID(fmt.Sprintf("%s-%d", region, n)), Region: region}, live: true}
	}
	for _, c := range []struct {
		euHeld, euLive, usHeld, usLive int
		all                            bool
		regions                        int
	}{
		{2, 0, 0, 0, false, 0}, // two are no crowd
		{3, 0, 0, 0, true, 1},
		{3, 7, 0, 0, true, 1},
		{3, 8, 0, 0, false, 0},
		{3, 2, 0, 20, false, 1}, // a region of its own
		{2, 1, 2, 1, true, 0},
		{1, 9, 1, 9, false, 0},
	} {
		held, items := map[string]heldItem{}, map[string]*item{"static": {res: &topology.Pool{Name: "p"}}}
		for region, n := range map[topology.RegionID][2]int{"eu": {c.euHeld, c.euLive}, "us": {c.usHeld, c.usLive}} {
			for i := range n[0] {
				it := at(region, i)
				held[it.res.Key().Name] = heldItem{item: it}
			}
			for i := range n[1] {
				it := at(region, 100+i)
				items[it.res.Key().Name] = it
			}
		}
		m, text := massOf(held, items)
		if m.all != c.all || len(m.regions) != c.regions || (text != "") != m.any() {
			t.Errorf("%+v: got %+v: %s", c, m, text)
		}
	}
}
