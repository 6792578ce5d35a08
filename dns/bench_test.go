// SPDX-License-Identifier: Apache-2.0

package dns

import (
	"net"
	"net/netip"
	"testing"

	mdns "github.com/miekg/dns"

	"meridian/dns/wire"
	"meridian/geo"
	"meridian/topology"
)

// fixed is a choice that costs nothing, so that what is measured is this package.
func fixed(*topology.Name, netip.Addr) (geo.Choice, []netip.Addr) { return fixedChoice, fixedAddresses }

var (
	fixedChoice    = geo.Choice{Region: "eu-central-1", Prefix: netip.MustParsePrefix("81.2.64.0/20")}
	fixedAddresses = []netip.Addr{netip.MustParseAddr("192.0.2.2"), netip.MustParseAddr("192.0.2.3")}
)

func shapes(t testing.TB) map[string][]byte {
	return map[string][]byte{
		"tailored": packed(t, question("mcp.edge.test.", mdns.TypeA, withEDNS(1232, subnet("81.2.69.0/24")))),
		"plain":    packed(t, question("mcp.edge.test.", mdns.TypeA)),
		"ns":       packed(t, question("edge.test.", mdns.TypeNS)),
		"nxdomain": packed(t, question("x.y.z.edge.test.", mdns.TypeA, withEDNS(1232))),
		"refused":  packed(t, question("www.example.org.", mdns.TypeA)),
		"formerr":  packed(t, question("mcp.edge.test.", mdns.TypeA, withEDNS(1232)))[:30],
	}
}

func TestAnsweringDoesNotAllocate(t *testing.T) {
	if raceEnabled {
		t.Skip("the race detector allocates")
	}
	a := deaf(world(t, 41), fixed)
	buf := make([]byte, 0, wire.MaxUDPBytes)
	from := netip.MustParseAddr("192.0.2.77")
	for name, b := range shapes(t) {
		if n := testing.AllocsPerRun(200, func() { a.answer(buf, b, from, overUDP) }); n != 0 {
			t.Errorf("%s: %v allocations, want 0", name, n)
		}
	}
}

func BenchmarkAnswer(b *testing.B) {
	from := netip.MustParseAddr("192.0.2.77")
	buf := make([]byte, 0, wire.MaxUDPBytes)
	for name, q := range shapes(b) {
		b.Run(name, func(b *testing.B) {
			a := deaf(world(b, 41), fixed)
			b.ReportAllocs()
			for b.Loop() {
				a.answer(buf, q, from, overUDP)
			}
		})
	}
	b.Run("tailored by the real table", func(b *testing.B) {
		a, q := deaf(world(b, 41), nil), shapes(b)["tailored"]
		b.ReportAllocs()
		for b.Loop() {
			a.answer(buf, q, from, overUDP)
		}
	})
}

// BenchmarkUDPRoundTrip is a query there and back over loopback, one at a time per client.
func BenchmarkUDPRoundTrip(b *testing.B) {
	r := start(b, world(b, 41), func(c *Config) { c.Choose = fixed })
	q := shapes(b)["tailored"]
	b.ReportAllocs()
	b.RunParallel(func(pb *testing.PB) {
		c, err := net.Dial("udp", r.addr)
		if err != nil {
			b.Error(err)
			return
		}
		defer c.Close()
		in := make([]byte, wire.MaxUDPBytes)
		for pb.Next() {
			if _, err := c.Write(q); err != nil {
				b.Error(err)
				return
			}
			if _, err := c.Read(in); err != nil {
				b.Error(err)
				return
			}
		}
	})
}
