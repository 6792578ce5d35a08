// SPDX-License-Identifier: Apache-2.0

package dns

import (
	"bytes"
	"encoding/hex"
	"fmt"
	"net/netip"
	"strings"
	"testing"

	"github.com/VictoriaMetrics/metrics"
	mdns "github.com/miekg/dns"

	"meridian/dns/wire"
	"meridian/geo"
	"meridian/topology"
)

// deaf returns an authority without sockets.
func deaf(s *topology.Snapshot, choose func(*topology.Name, netip.Addr) (geo.Choice, []netip.Addr)) *authority {
	store := &topology.Store{}
	store.Swap(s)
	if choose == nil {
		choose = chooser(store, "eu-central-1")
	}
	c := Config{Edge: "eu-1", Snapshot: store.Load, Choose: choose, Metrics: metrics.NewSet()}.withDefaults()
	return newAuthority(c, newStats(c.Metrics))
}

func packed(t testing.TB, m *mdns.Msg) []byte {
	t.Helper()
	b, err := m.Pack()
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// check fails the test if an answer breaks what holds for all of them.
func check(t testing.TB, query, answer []byte, by transport) {
	t.Helper()
	if answer == nil {
		return
	}
	var m mdns.Msg
	if err := m.Unpack(answer); err != nil {
		t.Fatalf("query %x: answer %x: %v", query, answer, err)
	}
	if len(query) < wire.HeaderBytes || query[2]&0x80 != 0 {
		t.Fatalf("%x is no query and got an answer", query)
	}
	if !bytes.Equal(answer[:2], query[:2]) || !m.Response || m.RecursionAvailable || m.AuthenticatedData {
		t.Fatalf("query %x: header %x", query, answer[:wire.HeaderBytes])
	}
	if by == overUDP && (len(answer) > wire.MaxUDPBytes || len(answer) > maxAmplification*len(query)) {
		t.Fatalf("query of %d bytes: answer of %d bytes", len(query), len(answer))
	}
	var q wire.Query
	err := q.Parse(query)
	if by == overUDP && !q.EDNS && len(answer) > wire.MinUDPBytes {
		t.Fatalf("query without EDNS: answer of %d bytes", len(answer))
	}
	if !bytes.HasPrefix(answer[wire.HeaderBytes:], q.Question) || len(m.Question) != min(1, len(q.Question)) {
		t.Fatalf("query %x: answer %x doesn't repeat the question", query, answer)
	}
	if (m.IsEdns0() != nil) != q.EDNS {
		t.Fatalf("query %x: EDNS %v, answer %x", query, q.EDNS, answer)
	}
	if err != nil && len(m.Answer)+len(m.Ns) > 0 {
		t.Fatalf("query %x: %v, answer %x", query, err, answer)
	}
	if m.Truncated && len(m.Answer)+len(m.Ns) > 0 {
		t.Fatalf("query %x: half an answer %x", query, answer)
	}
	if !q.Subnet.Present() && strings.Contains(m.String(), "SUBNET") {
		t.Fatalf("query %x: a subnet that wasn't asked for: %x", query, answer)
	}
}

func FuzzAnswer(f *testing.F) {
	for _, name := range []string{"mcp.edge.test.", "edge.test.", "us-east-1.ns.edge.test.", "x.edge.test.", "example.org."} {
		for _, qtype := range []uint16{mdns.TypeA, mdns.TypeNS, mdns.TypeANY, mdns.TypeDS} {
			f.Add(packed(f, question(name, qtype)))
			f.Add(packed(f, question(name, qtype, withEDNS(1232, subnet("81.2.69.0/24"), &mdns.EDNS0_NSID{Code: mdns.EDNS0NSID}))))
		}
	}
	f.Add([]byte("\x12\x34\x01\x00\x00\x01\x00\x00\x00\x00\x00\x00\xc0\x0c\x00\x01\x00\x01"))
	a := deaf(world(f, 41), nil)
	from := netip.MustParseAddr("192.0.2.77")
	f.Fuzz(func(t *testing.T, b []byte) {
		check(t, b, a.answer(nil, b, from, overUDP), overUDP)
		check(t, b, a.answer(nil, b, from, overTCP), overTCP)
	})
}

func TestEveryProperPrefixOfAQueryGetsAnErrorOrSilence(t *testing.T) {
	a := deaf(world(t, 41), nil)
	b := packed(t, question("mcp.edge.test.", mdns.TypeA, withEDNS(1232, subnet("81.2.69.0/24"))))
	for n := range b {
		answer := a.answer(nil, b[:n:n], netip.MustParseAddr("192.0.2.77"), overUDP)
		check(t, b[:n], answer, overUDP)
		if (answer == nil) != (n < wire.HeaderBytes) || (answer != nil && answer[3]&0xf != byte(wire.FormErr)) {
			t.Errorf("%d of %d bytes: got %x", n, len(b), answer)
		}
	}
}

func TestMalformedPacketsGetWhatTheRFCsSay(t *testing.T) {
	const ask = "0100 0001 0000 0000 0001 03 6d6370 04 65646765 04 74657374 00 0001 0001 "
	const opt = "00 0029 1000 00000000 "
	cases := []struct{ name, hex, want string }{
		{"self pointer", "0100 0001 0000 0000 0000 c00c 0001 0001", "FORMERR rd"},
		{"forward pointer", "0100 0001 0000 0000 0000 c01c 0001 0001", "FORMERR rd"},
		{"reserved label type", "0100 0001 0000 0000 0000 40" + strings.Repeat("61", 64) + "00 0001 0001", "FORMERR rd"},
		{"name over 255 bytes", "0100 0001 0000 0000 0000" + strings.Repeat("0161", 128) + "00 0001 0001", "FORMERR rd"},
		{"no question", "0100 0000 0000 0000 0000", "FORMERR rd"},
		{"65535 questions", "0100 ffff 0000 0000 0000", "FORMERR rd"},
		{"an answer", "8180 0001 0000 0000 0000 00 0001 0001", "silence"},
		{"header cut short", "0100 0001 0000 0000 00", "silence"},
		{"opcode 15", "7800 0000 0000 0000 0000", "NOTIMP"},
		{"two OPT", strings.Replace(ask, "0000 0001", "0000 0002", 1) + opt + "0000" + opt + "0000", "FORMERR rd"},
		{"OPT not of the root", ask + "0161" + opt + "0000", "FORMERR rd"},
		{"ECS family 9", ask + opt + "000b 0008 0007 0009 18 00 510245", "FORMERR rd"},
		{"ECS source 33", ask + opt + "000d 0008 0009 0001 21 00 5102450000", "FORMERR rd"},
		{"ECS scope in a query", ask + opt + "000b 0008 0007 0001 18 18 510245", "FORMERR rd"},
		{"ECS bits beyond the source", ask + opt + "000b 0008 0007 0001 13 00 510245", "FORMERR rd"},
		{"ECS address too long", ask + opt + "000c 0008 0008 0001 18 00 51024500", "FORMERR rd"},
		{"ECS too short", ask + opt + "0006 0008 0002 0001", "FORMERR rd"},
		{"cookie of 7 bytes", ask + opt + "000b 000a 0007 01020304050607", "FORMERR rd"},
		{"bytes behind the message", ask + opt + "0000 00", "FORMERR rd"},
	}
	a := deaf(world(t, 41), nil)
	for _, c := range cases {
		b, err := hex.DecodeString("1234" + strings.ReplaceAll(c.hex, " ", ""))
		if err != nil {
			t.Fatalf("%s: %v", c.name, err)
		}
		answer := a.answer(nil, b, netip.MustParseAddr("192.0.2.77"), overUDP)
		check(t, b, answer, overUDP)
		got := "silence"
		if answer != nil {
			var m mdns.Msg
			if err := m.Unpack(answer); err != nil {
				t.Fatalf("%s: %v", c.name, err)
			}
			got = present(&m)
		}
		if got != c.want {
			t.Errorf("%s: got %q, want %q", c.name, got, c.want)
		}
	}
}

// crowd has 40 regions with two edges of both families each, in a zone with a short name.
func crowd(t testing.TB) *topology.Snapshot {
	var more []topology.Resource
	for i := range 40 {
		r := topology.RegionID(fmt.Sprintf("r%d", i))
		more = append(more, &topology.Region{Name: r, Latitude: float64(i)})
		for j := range 2 {
			more = append(more, edge(topology.EdgeID(fmt.Sprintf("e%d-%d", i, j)), r, fmt.Sprintf("192.0.%d.%d", i+10, j+1), fmt.Sprintf("2001:db8:%x::%x", i+10, j+1)))
		}
	}
	return world(t, 41, append(more, &topology.Name{Name: "a.z", Zone: "z", Pool: "mcp"})...)
}

func TestNoAnswerOverUDPIsTenTimesItsQueryForAnyType(t *testing.T) {
	many := func(*topology.Name, netip.Addr) (geo.Choice, []netip.Addr) {
		var all []netip.Addr
		for i := range byte(30) {
			all = append(all, netip.AddrFrom4([4]byte{192, 0, 2, i}), netip.AddrFrom16([16]byte{0x20, 1, 15: i}))
		}
		return geo.Choice{Region: "r1"}, all
	}
	a := deaf(crowd(t), many)
	truncated := 0
	for _, name := range []string{"z.", "a.z.", "ns.z.", "r1.ns.z.", "q.z.", "apex.test.", "org.", "."} {
		for qtype := range uint16(512) {
			for _, m := range []*mdns.Msg{
				question(name, qtype),
				question(name, qtype, withEDNS(65535)),
				question(name, qtype, withEDNS(0, subnet("81.2.69.0/24"), &mdns.EDNS0_NSID{Code: mdns.EDNS0NSID})),
			} {
				b := packed(t, m)
				answer := a.answer(nil, b, netip.MustParseAddr("192.0.2.77"), overUDP)
				check(t, b, answer, overUDP)
				if answer[2]&2 != 0 {
					truncated++
				}
				check(t, b, a.answer(nil, b, netip.MustParseAddr("192.0.2.77"), overTCP), overTCP)
			}
		}
	}
	if truncated != 3 { // the NS set of z; addresses are left out instead
		t.Errorf("%d answers were truncated, want 3", truncated)
	}
}

func TestAZoneHasAtMostThirteenServersButEveryRegionsHost(t *testing.T) {
	r := start(t, crowd(t))
	m := r.ask(t, "udp", question("z.", mdns.TypeNS))
	if !m.Truncated || len(m.Answer) != 0 {
		t.Errorf("over UDP: got %s", present(m))
	}
	m = r.ask(t, "tcp", question("z.", mdns.TypeNS))
	if len(m.Answer) != 13 || len(m.Extra) != 1+3+11*4 || m.Truncated {
		t.Errorf("over TCP: got %d servers, %d addresses", len(m.Answer), len(m.Extra))
	}
	if got := addresses(r.ask(t, "udp", question("us-east-1.ns.z.", mdns.TypeA))); got != "192.0.2.1" {
		t.Errorf("the last region's host: got %q", got)
	}
	r.await(t, "meridian_dns_truncated_total", 1)
}
