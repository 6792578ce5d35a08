// SPDX-License-Identifier: Apache-2.0

package census

import (
	"net/netip"
	"sync"
	"testing"
)

func TestABoundHoldsForAClientAndForAll(t *testing.T) {
	c := New()
	a, b := netip.MustParseAddr("192.0.2.1"), netip.MustParseAddr("192.0.2.2")
	for i, step := range []struct {
		client netip.Addr
		want   bool
	}{{a, true}, {a, true}, {a, false}, {b, true}, {b, false}} {
		if got := c.Enter(step.client, 3, 2); got != step.want {
			t.Errorf("step %d: got %v", i, got)
		}
	}
	if all, from := c.Count(a); all != 3 || from != 2 {
		t.Errorf("%d in all, %d of the first", all, from)
	}
	c.Leave(a)
	if !c.Enter(b, 3, 2) {
		t.Error("the place that was left is not free")
	}
}

func TestSixtyFourBitsOfAnIPv6AddressAreOneClient(t *testing.T) {
	c := New()
	at := netip.MustParseAddr
	if !c.Enter(at("2001:db8::1"), 10, 1) || c.Enter(at("2001:db8::ffff:2"), 10, 1) {
		t.Error("an address of the same 64 bits is another client")
	}
	if !c.Enter(at("2001:db8:0:1::1"), 10, 1) {
		t.Error("other 64 bits are the same client")
	}
	if !c.Enter(at("fe80::1%eth0"), 10, 1) || c.Enter(at("fe80::1%eth1"), 10, 1) {
		t.Error("a zone makes another client")
	}
	if !c.Enter(at("192.0.2.1"), 10, 1) || c.Enter(at("::ffff:192.0.2.1"), 10, 1) {
		t.Error("an IPv4 address in IPv6's form is another client")
	}
}

func TestNothingIsLeftOfClientsThatWent(t *testing.T) {
	c := New()
	var wg sync.WaitGroup
	for i := range 8 {
		wg.Go(func() {
			for j := range 1000 {
				a := netip.AddrFrom4([4]byte{10, byte(i), byte(j >> 8), byte(j)})
				if c.Enter(a, 1<<20, 1) {
					c.Leave(a)
				}
			}
		})
	}
	wg.Wait()
	if all, _ := c.Count(netip.Addr{}); all != 0 {
		t.Errorf("%d are left", all)
	}
	for i := range c.shards {
		if n := len(c.shards[i].from); n != 0 {
			t.Errorf("%d entries are left", n)
		}
	}
}

func BenchmarkEnterAndLeave(b *testing.B) {
	c := New()
	a := netip.MustParseAddr("2001:db8::1")
	b.ReportAllocs()
	for b.Loop() {
		if c.Enter(a, 10, 10) {
			c.Leave(a)
		}
	}
}
