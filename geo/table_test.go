// SPDX-License-Identifier: Apache-2.0

package geo

import (
	"encoding/binary"
	"math/rand/v2"
	"net/netip"
	"slices"
	"testing"
	"time"
)

// entry is a row of the oracle: a list of disjoint prefixes that is searched from one end to the other.
type entry struct {
	prefix netip.Prefix
	place  Place
}

type oracle []entry

func (o oracle) at(a netip.Addr) Place {
	for _, e := range o {
		if e.prefix.Contains(a) {
			return e.place
		}
	}
	return Place{}
}

// uniform reports whether all of p is at one place: it is if p's first address and the first and the first-after address
// of every entry inside p are.
func (o oracle) uniform(p netip.Prefix) bool {
	want := o.at(p.Addr())
	for _, e := range o {
		for _, a := range []netip.Addr{e.prefix.Addr(), lastOf(e.prefix).Next()} {
			if a.IsValid() && p.Contains(a) && o.at(a) != want {
				return false
			}
		}
	}
	return true
}

func lastOf(p netip.Prefix) netip.Addr {
	b := p.Addr().AsSlice()
	for i := p.Bits(); i < len(b)*8; i++ {
		b[i/8] |= 1 << (7 - i%8)
	}
	a, _ := netip.AddrFromSlice(b)
	return a
}

// randomIn returns an address of p.
func randomIn(r *rand.Rand, p netip.Prefix) netip.Addr {
	b := p.Addr().AsSlice()
	for i := p.Bits(); i < len(b)*8; i++ {
		b[i/8] ^= byte(r.IntN(2)) << (7 - i%8)
	}
	a, _ := netip.AddrFromSlice(b)
	return a
}

var testCountries = []string{"GB", "NO", "JP", "AU", "US"}

// randomTable returns a table and its oracle with up to n prefixes from inside the given block.
func randomTable(t *testing.T, r *rand.Rand, block netip.Prefix, longest, n int) (*Table, oracle) {
	t.Helper()
	var o oracle
	for range n {
		bits := block.Bits() + r.IntN(longest-block.Bits()+1)
		p := netip.PrefixFrom(randomIn(r, block), bits).Masked()
		special := slices.ContainsFunc(slices.Concat(carriers, reserved()), p.Overlaps)
		if special || slices.ContainsFunc(o, func(e entry) bool { return e.prefix.Overlaps(p) }) {
			continue
		}
		place, ok := Country(testCountries[r.IntN(len(testCountries))])
		if !ok {
			t.Fatal("a test country has no coordinates")
		}
		o = append(o, entry{p, place})
	}
	slices.SortFunc(o, func(a, b entry) int { return a.prefix.Addr().Compare(b.prefix.Addr()) })
	b := NewBuilder("test", time.Unix(1, 0))
	for _, e := range o {
		if err := b.Add(e.prefix, e.place); err != nil {
			t.Fatal(err)
		}
	}
	return b.Table(), o
}

func plain(p Place) Place {
	p.Prefix, p.Source = netip.Prefix{}, ""
	return p
}

func TestLookupAgreesWithALinearScan(t *testing.T) {
	const seed = 7
	t.Logf("seed %d", seed)
	r := rand.New(rand.NewPCG(seed, 0))
	for _, space := range []struct {
		block   string
		longest int
	}{{"0.0.0.0/0", 32}, {"81.2.0.0/16", 32}, {"223.255.255.0/24", 32}, {"1.0.0.0/24", 32}, {"2000::/3", 48}, {"2a00::/16", 64}, {"3ffe::/15", 64}, {"3fff:ffff::/32", 64}} {
		block := netip.MustParsePrefix(space.block)
		for range 20 {
			table, o := randomTable(t, r, block, space.longest, 30)
			for range 100 {
				a := randomIn(r, block)
				if i := r.IntN(4 * len(o)); i < len(o) {
					a = randomIn(r, o[i].prefix)
				} else if i < 2*len(o) {
					a = lastOf(o[i-len(o)].prefix)
				} else if i < 3*len(o) && o[i-2*len(o)].prefix.Addr().Prev().IsValid() {
					a = o[i-2*len(o)].prefix.Addr().Prev()
				}
				checkAgainst(t, table, o, a)
			}
		}
	}
}

