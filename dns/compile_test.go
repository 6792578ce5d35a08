// SPDX-License-Identifier: Apache-2.0

package dns

import (
	"fmt"
	"net/netip"
	"strings"
	"testing"

	mdns "github.com/miekg/dns"

	"meridian/dns/wire"
	"meridian/topology"
)

func wireForm(t testing.TB, name string) []byte {
	t.Helper()
	b := make([]byte, 256)
	n, err := mdns.PackDomainName(name, b, 0, nil, false)
	if err != nil {
		t.Fatal(err)
	}
	return b[:n]
}

func TestEveryNameHasItsZone(t *testing.T) {
	z := compile(world(t, 1))
	for name, want := range map[string]string{ // the zone's apex and what is there, or what encloses
		"mcp.edge.test.":                "edge.test. name",
		"a.b.edge.test.":                "edge.test. name",
		"b.edge.test.":                  "edge.test. empty",
		"edge.test.":                    "edge.test. apex",
		"ns.edge.test.":                 "edge.test. empty",
		"us-east-1.ns.edge.test.":       "edge.test. host",
		"deep.edge.test.":               "edge.test. empty",
		"in.deep.edge.test.":            "in.deep.edge.test. apex",
		"api.in.deep.edge.test.":        "in.deep.edge.test. name",
		"apex.test.":                    "apex.test. name",
		"x.y.edge.test.":                "edge.test. absent",
		"x.api.in.deep.edge.test.":      "in.deep.edge.test. absent",
		"test.":                         "outside",
		"dge.test.":                     "outside",
		".":                             "outside",
		"eu-central-1.ns.apex.test.":    "apex.test. host",
		"us.eu-central-1.ns.apex.test.": "apex.test. absent",
	} {
		o, exact := z.find(wireForm(t, name))
		got := "outside"
		if o != nil {
			apex := ""
			for n := range z.owners {
				if z.owners[n].apex && z.owners[n].zone == o.zone {
					apex, _, _ = mdns.UnpackDomainName([]byte(n), 0)
				}
			}
			what := "apex"
			switch {
			case !exact:
				what = "absent"
			case o.name != nil:
				what = "name"
			case o.empty():
				what = "empty"
			case !o.apex:
				what = "host"
			}
			got = apex + " " + what
		}
		if got != want {
			t.Errorf("%s: got %s, want %s", name, got, want)
		}
	}
}

func TestWhatMakesNoHostNameIsLeftOut(t *testing.T) {
	long := topology.NameID("www." + strings.Repeat("a23456789.", 23) + "a2345678901234567") // the zone has 249 bytes in wire form
	s := world(t, 1,
		&topology.Region{Name: "a.-b"}, edge("odd", "a.-b", "192.0.2.8"),
		&topology.Region{Name: "dotted.region"}, edge("dotted", "dotted.region", "192.0.2.9"),
		&topology.Name{Name: long, Pool: "mcp"},
	)
	z := compile(s)
	if o, exact := z.find(wireForm(t, "a.-b.ns.edge.test.")); exact {
		t.Errorf("a region that is no host name has a server: %+v", o)
	}
	if o, exact := z.find(wireForm(t, "dotted.region.ns.edge.test.")); !exact || len(o.v4) != 1 {
		t.Errorf("a region with a dot has no server: %+v", o)
	}
	o, exact := z.find(wireForm(t, strings.TrimPrefix(string(long), "www.")+"."))
	if !exact || !o.apex || o.zone.mailbox.Suffix != 0 {
		t.Fatalf("a long zone: got %+v, %v", o, exact)
	}
	for _, srv := range o.zone.servers {
		if n := len(srv.host.Labels) + int(srv.host.Suffix); n > wire.MaxNameBytes {
			t.Errorf("a name server of %d bytes", n)
		}
	}
}

func TestANameThatIsSpelledLikeAServerKeepsItsAnswers(t *testing.T) {
	z := compile(world(t, 1, &topology.Name{Name: "us-east-1.ns.edge.test", Zone: "edge.test", Pool: "mcp"}))
	o, exact := z.find(wireForm(t, "us-east-1.ns.edge.test."))
	if !exact || o.name == nil || len(o.v4) != 0 {
		t.Errorf("got %+v", o)
	}
}

func BenchmarkCompileTenThousandNames(b *testing.B) {
	var more []topology.Resource
	for i := range 10000 {
		more = append(more, &topology.Name{Name: topology.NameID(fmt.Sprintf("n%d.edge.test", i)), Pool: "mcp"})
	}
	s := world(b, 1, more...)
	b.ReportAllocs()
	for b.Loop() {
		compile(s)
	}
}

func TestADrainedEdgeIsNoNameServerUnlessItIsTheOnlyOne(t *testing.T) {
	set := topology.Set{}
	set.Put(&topology.Region{Name: "r"})
	for i, name := range []topology.EdgeID{"e1", "e2"} {
		set.Put(&topology.Edge{Name: name, Region: "r", Addresses: []netip.Addr{netip.AddrFrom4([4]byte{192, 0, 2, byte(i + 1)})}})
	}
	both, _ := topology.Build(1, set)
	set.Put(&topology.Drain{Name: "edge/e1"})
	one, _ := topology.Build(2, set)
	set.Put(&topology.Drain{Name: "edge/e2"})
	none, _ := topology.Build(3, set)
	for want, s := range map[string]*topology.Snapshot{"[192.0.2.1 192.0.2.2]": both, "[192.0.2.2]": one} {
		if got := fmt.Sprint(hostsOf(s)[0].v4); got != want {
			t.Errorf("got %s, want %s", got, want)
		}
	}
	if got := len(hostsOf(none)[0].v4); got != 2 {
		t.Errorf("with both drained there are %d addresses", got)
	}
	if inputsOf(both).equal(inputsOf(one)) {
		t.Error("a drain does not make zones anew")
	}
}
