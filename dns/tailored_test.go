// SPDX-License-Identifier: Apache-2.0

package dns

import (
	"math/rand/v2"
	"net/netip"
	"slices"
	"testing"

	mdns "github.com/miekg/dns"

	"meridian/geo"
	"meridian/topology"
)

// TestAnAnswerHoldsForAllOfItsScope is the law of RFC 7871 for authorities: a cache gives the answer to every client in
// source address/scope, so every such client must get it when it asks itself.
func TestAnAnswerHoldsForAllOfItsScope(t *testing.T) {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	rnd := rand.New(rand.NewPCG(seed, 1))
	a := deaf(world(t, 41), nil)
	scopes := map[int]int{}
	for range 3000 {
		client := randomAddr(rnd)
		source := 1 + rnd.IntN(client.BitLen())
		region, scope := askFor(t, a, client, source)
		p := netip.PrefixFrom(client, min(source, maxScope(client))).Masked()
		cell := netip.PrefixFrom(p.Addr(), scope).Masked()
		scopes[scope]++
		if scope > maxScope(client) {
			t.Fatalf("%s/%d: scope %d", client, source, scope)
		}
		for range 5 {
			other := within(rnd, cell)
			if got, _ := askFor(t, a, other, other.BitLen()); got != region {
				t.Fatalf("%s/%d is answered %q for %s, but %s in it %q", client, source, region, cell, other, got)
			}
		}
	}
	if len(scopes) < 10 {
		t.Errorf("only scopes %v were seen", scopes)
	}
}

// TestAScopeHoldsForAMapOfSingleAddresses is the same law where the map is finer than the longest scope.
func TestAScopeHoldsForAMapOfSingleAddresses(t *testing.T) {
	rnd := rand.New(rand.NewPCG(1, 2))
	fine := func(_ *topology.Name, client netip.Addr) (geo.Choice, []netip.Addr) {
		b := client.AsSlice()
		sum := byte(0)
		for _, v := range b {
			sum += v
		}
		return geo.Choice{Prefix: netip.PrefixFrom(client, client.BitLen())}, []netip.Addr{netip.AddrFrom4([4]byte{192, 0, 2, sum})}
	}
	a := deaf(world(t, 41), fine)
	for range 2000 {
		client := randomAddr(rnd)
		answer, scope := askFor(t, a, client, client.BitLen())
		if scope != maxScope(client) {
			t.Fatalf("%s: scope %d", client, scope)
		}
		other := within(rnd, netip.PrefixFrom(client, scope).Masked())
		if got, _ := askFor(t, a, other, other.BitLen()); got != answer {
			t.Fatalf("%s is answered %s, but %s in its scope %s", client, answer, other, got)
		}
	}
}

// askFor returns the addresses that a client gets who shows source bits, as text, and the scope.
func askFor(t *testing.T, a *authority, client netip.Addr, source int) (answer string, scope int) {
	t.Helper()
	p := netip.PrefixFrom(client, source).Masked()
	b := packed(t, question("mcp.edge.test.", mdns.TypeA, withEDNS(1232, subnet(p.String()))))
	var m mdns.Msg
	if err := m.Unpack(a.answer(nil, b, netip.MustParseAddr("192.0.2.77"), overUDP)); err != nil {
		t.Fatal(err)
	}
	return addresses(&m), int(m.IsEdns0().Option[0].(*mdns.EDNS0_SUBNET).SourceScope)
}

func randomAddr(rnd *rand.Rand) netip.Addr {
	if rnd.IntN(2) == 0 {
		return netip.AddrFrom4([4]byte{byte(1 + rnd.IntN(223)), byte(rnd.Uint32()), byte(rnd.Uint32()), byte(rnd.Uint32())})
	}
	var b [16]byte
	for i := range b {
		b[i] = byte(rnd.Uint32())
	}
	b[0], b[1] = 0x2a, b[1]&0x1f // where the registries' allocations are
	return netip.AddrFrom16(b)
}

// within returns a random address of p.
func within(rnd *rand.Rand, p netip.Prefix) netip.Addr {
	b := p.Addr().AsSlice()
	for i := p.Bits(); i < 8*len(b); i++ {
		b[i/8] |= byte(rnd.IntN(2)) << (7 - i%8)
	}
	out, _ := netip.AddrFromSlice(b)
	return out
}

func TestScopeFollowsTheChoicesPrefix(t *testing.T) {
	cases := []struct {
		prefix, client string
		want           uint8
	}{
		{"81.2.64.0/20", "81.2.69.0", 20},
		{"81.2.69.160/28", "81.2.69.160", 24},
		{"0.0.0.0/0", "81.2.69.0", 0},
		{"2001:db8::/32", "2001:db8::1", 32},
		{"2001:db8::/64", "2001:db8::1", 56},
		{"10.0.0.0/8", "81.2.69.0", 24},    // of another place
		{"2001:db8::/32", "81.2.69.0", 24}, // of the other family
		{"81.2.64.0/20", "2001:db8::1", 56},
	}
	for _, c := range cases {
		if got := scope(netip.MustParsePrefix(c.prefix), netip.MustParseAddr(c.client)); got != c.want {
			t.Errorf("%s for %s: got %d, want %d", c.prefix, c.client, got, c.want)
		}
	}
	if got := scope(netip.Prefix{}, netip.MustParseAddr("81.2.69.0")); got != 24 {
		t.Errorf("no prefix: got %d, want 24", got)
	}
}

func TestAddressesComeInEveryOrderAndEachAsOften(t *testing.T) {
	const n, rounds = 20, 4000
	var all []netip.Addr
	for i := range byte(n) {
		all = append(all, netip.AddrFrom4([4]byte{192, 0, 2, i}), netip.AddrFrom16([16]byte{15: i + 1}))
	}
	rnd := rand.New(rand.NewPCG(3, 4))
	a := &authority{random: rnd.Uint64}
	first, in := [n]int{}, [n]int{}
	for range rounds {
		tn := turn{authority: a}
		tn.query.Type = mdns.TypeA
		var picked [maxAddresses]netip.Addr
		if got := tn.pick(&picked, all); got != maxAddresses {
			t.Fatalf("got %d addresses", got)
		}
		first[picked[0].As4()[3]]++
		for _, p := range picked {
			in[p.As4()[3]]++
		}
		slices.SortFunc(picked[:], netip.Addr.Compare)
		if len(slices.Compact(picked[:])) != maxAddresses {
			t.Fatal("an address came twice")
		}
	}
	for i := range n {
		if want := rounds / n; first[i] < want*7/10 || first[i] > want*13/10 {
			t.Errorf("address %d was first %d times, want about %d", i, first[i], want)
		}
		if want := rounds * maxAddresses / n; in[i] < want*8/10 || in[i] > want*12/10 {
			t.Errorf("address %d was in %d answers, want about %d", i, in[i], want)
		}
	}
}
