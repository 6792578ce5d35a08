// SPDX-License-Identifier: Apache-2.0

package proxy

import (
	"fmt"
	"net/http"
	"sync/atomic"
	"testing"
	"time"

	"meridian/balancer/hash"
	"meridian/internal/testnet"
	"meridian/proxy/exchange"
	"meridian/topology"
)

func TestAKeyIsReadFromWhereItStands(t *testing.T) {
	x := &exchange.Exchange{ClientIP: "192.0.2.7", Request: exchange.Request{
		Target: "/a?x=1&user=ann&user=bob", Path: "/a",
		Header: exchange.Header{{Name: "x-user", Value: "eve"}, {Name: "Cookie", Value: "a=b; sid=77"}, {Name: "cookie", Value: "late=1; sid=78"}},
	}}
	for _, c := range []struct {
		h    topology.Hash
		want string
	}{
		{topology.Hash{}, "192.0.2.7"},
		{topology.Hash{By: topology.HashByHeader, Name: "X-User"}, "eve"},
		{topology.Hash{By: topology.HashByHeader, Name: "X-None"}, ""},
		{topology.Hash{By: topology.HashByCookie, Name: "sid"}, "77"},
		{topology.Hash{By: topology.HashByCookie, Name: "late"}, "1"},
		{topology.Hash{By: topology.HashByCookie, Name: "SID"}, ""},
		{topology.Hash{By: topology.HashByQuery, Name: "user"}, "ann"},
		{topology.Hash{By: topology.HashByQuery, Name: "a"}, ""},
	} {
		key, ok := keyOf(&topology.Pool{Policy: topology.PolicyRing, Hash: c.h}, x)
		if ok != (c.want != "") || ok && key != hash.String(c.want) {
			t.Errorf("%+v: %x, %v; want that of %q", c.h, key, ok, c.want)
		}
		if _, ok := keyOf(&topology.Pool{Policy: topology.PolicyRandom, Hash: c.h}, x); ok {
			t.Error("a key for a policy that has none")
		}
	}
}

// TestThePolicyOfTheTopologyIsInForce sends requests of 20 users: each must always come to the same node.
func TestThePolicyOfTheTopologyIsInForce(t *testing.T) {
	for _, p := range []topology.Policy{topology.PolicyMaglev, topology.PolicyRing} {
		e := newEdge(t)
		e.set.Put(&topology.Pool{Name: "web", Policy: p, Hash: topology.Hash{By: topology.HashByHeader, Name: "X-User"}})
		for i := range 5 {
			name := fmt.Sprint("n", i)
			e.httpNode(name, "web", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, name) })
		}
		e.apply()
		home, nodes := map[string]string{}, map[string]bool{}
		for i := range 60 {
			user := fmt.Sprint("user-", i%20)
			testnet.Wait(t, "the request before to be given back", func() bool { // within a bound, two at once have two nodes
				out := 0
				for n := range 5 {
					out += e.table.Load(topology.NodeID(fmt.Sprint("n", n))).InFlight
				}
				return out == 0
			})
			status, body, _ := e.ask("GET", "/", "", "X-User", user)
			if status != 200 || home[user] != "" && home[user] != body {
				t.Fatalf("%s: %s came to %q (%d), before to %q", p, user, body, status, home[user])
			}
			home[user], nodes[body] = body, true
		}
		if len(nodes) < 3 {
			t.Errorf("%s: all users are at %v", p, nodes)
		}
	}
}

// TestTheDefaultPolicyLearnsFromLiveTraffic has one of two nodes answer late: once that is known it gets next to nothing, though
// neither has anything in flight when the next request comes.
func TestTheDefaultPolicyLearnsFromLiveTraffic(t *testing.T) {
	e := newEdge(t)
	var slow atomic.Int64
	e.httpNode("fast", "web", func(w http.ResponseWriter, _ *http.Request) { <-time.After(time.Millisecond) })
	e.httpNode("slow", "web", func(w http.ResponseWriter, _ *http.Request) { slow.Add(1); <-time.After(50 * time.Millisecond) })
	for range 100 {
		e.ask("GET", "/", "")
		e.table.Tick(time.Now())
	}
	if n := slow.Load(); n > 20 {
		t.Errorf("the slow node has had %d of 100 requests", n)
	}
}

// TestANodeThatFailsIsAvoided has one of two nodes fail at once, again and again, which keeps it idle.
func TestANodeThatFailsIsAvoided(t *testing.T) {
	e := newEdge(t)
	var failing atomic.Int64
	e.httpNode("good", "web", func(w http.ResponseWriter, _ *http.Request) { <-time.After(2 * time.Millisecond) })
	e.httpNode("bad", "web", func(w http.ResponseWriter, _ *http.Request) {
		failing.Add(1)
		w.Header().Set("Retry-After", "60")
		w.WriteHeader(503)
	})
	for range 50 {
		e.ask("GET", "/", "")
		e.table.Tick(time.Now())
	}
	if n := failing.Load(); n > 3 {
		t.Errorf("the failing node has had %d of 50 requests", n)
	}
}
