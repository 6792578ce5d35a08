// SPDX-License-Identifier: Apache-2.0

package dns

import (
	"context"
	"net"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"
)

// TestDigUnderstandsEveryProbe is the set of RFC 8906, section 8, as an operator or a registry runs it.
func TestDigUnderstandsEveryProbe(t *testing.T) {
	dig, err := exec.LookPath("dig")
	if err != nil {
		if os.Getenv("CI") != "" {
			t.Fatal("CI must have every tool: dig is not installed (Debian: bind9-dnsutils)")
		}
		t.Skip("SKIPPED: dig is not installed (Debian: bind9-dnsutils); what it would check of EDNS is not checked")
	}
	r := start(t, world(t, 41))
	host, port, err := net.SplitHostPort(r.addr)
	if err != nil {
		t.Fatal(err)
	}
	const soa = "IN SOA ap-southeast-1.ns.edge.test."
	const opt = "EDNS: version: 0, flags:; udp: 1232"
	cases := []struct {
		args string
		has  []string // in dig's output, spaces made single
		not  []string
	}{
		{"+norec +noedns soa edge.test", []string{"status: NOERROR", soa, "flags: qr aa;"}, []string{"EDNS"}},
		{"+norec +edns=0 soa edge.test", []string{"status: NOERROR", soa, opt}, nil},
		{"+norec +edns=100 +noednsneg soa edge.test", []string{"status: BADVERS", opt}, []string{soa}},
		{"+norec +ednsopt=100 soa edge.test", []string{"status: NOERROR", soa, opt}, []string{"OPT=100"}},
		{"+norec +ednsopt=100:deadbeef soa edge.test", []string{"status: NOERROR", soa, opt}, []string{"OPT=100"}},
		{"+norec +ednsflags=0x80 soa edge.test", []string{"status: NOERROR", soa, opt}, []string{"MBZ"}},
		{"+norec +dnssec soa edge.test", []string{"status: NOERROR", soa, "EDNS: version: 0, flags: do; udp: 1232"}, nil},
		{"+norec +dnssec +bufsize=512 +ignore dnskey edge.test", []string{"status: NOERROR", "flags: do", soa}, nil},
		{"+norec +edns=100 +noednsneg +ednsopt=100 soa edge.test", []string{"status: BADVERS", opt}, []string{soa, "OPT=100"}},
		{"+norec +tcp soa edge.test", []string{"status: NOERROR", soa}, nil},
		{"+norec +tcp +edns=100 +noednsneg soa edge.test", []string{"status: BADVERS", opt}, []string{soa}},
		{"+norec -t TYPE1000 edge.test", []string{"status: NOERROR", "ANSWER: 0, AUTHORITY: 1"}, nil},
		{"+norec +opcode=15 +header-only +noedns", []string{"opcode: RESERVED15, status: NOTIMP"}, []string{soa}},
		{"+norec +opcode=15 soa edge.test", []string{"opcode: RESERVED15, status: NOTIMP"}, []string{soa}},
		{"+norec +opcode=notify soa edge.test", []string{"opcode: NOTIFY, status: NOTIMP"}, nil},
		{"+norec +opcode=update soa edge.test", []string{"opcode: UPDATE, status: NOTIMP"}, nil},
		{"+norec +header-only +noedns", []string{"status: FORMERR", "QUERY: 0, ANSWER: 0"}, nil},
		{"+norec +header-only", []string{"status: FORMERR"}, nil},
		{"axfr edge.test", []string{"Transfer failed."}, []string{soa}},
		{"+norec +tcp ixfr=1 edge.test", []string{"Transfer failed."}, []string{soa}},
		{"+norec ch txt version.bind", []string{"status: REFUSED", "ANSWER: 0"}, nil},
		{"+rec soa edge.test", []string{"flags: qr aa rd;", "recursion requested but not available"}, []string{" ra"}},
		{"+norec +adflag +cdflag +zflag soa edge.test", []string{"status: NOERROR", "flags: qr aa;"}, nil},
		{"+norec +cookie soa edge.test", []string{"status: NOERROR", soa}, []string{"COOKIE"}},
		{"+norec +cookie=00112233445566 soa edge.test", []string{"status: FORMERR", opt}, []string{soa}},
		{"+norec +keepalive +padding=128 soa edge.test", []string{"status: NOERROR", soa}, []string{"KEEPALIVE", "PAD"}},
		{"+norec +nsid soa edge.test", []string{`("eu-1 revision=41")`}, nil},
		{"+norec +subnet=0 mcp.edge.test", []string{"status: NOERROR", "CLIENT-SUBNET: 0.0.0.0/0/0", "192.0.2.2"}, nil},
		{"+norec +subnet=0.0.0.0/0 mcp.edge.test", []string{"status: NOERROR", "CLIENT-SUBNET: 0.0.0.0/0/0"}, nil},
		{"+norec +subnet=::/0 mcp.edge.test", []string{"status: NOERROR", "CLIENT-SUBNET: ::/0/0"}, nil},
		{"+norec +subnet=81.2.69.0/24 mcp.edge.test", []string{"status: NOERROR", "CLIENT-SUBNET: 81.2.69.0/24/", "192.0.2.2", "192.0.2.3"}, nil},
		{"+norec +subnet=81.2.69.160/32 mcp.edge.test", []string{"status: NOERROR", "CLIENT-SUBNET: 81.2.69.160/32/"}, nil},
		{"+norec +ednsopt=8:00010a0a01 mcp.edge.test", []string{"status: FORMERR", opt}, []string{"192.0.2"}},
		{"+norec any mcp.edge.test", []string{"IN HINFO \"RFC8482\" \"\""}, nil},
		{"+norec +notcp mCp.EdGe.TeSt", []string{"mCp.EdGe.TeSt. IN A", "mCp.EdGe.TeSt. 30 IN A 192.0.2.2"}, nil},
	}
	for _, c := range cases {
		ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
		args := append([]string{"@" + host, "-p", port, "+tries=1", "+time=5"}, strings.Fields(c.args)...)
		out, err := exec.CommandContext(ctx, dig, args...).CombinedOutput()
		cancel()
		got := strings.Join(strings.Fields(string(out)), " ")
		if err != nil {
			t.Errorf("dig %s: %v\n%s", c.args, err, out)
			continue
		}
		for _, s := range append(c.not, "warning", "WARNING: Message", "malformed", "mismatch") {
			if strings.Contains(got, s) {
				t.Errorf("dig %s: has %q\n%s", c.args, s, out)
			}
		}
		for _, s := range c.has {
			if !strings.Contains(got, s) {
				t.Errorf("dig %s: has no %q\n%s", c.args, s, out)
			}
		}
	}
}
