// SPDX-License-Identifier: Apache-2.0

package etcd

import (
	"context"
	"encoding/json"
	"errors"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	clientv3 "go.etcd.io/etcd/client/v3"

	"meridian/topology"
)

func key(kind topology.Kind, name string) topology.Key { return topology.Key{Kind: kind, Name: name} }

func TestApplySaysWhatItDid(t *testing.T) {
	c := newServer(t).client(t)
	first := mustApply(t, c, region("here"), pool("mcp"), node(1))
	changed := node(1)
	changed.Weight = 7
	second, err := c.Apply(deadline(t), Change{
		Put:    []topology.Resource{pool("mcp"), changed, pool("other")},
		Delete: []topology.Key{key(topology.KindNode, "not-there")},
	})
	if err != nil {
		t.Fatal(err)
	}
	want := Result{
		Revision: second.Revision, Created: []topology.Key{key("pools", "other")},
		Changed: []topology.Key{key("nodes", "n-00001")}, Unchanged: []topology.Key{key("pools", "mcp")},
	}
	if d := cmp.Diff(want, second); d != "" {
		t.Error(d)
	}
	if second.Revision <= first.Revision {
		t.Errorf("revision %d after %d", second.Revision, first.Revision)
	}
	third, err := c.Apply(deadline(t), Change{Delete: []topology.Key{key("nodes", "n-00001")}})
	if err != nil || len(third.Deleted) != 1 {
		t.Errorf("got %+v, %v", third, err)
	}
	set, rev, err := c.Read(deadline(t))
	if err != nil || rev < third.Revision || len(set) != 3 {
		t.Errorf("read %d resources at %d, %v", len(set), rev, err)
	}
	if n := keys(t, c, lockKey); n != 0 {
		t.Error("the lock is still there")
	}
}

func TestApplyRefusesEveryMistakeAndWritesNothing(t *testing.T) {
	c := newServer(t).client(t)
	mustApply(t, c, region("here"), pool("mcp"), node(1))
	before := keys(t, c, root)
	bad := node(2)
	bad.Address = "nowhere"
	lost := node(3)
	lost.Pool = "missing"
	_, err := c.Apply(deadline(t), Change{
		Put: []topology.Resource{bad, lost, node(4), node(4)}, Delete: []topology.Key{key("regions", "here")},
	})
	var refused *RefusedError
	if !errors.As(err, &refused) {
		t.Fatalf("got %v", err)
	}
	all := ""
	for _, m := range refused.Mistakes {
		all += m.Error() + "\n"
	}
	for _, want := range []string{
		"nodes/n-00002: address: ", `nodes/n-00003: pool: there is no pool "missing"`, "nodes/n-00004: it is named twice",
		`nodes/n-00001: region: there is no region "here"`, // not in the change: its region would be gone
	} {
		if !strings.Contains(all, want) {
			t.Errorf("no %q in:\n%s", want, all)
		}
	}
	if after := keys(t, c, root); after != before {
		t.Errorf("%d keys, before %d", after, before)
	}
}

func TestMistakesThatWereThereBeforeDoNotStopAnotherChange(t *testing.T) {
	c := newServer(t).client(t)
	mustApply(t, c, region("here"), pool("mcp"))
	write(t, c, root+"routes/broken", `{"version":1,"name":"broken","pool":"missing"}`)
	write(t, c, root+"pools/rotten", `{"version":`)
	mustApply(t, c, node(1))
	_, err := c.Apply(deadline(t), Change{Put: []topology.Resource{&topology.Route{Name: "broken", Pool: "missing", PathPrefix: "/x"}}})
	if refused := (*RefusedError)(nil); !errors.As(err, &refused) {
		t.Errorf("a change of the wrong resource itself: got %v", err)
	}
}

func TestUnknownFieldsSurviveARewrite(t *testing.T) {
	c := newServer(t).client(t)
	write(t, c, root+"pools/mcp", `{"version":1,"name":"mcp","from_the_future":{"a":1}}`)
	p := pool("mcp")
	p.Protocol = topology.ProtocolMCP
	mustApply(t, c, p)
	got, err := c.etcd.Get(deadline(t), root+"pools/mcp")
	if err != nil {
		t.Fatal(err)
	}
	var fields map[string]any
	if err := json.Unmarshal(got.Kvs[0].Value, &fields); err != nil || fields["from_the_future"] == nil || fields["protocol"] != "mcp" {
		t.Errorf("got %s, %v", got.Kvs[0].Value, err)
	}
	if res := mustApply(t, c, p); len(res.Unchanged) != 1 {
		t.Errorf("the same again: %+v", res)
	}
}

