// SPDX-License-Identifier: Apache-2.0

package dns

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	mdns "github.com/miekg/dns"
)

const (
	soaEdge = "ns edge.test. 60 IN SOA ap-southeast-1.ns.edge.test. hostmaster.edge.test. 41 3600 600 86400 60"
	soaDeep = "ns in.deep.edge.test. 60 IN SOA ap-southeast-1.ns.in.deep.edge.test. hostmaster.in.deep.edge.test. 41 3600 600 86400 60"
)

func TestAnswersOverBothTransports(t *testing.T) {
	london := withEDNS(1232, subnet("81.2.69.0/24"))
	cases := []struct {
		name  string
		qtype uint16
		with  func(*mdns.Msg)
		want  string
	}{
		{"mcp.edge.test.", mdns.TypeA, nil, "NOERROR aa\nan mcp.edge.test. 30 IN A 192.0.2.2\nan mcp.edge.test. 30 IN A 192.0.2.3"},
		{"MCP.edge.TEST.", mdns.TypeAAAA, nil, "NOERROR aa\nan MCP.edge.TEST. 30 IN AAAA 2001:db8:2::1"},
		{"mcp.edge.test.", mdns.TypeA, func(m *mdns.Msg) { m.RecursionDesired = true }, "NOERROR aa rd\nan mcp.edge.test. 30 IN A 192.0.2.2\nan mcp.edge.test. 30 IN A 192.0.2.3"},
		{"a.b.edge.test.", mdns.TypeAAAA, nil, "NOERROR aa\nan a.b.edge.test. 5 IN AAAA 2001:db8:2::1"},
		{"apex.test.", mdns.TypeAAAA, nil, "NOERROR aa\nan apex.test. 30 IN AAAA 2001:db8:2::1"},
		// Australia is nearest to Singapore, which has no IPv6: a negative answer lives no longer than a positive one.
		{"a.b.edge.test.", mdns.TypeAAAA, withEDNS(1232, subnet("1.1.1.0/24")), "NOERROR aa\nns edge.test. 5 IN SOA ap-southeast-1.ns.edge.test. hostmaster.edge.test. 41 3600 600 86400 60\nopt 8 1.1.1.0/24/0"},
		{"mcp.edge.test.", mdns.TypeHTTPS, london, "NOERROR aa\n" + soaEdge + "\nopt 8 81.2.69.0/24/0"},
		{"mcp.edge.test.", mdns.TypeTXT, nil, "NOERROR aa\n" + soaEdge},
		{"mcp.edge.test.", mdns.TypeSOA, nil, "NOERROR aa\n" + soaEdge},
		{"mcp.edge.test.", 1000, nil, "NOERROR aa\n" + soaEdge},
		{"mcp.edge.test.", mdns.TypeANY, nil, "NOERROR aa\nan mcp.edge.test. 3600 IN HINFO \"RFC8482\" \"\""},
		{"edge.test.", mdns.TypeSOA, london, "NOERROR aa\nan edge.test. 3600 IN SOA ap-southeast-1.ns.edge.test. hostmaster.edge.test. 41 3600 600 86400 60\nopt 8 81.2.69.0/24/0"},
		{"edge.test.", mdns.TypeA, nil, "NOERROR aa\n" + soaEdge},
		{"edge.test.", mdns.TypeDNSKEY, nil, "NOERROR aa\n" + soaEdge},
		{"edge.test.", mdns.TypeNS, london, "NOERROR aa" +
			"\nan edge.test. 3600 IN NS ap-southeast-1.ns.edge.test." +
			"\nan edge.test. 3600 IN NS eu-central-1.ns.edge.test." +
			"\nan edge.test. 3600 IN NS us-east-1.ns.edge.test." +
			"\nar ap-southeast-1.ns.edge.test. 60 IN A 192.0.2.4" +
			"\nar eu-central-1.ns.edge.test. 60 IN A 192.0.2.2" +
			"\nar eu-central-1.ns.edge.test. 60 IN A 192.0.2.3" +
			"\nar eu-central-1.ns.edge.test. 60 IN AAAA 2001:db8:2::1" +
			"\nar us-east-1.ns.edge.test. 60 IN A 192.0.2.1" +
			"\nar us-east-1.ns.edge.test. 60 IN AAAA 2001:db8:1::1" +
			"\nopt 8 81.2.69.0/24/0"},
		{"us-east-1.ns.edge.test.", mdns.TypeA, london, "NOERROR aa\nan us-east-1.ns.edge.test. 60 IN A 192.0.2.1\nopt 8 81.2.69.0/24/0"},
		{"us-east-1.ns.edge.test.", mdns.TypeAAAA, nil, "NOERROR aa\nan us-east-1.ns.edge.test. 60 IN AAAA 2001:db8:1::1"},
		{"ap-southeast-1.ns.edge.test.", mdns.TypeAAAA, nil, "NOERROR aa\n" + soaEdge},
		{"ns.edge.test.", mdns.TypeA, nil, "NOERROR aa\n" + soaEdge},
		{"ns.edge.test.", mdns.TypeANY, nil, "NOERROR aa\n" + soaEdge},
		{"b.edge.test.", mdns.TypeA, nil, "NOERROR aa\n" + soaEdge},
		{"deep.edge.test.", mdns.TypeA, nil, "NOERROR aa\n" + soaEdge},
		{"in.deep.edge.test.", mdns.TypeA, nil, "NOERROR aa\n" + soaDeep},
		{"in.deep.edge.test.", mdns.TypeDS, nil, "NOERROR aa\n" + soaEdge},
		{"x.in.deep.edge.test.", mdns.TypeA, nil, "NXDOMAIN aa\n" + soaDeep},
		{"no.edge.test.", mdns.TypeA, london, "NXDOMAIN aa\n" + soaEdge + "\nopt 8 81.2.69.0/24/0"},
		{"x.mcp.edge.test.", mdns.TypeANY, nil, "NXDOMAIN aa\n" + soaEdge},
		{"example.org.", mdns.TypeA, nil, "REFUSED"},
		{"example.org.", mdns.TypeA, withEDNS(1232), "REFUSED\nopt 15 20 (Not Authoritative): ()"},
		{"xedge.test.", mdns.TypeA, nil, "REFUSED"},
		{"test.", mdns.TypeNS, nil, "REFUSED"},
		{".", mdns.TypeNS, nil, "REFUSED"},
		{"edge.test.", mdns.TypeIXFR, nil, "REFUSED"},
		{"mcp.edge.test.", mdns.TypeA, func(m *mdns.Msg) { m.Question[0].Qclass = mdns.ClassCHAOS }, "REFUSED"},
		{"mcp.edge.test.", mdns.TypeA, func(m *mdns.Msg) { m.Question[0].Qclass = mdns.ClassANY }, "REFUSED"},
		{"mcp.edge.test.", mdns.TypeNXNAME, nil, "FORMERR"},
		{"mcp.edge.test.", mdns.TypeOPT, nil, "FORMERR"},
	}
	r := start(t, world(t, 41))
	for _, c := range cases {
		for _, proto := range []string{"udp", "tcp"} {
			var with []func(*mdns.Msg)
			if c.with != nil {
				with = append(with, c.with)
			}
			m := r.ask(t, proto, question(c.name, c.qtype, with...))
			if d := cmp.Diff(c.want, present(m)); d != "" {
				t.Errorf("%s %s %s: -want +got\n%s", proto, c.name, mdns.TypeToString[c.qtype], d)
			}
			if len(m.Question) != 1 || m.Question[0].Name != c.name {
				t.Errorf("%s %s: got question %v", proto, c.name, m.Question)
			}
		}
	}
	r.await(t, `meridian_dns_queries_total{proto="udp",rcode="REFUSED"}`, 8)
	r.await(t, `meridian_dns_queries_total{proto="tcp",rcode="NXDOMAIN"}`, 3)
	r.await(t, `meridian_dns_answers_total{name="mcp.edge.test",region="eu-central-1"}`, 6)
	r.await(t, "meridian_dns_truncated_total", 0)
	r.await(t, "meridian_dns_panics_total", 0)
}