func checkAgainst(t *testing.T, table *Table, o oracle, a netip.Addr) {
	t.Helper()
	got := table.Locate(a)
	if plain(got) != o.at(a) {
		t.Fatalf("Locate(%v) = %+v, want %+v; table %v", a, got, o.at(a), o)
	}
	if !got.Prefix.Contains(a) || got.Prefix != got.Prefix.Masked() || !o.uniform(got.Prefix) {
		t.Fatalf("Locate(%v) holds for %v, in which places differ; table %v", a, got.Prefix, o)
	}
	if got.Prefix.Bits() == 0 {
		return
	}
	wider := netip.PrefixFrom(a, got.Prefix.Bits()-1).Masked()
	touches := a.Is6() && slices.ContainsFunc(carriers, func(c netip.Prefix) bool { return c.Overlaps(wider) })
	if o.uniform(wider) && !touches {
		t.Fatalf("Locate(%v) holds for %v, but %v is at one place too; table %v", a, got.Prefix, wider, o)
	}
}

var carriers = []netip.Prefix{
	netip.MustParsePrefix("::/64"), netip.MustParsePrefix("64:ff9b::/64"),
	netip.MustParsePrefix("2001::/32"), netip.MustParsePrefix("2002::/16"),
}

func TestEveryAddressInAPrefixHasTheSamePlace(t *testing.T) {
	const seed = 11
	t.Logf("seed %d", seed)
	r := rand.New(rand.NewPCG(seed, 0))
	table := Embedded()
	blocks := []string{"0.0.0.0/0", "2000::/3", "2a00::/12", "::/0", "2002::/16", "64:ff9b::/96", "64:ff9b::/64", "2001::/32", "::ffff:0:0/96", "::/64"}
	for _, s := range blocks {
		block := netip.MustParsePrefix(s)
		for range 3000 {
			a := randomIn(r, block)
			want := table.Locate(a)
			if !want.Prefix.Contains(a.Unmap()) {
				t.Fatalf("Locate(%v).Prefix = %v, which does not contain it", a, want.Prefix)
			}
			for _, b := range []netip.Addr{want.Prefix.Addr(), lastOf(want.Prefix), randomIn(r, want.Prefix), randomIn(r, want.Prefix)} {
				if got := table.Locate(b); got != want {
					t.Fatalf("Locate(%v) = %+v, but Locate(%v) = %+v", a, want, b, got)
				}
			}
		}
	}
}

func TestTheEmptyTableKnowsNothingAndSaysSoWithTheWidestPrefix(t *testing.T) {
	table := NewBuilder("none", time.Time{}).Table()
	for addr, prefix := range map[string]string{"192.0.2.1": "0.0.0.0/0", "2a00::1": "2800::/5", "8000::": "8000::/1", "::1": "::/81"} {
		got := table.Locate(netip.MustParseAddr(addr))
		if got.Known || got.Prefix.String() != prefix {
			t.Errorf("Locate(%s) = %+v, want unknown for %s", addr, got, prefix)
		}
	}
	if got := table.Locate(netip.Addr{}); got != (Place{Source: "none"}) {
		t.Errorf("Locate of no address = %+v, want an unknown place", got)
	}
}

func TestPrivateAddressesAreUnknown(t *testing.T) {
	for _, s := range []string{
		"0.0.0.1", "10.1.2.3", "100.64.0.1", "127.0.0.1", "169.254.1.1", "172.16.0.1", "192.168.1.1", "192.0.2.1", "198.18.0.1", "198.51.100.1",
		"203.0.113.9", "224.0.0.1", "240.0.0.1", "255.255.255.255", "::", "::1", "fc00::1", "fe80::1", "fe80::1%eth0", "ff02::1", "2001:db8::1", "::ffff:10.1.2.3", "2002:0a01:0203::1",
	} {
		if p := Embedded().Locate(netip.MustParseAddr(s)); p.Known || p.Country != "" || !p.Prefix.IsValid() {
			t.Errorf("Locate(%s) = %+v, want unknown with a prefix", s, p)
		}
	}
}

func TestWellKnownAddressesAreWhereTheyAre(t *testing.T) {
	for s, country := range map[string]string{
		"81.2.69.160": "GB", "8.8.8.8": "US", "114.114.114.114": "CN", "77.88.8.8": "RU", "13.54.1.1": "AU", "35.180.1.1": "FR", "3.5.140.1": "KR", "193.157.1.1": "NO", "2001:700::1": "NO",
	} {
		if p := Embedded().Locate(netip.MustParseAddr(s)); p.Country != country || !p.Known || p.Exact || p.Source != "embedded" {
			t.Errorf("Locate(%s) = %+v, want %s", s, p, country)
		}
	}
}

