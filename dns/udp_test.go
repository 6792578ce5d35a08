// SPDX-License-Identifier: Apache-2.0

package dns

import (
	"errors"
	"net"
	"net/netip"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	mdns "github.com/miekg/dns"

	"meridian/geo"
	"meridian/topology"
)

func TestWhatIsNoQueryGetsSilence(t *testing.T) {
	r := start(t, world(t, 41))
	c, err := net.Dial("udp", r.addr)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	valid := packed(t, question("mcp.edge.test.", mdns.TypeA))
	answer := append([]byte{}, valid...)
	answer[2] |= 0x80
	for _, b := range [][]byte{answer, valid[:11], {}, append(valid, make([]byte, 5000)...)} {
		if _, err := c.Write(b); err != nil {
			t.Fatal(err)
		}
	}
	r.await(t, `meridian_dns_dropped_total{reason="not a query"}`, 3)
	r.await(t, `meridian_dns_dropped_total{reason="too long"}`, 1)
	if _, err := c.Write(valid); err != nil {
		t.Fatal(err)
	}
	if err := c.SetReadDeadline(time.Now().Add(5 * time.Second)); err != nil {
		t.Fatal(err)
	}
	got := make([]byte, 4096)
	n, err := c.Read(got)
	if err != nil || n < 12 || got[0] != valid[0] || got[1] != valid[1] || got[3]&0xf != 0 {
		t.Errorf("the first answer is %x, %v; want that of the valid query", got[:n], err)
	}
}

func TestTwoHundredClientsAtOnceGetTheirAnswers(t *testing.T) {
	r := start(t, world(t, 41))
	var wg sync.WaitGroup
	for i := range 200 {
		wg.Go(func() {
			proto, name := "udp", "mcp.edge.test."
			if i%4 == 0 {
				proto = "tcp"
			}
			c := mdns.Client{Net: proto, Timeout: 2 * time.Second}
			for range 5 { // a UDP packet may be lost
				if m, _, err := c.Exchange(question(name, mdns.TypeA), r.addr); err == nil {
					if addresses(m) != "192.0.2.2 192.0.2.3" {
						t.Errorf("got %s", present(m))
					}
					return
				}
			}
			t.Error("no answer in five tries")
		})
	}
	wg.Wait()
}

func TestAnswersLeaveFromTheAddressThatWasAsked(t *testing.T) {
	for _, listen := range []string{"0.0.0.0:0", "[::]:0", ":0"} {
		if strings.HasPrefix(listen, "[") && !hasIPv6() {
			t.Log("SKIPPED: no IPv6 here for", listen)
			continue
		}
		r := start(t, world(t, 41), func(c *Config) { c.Listen = []string{listen} })
		port := r.Addrs()[0].Port()
		// A connected socket takes packets from nobody else; 127.0.0.1 is what the kernel would pick by itself.
		asked := []string{"127.0.0.1"}
		if linux {
			asked = append(asked, "127.0.0.9")
		}
		if listen != "0.0.0.0:0" && hasIPv6() {
			asked = append(asked, "::1")
		}
		for _, a := range asked {
			r.addr = netip.AddrPortFrom(netip.MustParseAddr(a), port).String()
			for _, proto := range []string{"udp", "tcp"} {
				if m := r.ask(t, proto, question("mcp.edge.test.", mdns.TypeA)); addresses(m) != "192.0.2.2 192.0.2.3" {
					t.Errorf("%s asked at %s over %s: got %s", listen, a, proto, present(m))
				}
			}
		}
	}
}

func hasIPv6() bool {
	l, err := net.Listen("tcp", "[::1]:0")
	if err == nil {
		_ = l.Close()
	}
	return err == nil
}

func TestAPanicCostsOneAnswerNotTheServer(t *testing.T) {
	var broken atomic.Bool
	broken.Store(true)
	r := start(t, world(t, 41), func(c *Config) {
		choose := c.Choose
		c.Choose = func(n *topology.Name, a netip.Addr) (geo.Choice, []netip.Addr) {
			if broken.Load() {
				panic(errors.New("an invariant is broken"))
			}
			return choose(n, a)
		}
	})
	for _, proto := range []string{"udp", "tcp"} {
		if m := r.ask(t, proto, question("mcp.edge.test.", mdns.TypeA, withEDNS(1232))); m.Rcode != mdns.RcodeServerFailure {
			t.Errorf("%s: got %s", proto, present(m))
		}
	}
	r.await(t, "meridian_dns_panics_total", 2)
	broken.Store(false)
	if m := r.ask(t, "udp", question("mcp.edge.test.", mdns.TypeA)); m.Rcode != mdns.RcodeSuccess {
		t.Errorf("afterwards: got %s", present(m))
	}
}