func TestALargeApplyIsSeenInOneRevision(t *testing.T) {
	s := newServer(t)
	c := s.client(t)
	f := follow(t, c, WatcherConfig{})
	mustApply(t, c, fleet(0)...)
	res := mustApply(t, c, fleet(350)...)
	f.until(t, 5*time.Second, "350 nodes", nodes(350))
	gone := []topology.Key{}
	for i := range 340 {
		gone = append(gone, node(i).Key())
	}
	if _, err := c.Apply(deadline(t), Change{Delete: gone}); err != nil {
		t.Fatal(err)
	}
	f.until(t, 5*time.Second, "10 nodes", nodes(10))
	eventually(t, 5*time.Second, "folding", func() bool { return f.Status().Seen > res.Revision && keys(t, c, stageRoot) == 0 })
	for _, snap := range f.all() {
		if n := len(snap.Nodes); n != 0 && n != 350 && n != 10 {
			t.Errorf("a snapshot at revision %d with %d nodes", snap.Revision, n)
		}
	}
	if n := len(f.all()); n > 5 {
		t.Errorf("%d snapshots: folding must not show", n)
	}
}

func TestTenThousandNodesAreAppliedWithDefaultLimits(t *testing.T) {
	s := newServer(t)
	c := s.client(t)
	f := follow(t, c, WatcherConfig{})
	began := time.Now()
	res := mustApply(t, c, fleet(10_000)...)
	took := time.Since(began)
	if len(res.Created) != 10_002 {
		t.Errorf("created %d", len(res.Created))
	}
	f.until(t, 10*time.Second, "10,000 nodes", nodes(10_000))
	began = time.Now()
	again := mustApply(t, c, fleet(10_000)...)
	if len(again.Unchanged) != 10_002 {
		t.Errorf("unchanged %d", len(again.Unchanged))
	}
	t.Logf("10,000 nodes: applied in %s, the same again in %s", took, time.Since(began))
	for _, snap := range f.all() {
		if n := len(snap.Nodes); n != 0 && n != 10_000 {
			t.Errorf("a snapshot with %d nodes", n)
		}
	}
}

// die makes a client whose writer dies at the nth time that it comes to a step, as by SIGKILL: from then on it says
// nothing more to etcd, and its lock runs out.
func die(t *testing.T, s *server, step string, nth int) *Client {
	c := s.client(t, func(cfg *Config) { cfg.RequestTimeout = time.Second })
	c.fault = func(at string) {
		if at == step {
			if nth--; nth == 0 {
				c.Close()
			}
		}
	}
	return c
}

// runOut ends the lock of a dead writer, as the end of its lease does.
func runOut(t *testing.T, c *Client) {
	t.Helper()
	got, err := c.etcd.Get(deadline(t), lockKey)
	if err != nil {
		t.Fatal(err)
	}
	for _, kv := range got.Kvs {
		if _, err := c.etcd.Revoke(deadline(t), clientv3.LeaseID(kv.Lease)); err != nil {
			t.Fatal(err)
		}
	}
}

func TestAWriterThatDiesLeavesAllOrNothing(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	c := s.client(t)
	f := follow(t, c, WatcherConfig{})
	mustApply(t, c, fleet(0)...)
	for _, at := range []struct {
		step string
		nth  int
		want int
	}{
		{"locked", 1, 0}, {"staged", 1, 0}, {"staged", 3, 0}, {"commit", 1, 0},
		{"committed", 1, 250}, {"folded", 1, 250}, {"folded", 2, 250}, {"folded", 3, 250},
	} {
		dying := die(t, s, at.step, at.nth)
		ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
		_, err := dying.Apply(ctx, Change{Put: fleet(250)})
		cancel()
		if (err == nil) != (at.want == 250) {
			t.Errorf("%+v: Apply said %v", at, err)
		}
		set, _, err := c.Read(deadline(t))
		if err != nil || len(set) != 2+at.want {
			t.Errorf("%+v: a reader sees %d resources, %v", at, len(set), err)
		}
		f.until(t, 5*time.Second, "all or nothing", nodes(at.want))
		late := follow(t, c, WatcherConfig{})
		late.until(t, 5*time.Second, "all or nothing, for a reader that starts later", nodes(at.want))
		late.stop()
		runOut(t, c)
		gone := []topology.Key{}
		for i := range 250 {
			gone = append(gone, node(i).Key())
		}
		res, err := c.Apply(deadline(t), Change{Delete: gone})
		if err != nil || len(res.Deleted) != at.want {
			t.Errorf("%+v: the next apply deleted %d, %v", at, len(res.Deleted), err)
		}
		if n := keys(t, c, stageRoot); n != 0 {
			t.Errorf("%+v: %d keys of the dead writer are left", at, n)
		}
		f.until(t, 5*time.Second, "no node", nodes(0))
	}
	for _, snap := range f.all() {
		if n := len(snap.Nodes); n != 0 && n != 250 {
			t.Errorf("a snapshot with %d nodes", n)
		}
	}
}

