// SPDX-License-Identifier: Apache-2.0

package etcd

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"

	"meridian/topology"
)

func TestAChangeReachesAWatcher(t *testing.T) {
	c := newServer(t).client(t)
	f := follow(t, c, WatcherConfig{})
	f.until(t, 5*time.Second, "nothing in it", nodes(0))
	res := mustApply(t, c, fleet(3)...)
	took := f.until(t, 5*time.Second, "3 nodes", nodes(3))
	t.Logf("a change was seen after %s", took)
	if s := f.latest(); s.Revision < res.Revision {
		t.Errorf("snapshot at %d, the change at %d", s.Revision, res.Revision)
	}
	eventually(t, time.Second, "the status", func() bool { return f.Status().Publishes == 2 && f.Status().Revision >= res.Revision })
	st := f.Status()
	if !st.Connected || st.Stale || st.FromDisk || st.Revision < res.Revision || st.Cluster == "" || st.LastContact.IsZero() {
		t.Errorf("status %+v", st)
	}
	var b strings.Builder
	f.WritePrometheus(&b)
	for _, want := range []string{"meridian_topology_connected 1", "meridian_topology_publishes_total 2", "meridian_topology_stale_seconds 0"} {
		if !strings.Contains(b.String(), want) {
			t.Errorf("no %q in\n%s", want, b.String())
		}
	}
}

func TestNothingIsPublishedWhenNothingChanged(t *testing.T) {
	c := newServer(t).client(t)
	mustApply(t, c, fleet(2)...)
	f := follow(t, c, WatcherConfig{})
	f.until(t, 5*time.Second, "2 nodes", nodes(2))
	write(t, c, root+"pools/mcp", `{ "name": "mcp", "version": 1 }`) // the same in other words
	rev := write(t, c, root+"pools/mcp", `{"version":1,"name":"mcp"}`)
	eventually(t, 5*time.Second, "the writes being seen", func() bool { return f.Status().Seen >= topology.Revision(rev) })
	if n := len(f.all()); n != 1 {
		t.Errorf("%d snapshots", n)
	}
	drain := &topology.Drain{Name: "node/n-00001", Created: time.Unix(1, 0).UTC()}
	mustApply(t, c, drain)
	f.until(t, 5*time.Second, "the drain", func(s *topology.Snapshot) bool { return s.DrainOf("n-00001") != nil })
	again := write(t, c, root+"drains/node/n-00001", string(topology.Encode(drain)))
	f.until(t, 5*time.Second, "the drain's rewrite", func(s *topology.Snapshot) bool { return s.Revision >= topology.Revision(again) })
}

func TestABurstBecomesFewSnapshots(t *testing.T) {
	c := newServer(t).client(t)
	mustApply(t, c, fleet(0)...)
	f := follow(t, c, WatcherConfig{})
	f.until(t, 5*time.Second, "the pool", func(s *topology.Snapshot) bool { return len(s.Pools) == 1 })
	began := time.Now()
	for i := range 200 {
		write(t, c, desiredKey(node(i).Key()), string(topology.Encode(node(i))))
	}
	f.until(t, 5*time.Second, "200 nodes", nodes(200))
	if n, most := len(f.all()), 3+int(time.Since(began)/publishEvery); n > most {
		t.Errorf("%d snapshots; want at most %d", n, most)
	}
}

func TestAnEtcdThatStopsAndReturns(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	c := s.client(t)
	mustApply(t, c, fleet(2)...)
	f := follow(t, c, WatcherConfig{})
	f.until(t, 5*time.Second, "2 nodes", nodes(2))
	s.stop(t)
	eventually(t, 5*time.Second, "the loss being seen", func() bool { return f.Status().Stale })
	if !nodes(2)(f.latest()) {
		t.Error("the topology was lost with etcd")
	}
	away := time.NewTimer(3 * time.Second)
	defer away.Stop()
	<-away.C
	s.start(t)
	back := time.Now()
	mustApply(t, s.client(t), fleet(3)...)
	f.until(t, 5*time.Second, "the third node", nodes(3))
	if took := time.Since(back); took > 2*time.Second {
		t.Errorf("a change after etcd's return took %s", took)
	} else {
		t.Logf("a change was seen %s after etcd's return", took)
	}
	eventually(t, 3*time.Second, "the status", func() bool { st := f.Status(); return st.Connected && !st.Stale })
}

