// SPDX-License-Identifier: Apache-2.0

package dns

import (
	"bytes"
	"strings"
	"sync"
	"testing"

	"github.com/VictoriaMetrics/metrics"
	mdns "github.com/miekg/dns"

	"meridian/topology"
)

func TestARevisionWithTheSameNamesKeepsTheirZones(t *testing.T) {
	set := topology.Set{}
	for _, k := range topology.Kinds {
		for _, r := range world(t, 1).List(k) {
			set.Put(r)
		}
	}
	one, _ := topology.Build(1, set)
	set.Put(&topology.Node{Name: "n1", Pool: "mcp", Region: "us-east-1", Address: "127.0.0.1:1"})
	reported := *edge("us-1", "us-east-1", "192.0.2.1", "2001:db8:1::1")
	reported.Report = &topology.Report{Seq: 2}
	set.Put(&reported)
	two, problems := topology.Build(2, set)
	if len(problems) > 0 {
		t.Fatal(problems)
	}
	moved := reported
	moved.Region = "eu-central-1"
	set.Put(&moved)
	three, _ := topology.Build(3, set)

	store := &topology.Store{}
	ms := &models{snapshot: store.Load, stats: newStats(metrics.NewSet())}
	if got := ms.load(); got != nil {
		t.Errorf("before the first: got %+v", got)
	}
	store.Swap(one)
	first := ms.load()
	store.Swap(two)
	second := ms.load()
	if second == first || second.zones != first.zones || second.serial() != 2 {
		t.Errorf("nodes and reports changed: zones kept %v, serial %d", second.zones == first.zones, second.serial())
	}
	store.Swap(three)
	third := ms.load()
	if third.zones == second.zones || third.serial() != 3 {
		t.Errorf("an edge moved: zones kept %v, serial %d", third.zones == second.zones, third.serial())
	}
	store.Swap(nil)
	if got := ms.load(); got != third {
		t.Errorf("a snapshot that is gone: got %+v", got)
	}
}

func TestQueriesGoOnWhileOneOfThemCompiles(t *testing.T) {
	store := &topology.Store{}
	ms := &models{snapshot: store.Load, stats: newStats(metrics.NewSet())}
	store.Swap(world(t, 1))
	first := ms.load()
	store.Swap(world(t, 2))
	ms.building.Lock() // as one that compiles
	if got := ms.load(); got != first {
		t.Errorf("got %+v, want the model before", got)
	}
	ms.building.Unlock()
	if got := ms.load(); got.serial() != 2 {
		t.Errorf("afterwards: serial %d", got.serial())
	}
}

func TestManyReadersSeeOneModelOfARevision(t *testing.T) {
	store := &topology.Store{}
	ms := &models{snapshot: store.Load, stats: newStats(metrics.NewSet())}
	for rev := range topology.Revision(20) {
		store.Swap(world(t, rev+1))
		var wg sync.WaitGroup
		for range 8 {
			wg.Go(func() {
				for range 20 {
					if m := ms.load(); m.serial() != uint32(rev+1) && m.serial() != uint32(rev) {
						t.Errorf("serial %d at revision %d", m.serial(), rev+1)
					}
				}
			})
		}
		wg.Wait()
		if got := ms.load().serial(); got != uint32(rev+1) {
			t.Errorf("in the end: serial %d at revision %d", got, rev+1)
		}
	}
}

func TestSeriesOfNamesThatAreGoneEnd(t *testing.T) {
	r := start(t, world(t, 1, &topology.Name{Name: "old.edge.test", Pool: "mcp"}))
	r.ask(t, "udp", question("old.edge.test.", mdns.TypeA))
	r.ask(t, "udp", question("mcp.edge.test.", mdns.TypeA))
	r.await(t, `meridian_dns_answers_total{name="old.edge.test",region="eu-central-1"}`, 1)
	r.await(t, `meridian_dns_answers_total{name="mcp.edge.test",region="eu-central-1"}`, 1)
	r.store.Swap(world(t, 2))
	r.ask(t, "udp", question("mcp.edge.test.", mdns.TypeA))
	var b bytes.Buffer
	r.set.WritePrometheus(&b)
	if strings.Contains(b.String(), "old.edge.test") || !strings.Contains(b.String(), `{name="mcp.edge.test",region="eu-central-1"} 2`) {
		t.Errorf("got\n%s", b.String())
	}
}