func TestBuilderRefusesDisorder(t *testing.T) {
	gb, _ := Country("GB")
	for _, pair := range [][2]string{{"10.0.0.0/8", "9.0.0.0/8"}, {"10.0.0.0/8", "10.1.0.0/16"}, {"2a00::/16", "2a00::/32"}, {"2a00::/16", "2000::/16"}, {"::/0", "2a00::/16"}, {"0.0.0.0/0", "255.0.0.0/8"}} {
		b := NewBuilder("test", time.Time{})
		if err := b.Add(netip.MustParsePrefix(pair[0]), gb); err != nil {
			t.Fatal(err)
		}
		if err := b.Add(netip.MustParsePrefix(pair[1]), gb); err == nil {
			t.Errorf("Add(%s) after %s: no error", pair[1], pair[0])
		}
	}
	if err := NewBuilder("", time.Time{}).Add(netip.Prefix{}, gb); err == nil {
		t.Error("Add of no prefix: no error")
	}
}

func TestTheFirstPrefixWithinA64SpeaksForIt(t *testing.T) {
	gb, _ := Country("GB")
	no, _ := Country("NO")
	b := NewBuilder("test", time.Time{})
	for _, e := range []entry{{netip.MustParsePrefix("2a00::/65"), gb}, {netip.MustParsePrefix("2a00:0:0:0:8000::/65"), no}, {netip.MustParsePrefix("2a00:0:0:1::/64"), no}, {netip.MustParsePrefix("ffff:ffff:ffff:ffff::/128"), gb}, {netip.MustParsePrefix("ffff:ffff:ffff:ffff::1/128"), no}} {
		if err := b.Add(e.prefix, e.place); err != nil {
			t.Fatal(err)
		}
	}
	table := b.Table()
	for s, country := range map[string]string{"2a00::": "GB", "2a00::ffff:0:0:0": "GB", "2a00:0:0:1::": "NO", "2a00:0:0:2::": "", "ffff:ffff:ffff:ffff::2": "" /* reserved */} {
		if p := table.Locate(netip.MustParseAddr(s)); p.Country != country {
			t.Errorf("Locate(%s) = %+v, want %q", s, p, country)
		}
	}
}

func TestLocateDoesNotAllocate(t *testing.T) {
	if raceEnabled {
		t.Skip("the race detector allocates")
	}
	table := Embedded()
	for _, s := range []string{"81.2.69.160", "2a00:1450:4001::1", "10.0.0.1", "2002:5102:45a0::1", "64:ff9b::5102:45a0", "::1"} {
		a := netip.MustParseAddr(s)
		if n := testing.AllocsPerRun(100, func() { table.Locate(a) }); n != 0 {
			t.Errorf("Locate(%s) allocates %v times", s, n)
		}
	}
}

func benchmarkLocate(b *testing.B, make func(r *rand.Rand) netip.Addr) {
	r := rand.New(rand.NewPCG(1, 2))
	addrs := []netip.Addr{}
	for range 1 << 14 {
		addrs = append(addrs, make(r))
	}
	table := Embedded()
	b.ReportAllocs()
	i := 0
	for b.Loop() {
		table.Locate(addrs[i&(1<<14-1)])
		i++
	}
}

func random4(r *rand.Rand) netip.Addr {
	return netip.AddrFrom4([4]byte(binary.BigEndian.AppendUint32(nil, r.Uint32())))
}

func BenchmarkLocateIPv4(b *testing.B) { benchmarkLocate(b, random4) }

func BenchmarkLocateIPv6(b *testing.B) {
	block := netip.MustParsePrefix("2a00::/12")
	benchmarkLocate(b, func(r *rand.Rand) netip.Addr { return randomIn(r, block) })
}

// BenchmarkFind leaves out the copying of the Place and the arithmetic of its Prefix.
func BenchmarkFind(b *testing.B) {
	r := rand.New(rand.NewPCG(1, 2))
	var keys [1 << 14]uint32
	for i := range keys {
		keys[i] = r.Uint32()
	}
	table := Embedded()
	b.ReportAllocs()
	i, sum := 0, 0
	for b.Loop() {
		sum += table.v4.find(keys[i&(1<<14-1)])
		i++
	}
	if sum == 0 {
		b.Fatal("every key is in the first run")
	}
}

func BenchmarkDecode(b *testing.B) {
	b.ReportAllocs()
	for b.Loop() {
		if _, err := Decode("embedded", embeddedTable); err != nil {
			b.Fatal(err)
		}
	}
}
