// SPDX-License-Identifier: Apache-2.0

package dns

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/VictoriaMetrics/metrics"
	mdns "github.com/miekg/dns"

	"meridian/geo"
	"meridian/topology"
)

// world is a topology of three regions, the last of which has no IPv6 and one of which has many edges.
func world(t testing.TB, rev topology.Revision, more ...topology.Resource) *topology.Snapshot {
	t.Helper()
	set := topology.Set{}
	for _, r := range []topology.Resource{
		&topology.Region{Name: "us-east-1", Latitude: 38.9, Longitude: -77.4},
		&topology.Region{Name: "eu-central-1", Latitude: 50.1, Longitude: 8.7},
		&topology.Region{Name: "ap-southeast-1", Latitude: 1.3, Longitude: 103.8},
		edge("us-1", "us-east-1", "192.0.2.1", "2001:db8:1::1"),
		edge("eu-1", "eu-central-1", "192.0.2.2", "2001:db8:2::1"),
		edge("eu-2", "eu-central-1", "192.0.2.3"),
		edge("ap-1", "ap-southeast-1", "192.0.2.4"),
		&topology.Pool{Name: "mcp", Protocol: "mcp"},
		&topology.Name{Name: "mcp.edge.test", Pool: "mcp"},
		&topology.Name{Name: "a.b.edge.test", Zone: "edge.test", Pool: "mcp", TTL: topology.Duration(5 * time.Second)},
		&topology.Name{Name: "apex.test", Zone: "apex.test", Pool: "mcp"},
		&topology.Name{Name: "api.in.deep.edge.test", Pool: "mcp"}, // zone in.deep.edge.test, inside of edge.test
	} {
		set.Put(r)
	}
	for _, r := range more {
		set.Put(r)
	}
	s, problems := topology.Build(rev, set)
	if len(problems) > 0 {
		t.Fatal(problems)
	}
	return s
}

func edge(name topology.EdgeID, region topology.RegionID, addresses ...string) *topology.Edge {
	e := &topology.Edge{Name: name, Region: region}
	for _, a := range addresses {
		e.Addresses = append(e.Addresses, netip.MustParseAddr(a))
	}
	return e
}

// chooser chooses as `edge serve` does, for the real table of places; every region can serve.
func chooser(store *topology.Store, own topology.RegionID) func(*topology.Name, netip.Addr) (geo.Choice, []netip.Addr) {
	return func(_ *topology.Name, client netip.Addr) (geo.Choice, []netip.Addr) {
		s := store.Load()
		var sites []geo.Site
		for _, r := range s.Regions {
			sites = append(sites, geo.Site{Region: r.Name, Latitude: r.Latitude, Longitude: r.Longitude})
		}
		c := geo.Choose(geo.Embedded().Locate(client), sites, own, nil)
		var all []netip.Addr
		for _, e := range s.EdgesIn(c.Region) {
			all = append(all, e.Addresses...)
		}
		return c, all
	}
}

// running is a server on a free port of 127.0.0.1.
type running struct {
	*Server
	store *topology.Store
	addr  string
	set   *metrics.Set
	stop  func() // ends Run and waits for it; the end of the test calls it
}

// start runs a server for the length of the test. change may alter its configuration.
func start(t testing.TB, s *topology.Snapshot, change ...func(*Config)) *running {
	t.Helper()
	r := &running{store: &topology.Store{}, set: metrics.NewSet()}
	r.store.Swap(s)
	c := Config{
		Listen:   []string{"127.0.0.1:0"},
		Edge:     "eu-1",
		Snapshot: r.store.Load,
		Choose:   chooser(r.store, "eu-central-1"),
		Metrics:  r.set,
	}
	for _, f := range change {
		f(&c)
	}
	var err error
	if r.Server, err = New(c); err != nil {
		t.Fatal(err)
	}
	if err := r.Listen(); err != nil {
		t.Fatal(err)
	}
	r.addr = r.Addrs()[0].String()
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- r.Run(ctx) }()
	r.stop = sync.OnceFunc(func() {
		cancel()
		select {
		case err := <-ended:
			if !errors.Is(err, context.Canceled) {
				t.Errorf("Run returned %v", err)
			}
		case <-time.After(10 * time.Second):
			t.Error("Run has not returned")
		}
	})
	t.Cleanup(r.stop)
	return r
}