func TestAClientIsSentToItsRegion(t *testing.T) {
	r := start(t, world(t, 41))
	cases := []struct{ client, want string }{
		{"81.2.69.0/24", "192.0.2.2 192.0.2.3"},       // London
		{"198.51.100.0/24", "192.0.2.2 192.0.2.3"},    // nowhere: the own region
		{"12.0.0.0/24", "192.0.2.1"},                  // United States
		{"1.1.1.0/24", "192.0.2.4"},                   // Australia
		{"2a00:23c0::/56", "192.0.2.2 192.0.2.3"},     // United Kingdom
		{"2001:db8:1234::/48", "192.0.2.2 192.0.2.3"}, // nowhere
	}
	for _, c := range cases {
		m := r.ask(t, "udp", question("mcp.edge.test.", mdns.TypeA, withEDNS(1232, subnet(c.client))))
		if got := addresses(m); got != c.want {
			t.Errorf("%s: got %s, want %s", c.client, got, c.want)
		}
		echo := m.IsEdns0().Option[0].(*mdns.EDNS0_SUBNET)
		asked := subnet(c.client)
		if echo.Family != asked.Family || echo.SourceNetmask != asked.SourceNetmask || !echo.Address.Equal(asked.Address) || echo.SourceScope == 0 {
			t.Errorf("%s: got option %v", c.client, echo)
		}
	}
}

