// SPDX-License-Identifier: Apache-2.0

package etcd

import (
	"testing"
	"time"

	"meridian/topology"
)

func TestAHeldItemHasItsWholeTimeAgainAfterALossOfContact(t *testing.T) {
	now := time.Unix(1000, 0)
	h := hold{length: 10 * time.Second, items: map[string]heldItem{}}
	gone := node(3)
	gone.Leaving = true
	h.add(map[string]*item{
		"d": {res: &topology.Edge{Name: "f", Leaving: true}, live: true},
		"a": {res: node(1), live: true}, "b": {res: &topology.Edge{Name: "e"}, live: true}, "c": {res: gone, live: true},
	}, now)
	if len(h.items) != 2 {
		t.Fatalf("held: %v", h.items)
	}
	if h.expire(now.Add(10*time.Second - 1)) {
		t.Error("dropped too soon")
	}
	h.returned(map[string]*item{"b": {}})
	h.restart(now.Add(9 * time.Second))
	if h.expire(now.Add(18*time.Second)) || len(h.items) != 1 {
		t.Errorf("held: %v", h.items)
	}
	if !h.expire(now.Add(19*time.Second)) || len(h.items) != 0 {
		t.Errorf("held for ever: %v", h.items)
	}
}

func TestNothingIsDroppedWhileEtcdIsAway(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	c := s.client(t)
	mustApply(t, c, fleet(0)...)
	const held = 1500 * time.Millisecond
	f := follow(t, c, WatcherConfig{Hold: held})
	write(t, c, liveKey(node(1).Key()), string(topology.Encode(node(1))))
	f.until(t, 5*time.Second, "the node", nodes(1))
	if _, err := c.etcd.Delete(deadline(t), liveKey(node(1).Key())); err != nil {
		t.Fatal(err)
	}
	eventually(t, 5*time.Second, "the node being held", func() bool { return f.Status().Held == 1 })
	s.stop(t)
	away := time.NewTimer(2 * held)
	defer away.Stop()
	<-away.C
	if !nodes(1)(f.latest()) {
		t.Error("dropped while etcd was away")
	}
	s.start(t)
	back := time.Now()
	f.until(t, 10*time.Second, "no node", nodes(0))
	if took := time.Since(back); took < held-200*time.Millisecond {
		t.Errorf("dropped %s after etcd's return", took)
	}
}
