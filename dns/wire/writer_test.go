// SPDX-License-Identifier: Apache-2.0

package wire

import (
	"net/netip"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	mdns "github.com/miekg/dns"
)

// read returns another reader's view of an answer: flags and records in presentation form, tabs as spaces.
func read(t *testing.T, b []byte) (*mdns.Msg, []string) {
	t.Helper()
	var m mdns.Msg
	if err := m.Unpack(b); err != nil {
		t.Fatalf("%x: %v", b, err)
	}
	var lines []string
	for _, rr := range append(append(m.Answer, m.Ns...), m.Extra...) {
		if rr.Header().Rrtype != mdns.TypeOPT {
			lines = append(lines, strings.ReplaceAll(rr.String(), "\t", " "))
		}
	}
	return &m, lines
}

func parsed(t *testing.T, b []byte) *Query {
	t.Helper()
	q := new(Query)
	if err := q.Parse(b); err != nil {
		t.Fatal(err)
	}
	return q
}

func TestAnotherReaderUnderstandsEveryRecord(t *testing.T) {
	q := parsed(t, packed(t, "mCp.EdGe.test.", TypeA))
	w := NewWriter(nil, q, MaxMessageBytes)
	self, apex := Name{Suffix: Suffix(len(q.Name))}, Name{Suffix: 11}
	host := Name{Labels: []byte("\x04eu-1\x02ns"), Suffix: 11}
	w.Address(Answer, self, 30, netip.MustParseAddr("192.0.2.1"))
	w.Address(Answer, self, 30, netip.MustParseAddr("2001:db8::1"))
	w.HINFO(Answer, self, 3600, "RFC8482", "")
	w.NS(Authority, apex, 3600, host)
	w.SOA(Authority, apex, 60, SOA{Primary: host, Mailbox: Name{}, Serial: 41, Refresh: 1, Retry: 2, Expire: 3, Minimum: 4})
	w.Address(Additional, host, 60, netip.MustParseAddr("192.0.2.1"))
	b, truncated := w.Finish(Reply{Authoritative: true})
	m, got := read(t, b)
	want := []string{
		"mCp.EdGe.test. 30 IN A 192.0.2.1",
		"mCp.EdGe.test. 30 IN AAAA 2001:db8::1",
		`mCp.EdGe.test. 3600 IN HINFO "RFC8482" ""`,
		"EdGe.test. 3600 IN NS eu-1.ns.EdGe.test.",
		"EdGe.test. 60 IN SOA eu-1.ns.EdGe.test. . 41 1 2 3 4",
		"eu-1.ns.EdGe.test. 60 IN A 192.0.2.1",
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
	if truncated || !m.Response || !m.Authoritative || m.RecursionAvailable || m.Id != 0x1234 {
		t.Errorf("got %v", m.MsgHdr)
	}
}

func TestAnAnswerThatDoesNotFitHasNoRecordAtAll(t *testing.T) {
	q := parsed(t, packed(t, "a.test.", TypeA, edns()))
	for limit := 60; limit < 200; limit++ {
		w := NewWriter(nil, q, limit)
		for range 6 {
			w.Address(Answer, Name{Suffix: 8}, 30, netip.MustParseAddr("192.0.2.1"))
		}
		b, truncated := w.Finish(Reply{})
		m, lines := read(t, b)
		if truncated != m.Truncated || len(b) > limit {
			t.Errorf("limit %d: %d bytes, TC %v, truncated %v", limit, len(b), m.Truncated, truncated)
		}
		if want := map[bool]int{true: 0, false: 6}[truncated]; len(lines) != want || m.IsEdns0() == nil {
			t.Errorf("limit %d: got %d records, want %d, with OPT", limit, len(lines), want)
		}
	}
}

func TestTheOPTRecordSaysWhatWasAskedForAndNothingElse(t *testing.T) {
	subnet := &mdns.EDNS0_SUBNET{Code: mdns.EDNS0SUBNET, Family: 1, SourceNetmask: 20, Address: []byte{81, 2, 64, 0}}
	q := parsed(t, packed(t, "a.test.", TypeA, edns(&mdns.EDNS0_NSID{Code: mdns.EDNS0NSID}, subnet, &mdns.EDNS0_LOCAL{Code: 100, Data: []byte{1}})))
	w := NewWriter([]byte("in front"), q, MaxUDPBytes)
	r := Reply{Rcode: BadVers, Scope: 22, NSID: "eu-1", EDE: EDENotReady}
	left := w.Left(r)
	b, _ := w.Finish(r)
	if string(b[:8]) != "in front" {
		t.Errorf("got %q in front", b[:8])
	}
	if got := MaxUDPBytes - len(b) + 8; got != left {
		t.Errorf("Left said %d bytes, there are %d", left, got)
	}
	m, _ := read(t, b[8:])
	o := m.IsEdns0()
	if o.Version() != 0 || o.UDPSize() != MaxUDPBytes || !o.Do() || m.Rcode != mdns.RcodeBadVers {
		t.Errorf("got %v", m)
	}
	var got []string
	for _, e := range o.Option {
		got = append(got, e.String())
	}
	if d := cmp.Diff([]string{"81.2.64.0/20/22", "65752d31", "14 (Not Ready): ()"}, got); d != "" {
		t.Error(d)
	}
}

func TestWithoutEDNSThereIsNoOPTRecord(t *testing.T) {
	q := parsed(t, packed(t, "a.test.", TypeA))
	w := NewWriter(nil, q, MinUDPBytes)
	b, _ := w.Finish(Reply{Rcode: Refused, Scope: 22, NSID: "eu-1", EDE: EDENotReady})
	if m, _ := read(t, b); m.IsEdns0() != nil || m.Rcode != mdns.RcodeRefused {
		t.Errorf("got %v", m)
	}
}

func TestWritingAnAnswerDoesNotAllocate(t *testing.T) {
	b := packed(t, "mcp.edge.test.", TypeA, edns())
	buf := make([]byte, 0, MaxUDPBytes)
	allocs := testing.AllocsPerRun(100, func() {
		var q Query
		if q.Parse(b) != nil {
			t.Error("the query isn't taken")
		}
		w := NewWriter(buf, &q, MaxUDPBytes)
		w.Address(Answer, Name{Suffix: 15}, 30, netip.AddrFrom4([4]byte{192, 0, 2, 1}))
		w.Finish(Reply{})
	})
	if allocs != 0 && !raceEnabled {
		t.Errorf("got %v allocations, want 0", allocs)
	}
}