func TestAClientThatShowsNothingIsChosenForByItsResolver(t *testing.T) {
	r := start(t, world(t, 41))
	none := &mdns.EDNS0_SUBNET{Code: mdns.EDNS0SUBNET, Family: 1, Address: []byte{0, 0, 0, 0}}
	m := r.ask(t, "udp", question("mcp.edge.test.", mdns.TypeA, withEDNS(1232, none)))
	if got, want := addresses(m), "192.0.2.2 192.0.2.3"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
	if got := m.IsEdns0().Option[0].(*mdns.EDNS0_SUBNET); got.SourceScope != 0 || got.SourceNetmask != 0 {
		t.Errorf("got option %v", got)
	}
}

func TestNSIDNamesTheEdgeAndTheRevision(t *testing.T) {
	r := start(t, world(t, 41))
	m := r.ask(t, "udp", question("mcp.edge.test.", mdns.TypeA, withEDNS(1232, &mdns.EDNS0_NSID{Code: mdns.EDNS0NSID})))
	got := m.IsEdns0().Option[0].(*mdns.EDNS0_NSID).Nsid
	if want := hexOf("eu-1 revision=41"); got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}

func TestBeforeTheFirstTopologyEveryQueryFails(t *testing.T) {
	r := start(t, nil)
	m := r.ask(t, "udp", question("mcp.edge.test.", mdns.TypeA, withEDNS(1232)))
	if got, want := present(m), "SERVFAIL\nopt 15 14 (Not Ready): ()"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
	r.store.Swap(world(t, 1))
	if m := r.ask(t, "udp", question("mcp.edge.test.", mdns.TypeA)); m.Rcode != mdns.RcodeSuccess {
		t.Errorf("after it came: got %s", present(m))
	}
}

func TestTheNextQuerySeesANewTopology(t *testing.T) {
	r := start(t, world(t, 41))
	r.ask(t, "udp", question("mcp.edge.test.", mdns.TypeA))
	r.store.Swap(world(t, 1<<32+42, edge("eu-3", "eu-central-1", "192.0.2.9")))
	if got, want := addresses(r.ask(t, "udp", question("mcp.edge.test.", mdns.TypeA))), "192.0.2.2 192.0.2.3 192.0.2.9"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
	soa := r.ask(t, "udp", question("edge.test.", mdns.TypeSOA)).Answer[0].(*mdns.SOA)
	if soa.Serial != 42 {
		t.Errorf("got serial %d, want 42", soa.Serial)
	}
}

func TestARegionWithoutEdgesGetsNegativeAnswersNotNone(t *testing.T) {
	set := topologyOf("lonely.test")
	r := start(t, set)
	if got, want := present(r.ask(t, "udp", question("www.lonely.test.", mdns.TypeA))), "NOERROR aa\nns lonely.test. 30 IN SOA lonely.test. hostmaster.lonely.test. 3 3600 600 86400 60"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
	if got, want := present(r.ask(t, "udp", question("lonely.test.", mdns.TypeNS))), "NOERROR aa\nns lonely.test. 60 IN SOA lonely.test. hostmaster.lonely.test. 3 3600 600 86400 60"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}