func TestADirectWriteAfterACommitWins(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	c := s.client(t)
	mustApply(t, c, fleet(0)...)
	if _, err := die(t, s, "committed", 1).Apply(deadline(t), Change{Put: fleet(150)}); err != nil {
		t.Fatal(err)
	}
	direct := node(7)
	direct.Weight = 99
	write(t, c, desiredKey(direct.Key()), string(topology.Encode(direct)))
	weight := func() int {
		set, _, err := c.Read(deadline(t))
		if err != nil || len(set) != 152 {
			t.Fatalf("%d resources, %v", len(set), err)
		}
		return set[direct.Key()].(*topology.Node).Weight
	}
	if w := weight(); w != 99 {
		t.Errorf("weight %d before folding", w)
	}
	runOut(t, c)
	mustApply(t, c, pool("other"))
	if n := keys(t, c, stageRoot); n != 0 {
		t.Errorf("%d staged keys left", n)
	}
	if got, err := c.etcd.Get(deadline(t), desiredKey(direct.Key())); err != nil || !strings.Contains(string(got.Kvs[0].Value), `"weight":99`) {
		t.Errorf("after folding: %v, %v", got, err)
	}
}

func TestAPausedWriterCanWriteNothingMore(t *testing.T) {
	s := newServer(t)
	c, slow := s.client(t), s.client(t)
	mustApply(t, c, fleet(0)...)
	slow.fault = func(at string) {
		if at == "commit" {
			runOut(t, c) // its lease ran out while it was stopped
			mustApply(t, c, pool("other"))
		}
	}
	_, err := slow.Apply(deadline(t), Change{Put: fleet(150)})
	if !errors.Is(err, errLockLost) {
		t.Errorf("got %v", err)
	}
	if set, _, err := c.Read(deadline(t)); err != nil || len(set) != 3 {
		t.Errorf("%d resources, %v", len(set), err)
	}
}

func TestASecondApplyWaitsForTheFirstAndThenNamesIt(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	c, other := s.client(t), s.client(t)
	release := make(chan struct{})
	held := make(chan struct{})
	c.fault = func(at string) {
		if at == "locked" {
			close(held)
			<-release
		}
	}
	var wg sync.WaitGroup
	wg.Go(func() {
		if _, err := c.Apply(deadline(t), Change{Put: fleet(1), Author: "alice"}); err != nil {
			t.Error(err)
		}
	})
	<-held
	began := time.Now()
	_, err := other.Apply(deadline(t), Change{Put: fleet(2), Author: "bob"})
	var locked *LockedError
	if !errors.As(err, &locked) || locked.Author != "alice" || !strings.Contains(err.Error(), "alice") {
		t.Errorf("got %v", err)
	}
	if took := time.Since(began); took < 9*time.Second || took > 13*time.Second {
		t.Errorf("gave up after %s", took)
	}
	close(release)
	wg.Wait()
	if res := mustApply(t, other, fleet(2)...); len(res.Created) != 1 {
		t.Errorf("afterwards: %+v", res)
	}
}

func TestAKilledWritersLockRunsOutByItself(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	dying := die(t, s, "locked", 1)
	dying.lockTTL = 2 * time.Second
	if _, err := dying.Apply(deadline(t), Change{Put: fleet(1)}); err == nil {
		t.Fatal("a dead writer succeeded")
	}
	mustApply(t, s.client(t), fleet(1)...)
}

func TestApplySaysThatEtcdIsAway(t *testing.T) {
	c, err := Open(Config{Endpoints: []string{freeAddress(t)}, RequestTimeout: 300 * time.Millisecond})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if _, err = c.Apply(deadline(t), Change{Put: fleet(1)}); !errors.Is(err, ErrUnreachable) {
		t.Errorf("got %v", err)
	}
}

func TestOpenRefusesAWrongConfiguration(t *testing.T) {
	for _, endpoints := range [][]string{nil, {""}, {"localhost"}, {"ftp://127.0.0.1:1"}, {"http://:2379"}} {
		if c, err := Open(Config{Endpoints: endpoints}); err == nil {
			c.Close()
			t.Errorf("%q was taken", endpoints)
		}
	}
}