func TestAWatcherReadsAnewAfterCompaction(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	c := s.client(t)
	mustApply(t, c, fleet(2)...)
	f := follow(t, c, WatcherConfig{})
	f.until(t, 5*time.Second, "2 nodes", nodes(2))
	// Stop following without ending the watcher: the next watch starts at a revision that is gone by then.
	s.stop(t)
	eventually(t, 5*time.Second, "the loss being seen", func() bool { return f.Status().Stale })
	s.start(t)
	other := s.client(t)
	if _, err := other.Apply(deadline(t), Change{Delete: []topology.Key{node(1).Key()}}); err != nil {
		t.Fatal(err)
	}
	res := mustApply(t, other, node(5), node(6))
	if _, err := other.etcd.Compact(deadline(t), int64(res.Revision)); err != nil {
		t.Fatal(err)
	}
	f.until(t, 10*time.Second, "3 nodes", func(s *topology.Snapshot) bool {
		return len(s.Nodes) == 3 && s.Node("n-00001") == nil && s.Node("n-00006") != nil
	})
}

func TestAResumeAtACompactedRevisionListsAgain(t *testing.T) {
	c := newServer(t).client(t)
	mustApply(t, c, fleet(2)...)
	w := c.Watcher(WatcherConfig{Publish: func(*topology.Snapshot) {}})
	if err := w.list(deadline(t)); err != nil {
		t.Fatal(err)
	}
	if _, err := c.Apply(deadline(t), Change{Delete: []topology.Key{node(1).Key()}}); err != nil {
		t.Fatal(err)
	}
	res := mustApply(t, c, node(5))
	if _, err := c.etcd.Compact(deadline(t), int64(res.Revision)); err != nil {
		t.Fatal(err)
	}
	if err := w.follow(deadline(t)); err == nil || w.listed {
		t.Fatalf("following from a compacted revision: %v, listed %t", err, w.listed)
	}
	if err := w.list(deadline(t)); err != nil {
		t.Fatal(err)
	}
	if w.snap.Node("n-00001") != nil || w.snap.Node("n-00005") == nil {
		t.Error("a change that only the second listing shows was missed")
	}
}

func TestAnotherEtcdIsReadAnew(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	c := s.client(t)
	logs := &logBuffer{}
	f := follow(t, s.client(t, func(cfg *Config) { cfg.Logger = logs.logger() }), WatcherConfig{})
	mustApply(t, c, fleet(4)...)
	f.until(t, 5*time.Second, "4 nodes", nodes(4))
	s.stop(t)
	s.cfg.Dir = t.TempDir()
	s.start(t)
	other := s.client(t)
	for i := range 10 { // so that its revision is not lower
		mustApply(t, other, pool(fmt.Sprintf("p%d", i)))
	}
	mustApply(t, other, fleet(1)...)
	f.until(t, 10*time.Second, "1 node", nodes(1))
	if logs.count("set back") == 0 {
		t.Error("no warning")
	}
}

func TestAMalformedValueIsRefusedAndTheLastGoodOneUsed(t *testing.T) {
	s := newServer(t)
	c := s.client(t)
	logs := &logBuffer{}
	f := follow(t, s.client(t, func(cfg *Config) { cfg.Logger = logs.logger() }), WatcherConfig{})
	mustApply(t, c, fleet(2)...)
	f.until(t, 5*time.Second, "2 nodes", nodes(2))
	write(t, c, root+"nodes/n-00001", `{"version":1,"name":"n-00001","address":`)
	write(t, c, root+"nodes/fresh", `["not","an","object"]`)
	write(t, c, root+"gadgets/x", `{}`)
	write(t, c, liveRoot+"pools/x", `{}`)
	write(t, c, root+"nodes/BAD\x1b[31m", `{}`)
	f.until(t, 5*time.Second, "5 refusals", func(s *topology.Snapshot) bool {
		keys := map[string]bool{}
		for _, r := range s.Refused {
			keys[r.Key.String()] = true
		}
		return len(keys) == 5
	})
	snap := f.latest()
	if len(snap.Nodes) != 2 || snap.Node("n-00001") == nil {
		t.Errorf("nodes %v", snap.Nodes)
	}
	for _, r := range snap.Refused {
		if good := strings.HasPrefix(r.Using, "the last good value (revision "); good != (r.Key.Name == "n-00001") {
			t.Errorf("%s: using %q", r.Key, r.Using)
		}
		if strings.Contains(r.Key.Name, "\x1b") {
			t.Errorf("a control character in %q", r.Key.Name)
		}
	}
	write(t, c, root+"pools/other", `{"version":1,"name":"other"}`)
	f.until(t, 5*time.Second, "another change", func(s *topology.Snapshot) bool { return s.Pool("other") != nil })
	if n := logs.count("key=/meridian/v1/nodes/n-00001"); n != 1 {
		t.Errorf("logged %d times", n)
	}
	write(t, c, root+"nodes/n-00001", `still wrong`)
	eventually(t, 5*time.Second, "the second line in the log", func() bool { return logs.count("key=/meridian/v1/nodes/n-00001") == 2 })
	mustApply(t, c, node(1))
	f.until(t, 5*time.Second, "n-00001 mended", func(s *topology.Snapshot) bool {
		for _, r := range s.Refused {
			if r.Key.Name == "n-00001" {
				return false
			}
		}
		return true
	})
	eventually(t, time.Second, "the status", func() bool { st := f.Status(); return st.RefusedValues == 4 && st.Rejected >= 5 })
}