// counter returns the value of a counter, by its name with labels.
func (r *running) counter(name string) uint64 { return r.set.GetOrCreateCounter(name).Get() }

// await waits until the counter has the value: it is counted after the answer is on its way.
func (r *running) await(t testing.TB, name string, want uint64) {
	t.Helper()
	deadline := time.Now().Add(5 * time.Second)
	for r.counter(name) != want {
		if time.Now().After(deadline) {
			t.Fatalf("%s is %d, want %d", name, r.counter(name), want)
		}
		<-time.After(time.Millisecond)
	}
}

// question makes a query, which with changes.
func question(name string, qtype uint16, with ...func(*mdns.Msg)) *mdns.Msg {
	m := new(mdns.Msg)
	m.Id = mdns.Id()
	m.Question = []mdns.Question{{Name: name, Qtype: qtype, Qclass: mdns.ClassINET}}
	for _, f := range with {
		f(m)
	}
	return m
}

func withEDNS(size uint16, options ...mdns.EDNS0) func(*mdns.Msg) {
	return func(m *mdns.Msg) {
		m.SetEdns0(size, false)
		m.IsEdns0().Option = options
	}
}

func subnet(p string) *mdns.EDNS0_SUBNET {
	pre := netip.MustParsePrefix(p)
	e := &mdns.EDNS0_SUBNET{Code: mdns.EDNS0SUBNET, Family: 1, SourceNetmask: uint8(pre.Bits()), Address: pre.Addr().AsSlice()}
	if pre.Addr().Is6() {
		e.Family = 2
	}
	return e
}

// ask sends m over proto and returns the answer.
func (r *running) ask(t testing.TB, proto string, m *mdns.Msg) *mdns.Msg {
	t.Helper()
	c := mdns.Client{Net: proto, Timeout: 5 * time.Second, UDPSize: 4096}
	answer, _, err := c.Exchange(m, r.addr)
	if err != nil {
		t.Fatalf("%s %v: %v", proto, m.Question, err)
	}
	return answer
}

// present writes what counts of an answer: the code, the flags, then a line per record of each section; addresses sorted,
// since their order is random.
func present(m *mdns.Msg) string {
	var b strings.Builder
	b.WriteString(mdns.RcodeToString[m.Rcode])
	for _, f := range []struct {
		on   bool
		name string
	}{{m.Authoritative, "aa"}, {m.Truncated, "tc"}, {m.RecursionDesired, "rd"}, {m.RecursionAvailable, "ra"}} {
		if f.on {
			b.WriteString(" " + f.name)
		}
	}
	for _, s := range []struct {
		name string
		rrs  []mdns.RR
	}{{"an", m.Answer}, {"ns", m.Ns}, {"ar", m.Extra}} {
		var lines []string
		for _, rr := range s.rrs {
			if rr.Header().Rrtype != mdns.TypeOPT {
				lines = append(lines, fmt.Sprintf("\n%s %s", s.name, strings.ReplaceAll(rr.String(), "\t", " ")))
			}
		}
		slices.Sort(lines)
		b.WriteString(strings.Join(lines, ""))
	}
	if o := m.IsEdns0(); o != nil {
		for _, e := range o.Option {
			fmt.Fprintf(&b, "\nopt %d %s", e.Option(), e)
		}
	}
	return b.String()
}

// addresses returns those of an answer, sorted.
func addresses(m *mdns.Msg) string {
	var out []string
	for _, rr := range m.Answer {
		switch rr := rr.(type) {
		case *mdns.A:
			out = append(out, rr.A.String())
		case *mdns.AAAA:
			out = append(out, rr.AAAA.String())
		}
	}
	slices.Sort(out)
	return strings.Join(out, " ")
}

func hexOf(s string) string { return fmt.Sprintf("%x", s) }

// topologyOf is a topology with www in a zone and no edge.
func topologyOf(zone topology.NameID) *topology.Snapshot {
	set := topology.Set{}
	set.Put(&topology.Region{Name: "eu-central-1"})
	set.Put(&topology.Pool{Name: "mcp", Protocol: "mcp"})
	set.Put(&topology.Name{Name: "www." + zone, Pool: "mcp"})
	s, _ := topology.Build(3, set)
	return s
}