// refusedUsing waits for a refusal of a key and returns what is used.
func refusedUsing(t *testing.T, f *follower, name string) string {
	t.Helper()
	using := ""
	f.until(t, 5*time.Second, "a refusal of "+name, func(s *topology.Snapshot) bool {
		for _, r := range s.Refused {
			if r.Key.Name == name {
				using = r.Using
				return true
			}
		}
		return false
	})
	return using
}

func TestALaterReaderFindsTheLastGoodValueInHistoryThenOnDisk(t *testing.T) {
	s := newServer(t)
	c := s.client(t)
	dir := t.TempDir()
	onDisk := func(cfg *Config) { cfg.Dir = dir }
	mustApply(t, c, fleet(2)...)
	early := follow(t, s.client(t, onDisk), WatcherConfig{})
	early.until(t, 5*time.Second, "2 nodes", nodes(2))
	early.stop()
	heavier := node(1)
	heavier.Weight = 5
	good := mustApply(t, c, heavier).Revision
	for i := range 3 {
		write(t, c, root+"nodes/n-00001", fmt.Sprintf("bad %d", i))
	}
	weight := func(s *topology.Snapshot) int { return s.Node("n-00001").EffectiveWeight() }

	fromHistory := follow(t, s.client(t, onDisk), WatcherConfig{})
	if using := refusedUsing(t, fromHistory, "n-00001"); using != fmt.Sprintf("the last good value (revision %d)", good) || weight(fromHistory.latest()) != 5 {
		t.Errorf("history: using %q, weight %d", using, weight(fromHistory.latest()))
	}
	fromHistory.stop()

	last := write(t, c, root+"nodes/n-00001", "bad for good")
	if _, err := c.etcd.Compact(deadline(t), last); err != nil {
		t.Fatal(err)
	}
	fromDisk := follow(t, s.client(t, onDisk), WatcherConfig{})
	if using := refusedUsing(t, fromDisk, "n-00001"); !strings.HasPrefix(using, "the last good value") || weight(fromDisk.latest()) != 5 {
		t.Errorf("disk: using %q, weight %d", using, weight(fromDisk.latest()))
	}
	without := follow(t, c, WatcherConfig{})
	if using := refusedUsing(t, without, "n-00001"); using != "nothing" || !nodes(1)(without.latest()) {
		t.Errorf("neither: using %q", using)
	}
}

func TestADanglingReferenceCostsOneResource(t *testing.T) {
	c := newServer(t).client(t)
	mustApply(t, c, append(fleet(2), &topology.Route{Name: "r", Pool: "mcp"})...)
	f := follow(t, c, WatcherConfig{})
	f.until(t, 5*time.Second, "2 nodes", nodes(2))
	write(t, c, root+"routes/r", `{"version":1,"name":"r","pool":"missing"}`)
	write(t, c, root+"routes/s", `{"version":1,"name":"s","pool":"missing"}`)
	if using := refusedUsing(t, f, "s"); using != "nothing" {
		t.Errorf("s: using %q", using)
	}
	if using := refusedUsing(t, f, "r"); using != "the last good value" {
		t.Errorf("r: using %q", using)
	}
	if r := f.latest().Match("GET", "any", "/"); r == nil || r.Pool != "mcp" {
		t.Errorf("the route is %+v", r)
	}
	mustApply(t, c, pool("missing"))
	f.until(t, 5*time.Second, "nothing refused", func(s *topology.Snapshot) bool { return len(s.Refused) == 0 && len(s.Routes) == 2 })
}

func TestWithoutEtcdTheTopologyComesFromDisk(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	dir := t.TempDir()
	onDisk := func(cfg *Config) { cfg.Dir = dir }
	c := s.client(t, onDisk)
	mustApply(t, c, fleet(2)...)
	live := node(9)
	write(t, c, liveKey(live.Key()), string(topology.Encode(live)))
	f := follow(t, c, WatcherConfig{})
	f.until(t, 5*time.Second, "3 nodes", nodes(3))
	f.stop()
	s.stop(t)

	began := time.Now()
	late := follow(t, s.client(t, onDisk), WatcherConfig{})
	late.until(t, time.Second, "3 nodes", nodes(3))
	t.Logf("from disk after %s", time.Since(began))
	eventually(t, time.Second, "the status", func() bool {
		st := late.Status()
		return st.Stale && st.FromDisk && !st.Connected && st.Revision > 0
	})
	if !late.latest().Node("n-00009").Live {
		t.Error("a live node is no longer live")
	}
	s.start(t)
	eventually(t, 5*time.Second, "the contact", func() bool { st := late.Status(); return st.Connected && !st.Stale && !st.FromDisk })
	mustApply(t, s.client(t), node(3))
	late.until(t, 5*time.Second, "4 nodes", nodes(4))
}

func TestABrokenFileGivesWayToTheOneBefore(t *testing.T) {
	s := newServer(t)
	dir := t.TempDir()
	onDisk := func(cfg *Config) { cfg.Dir = dir }
	c := s.client(t)
	for n := 1; n <= 2; n++ {
		mustApply(t, c, fleet(n)...)
		f := follow(t, s.client(t, onDisk), WatcherConfig{})
		f.until(t, 5*time.Second, "the nodes", nodes(n))
		f.stop()
	}
	s.stop(t)
	path := filepath.Join(dir, diskFile)
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	b[len(b)/2] ^= 1
	if err := os.WriteFile(path, b, 0o600); err != nil {
		t.Fatal(err)
	}
	logs := &logBuffer{}
	f := follow(t, s.client(t, onDisk, func(cfg *Config) { cfg.Logger = logs.logger() }), WatcherConfig{})
	f.until(t, time.Second, "the node of the file before", nodes(1))
	if logs.count("the checksum does not match") != 1 || f.Status().DiskErrors != 1 {
		t.Errorf("errors %d", f.Status().DiskErrors)
	}
}

func TestALostLeaseIsNotADeath(t *testing.T) {
	t.Parallel()
	c := newServer(t).client(t)
	mustApply(t, c, fleet(0)...)
	f := follow(t, c, WatcherConfig{Hold: time.Second})
	put := func(n *topology.Node) { write(t, c, liveKey(n.Key()), string(topology.Encode(n))) }
	vanish := func(n *topology.Node) {
		if _, err := c.etcd.Delete(deadline(t), liveKey(n.Key())); err != nil {
			t.Fatal(err)
		}
	}
	lost, back, leaving := node(1), node(2), node(3)
	put(lost)
	put(back)
	leaving.Leaving = true
	put(leaving)
	f.until(t, 5*time.Second, "3 nodes", nodes(3))
	vanish(lost)
	vanish(back)
	began := time.Now()
	vanish(leaving)
	f.until(t, time.Second, "the leaving one gone at once", nodes(2))
	eventually(t, time.Second, "the status", func() bool { return f.Status().Held == 2 })
	put(back)
	f.until(t, 5*time.Second, "the lost one gone in the end", nodes(1))
	if took := time.Since(began); took < 900*time.Millisecond {
		t.Errorf("it was held for %s", took)
	}
	if f.latest().Node("n-00002") == nil {
		t.Error("the one that came back is gone")
	}
	for _, s := range f.all()[3:] {
		if s.Node("n-00002") == nil {
			t.Errorf("the one that came back was missing at revision %d", s.Revision)
		}
	}
}

func TestLiveNodesThatOnlyTheDiskKnowsAreHeld(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	dir := t.TempDir()
	onDisk := func(cfg *Config) { cfg.Dir = dir }
	c := s.client(t)
	mustApply(t, c, fleet(1)...)
	write(t, c, liveKey(node(5).Key()), string(topology.Encode(node(5))))
	f := follow(t, s.client(t, onDisk), WatcherConfig{})
	f.until(t, 5*time.Second, "2 nodes", nodes(2))
	f.stop()
	if _, err := c.etcd.Delete(deadline(t), root, clientv3.WithFromKey()); err != nil {
		t.Fatal(err)
	}
	mustApply(t, c, fleet(0)...)
	late := follow(t, s.client(t, onDisk), WatcherConfig{Hold: 500 * time.Millisecond})
	late.until(t, 5*time.Second, "the live node, not the deleted static one", func(s *topology.Snapshot) bool {
		return len(s.Nodes) == 1 && s.Node("n-00005") != nil
	})
	late.until(t, 5*time.Second, "no node", nodes(0))
}

func TestAListingOfManyKeysIsReadInPages(t *testing.T) {
	c := newServer(t).client(t)
	mustApply(t, c, fleet(2*pageKeys+1)...)
	set, _, err := c.Read(deadline(t))
	if err != nil || len(set) != 2*pageKeys+3 {
		t.Errorf("%d resources, %v", len(set), err)
	}
}
