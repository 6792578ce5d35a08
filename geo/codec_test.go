// SPDX-License-Identifier: Apache-2.0

package geo

import (
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"encoding/binary"
	"io"
	"math/rand/v2"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestTheEmbeddedTableIsWholeAndDated(t *testing.T) {
	table, err := Decode("embedded", embeddedTable)
	if err != nil {
		t.Fatal(err)
	}
	if v4, v6 := table.Len(); v4 < 300_000 || v6 < 200_000 {
		t.Errorf("%d and %d runs, want at least 300,000 and 200,000", v4, v6)
	}
	if got := Embedded().Built().Format("2006-01"); got != "2026-06" {
		t.Errorf("built %s, want the month that NOTICE names", got)
	}
	if len(embeddedTable) > 2_500_000 {
		t.Errorf("%d bytes in the repository, want at most 2.5 MB", len(embeddedTable))
	}
	for _, p := range table.places[idPlaces:] {
		if !p.Known || p.Continent == "" {
			t.Errorf("country %s has no coordinates or continent", p.Country)
		}
	}
}

func TestEncodingTheEmbeddedTableGivesItsBytes(t *testing.T) {
	got, err := Embedded().encode()
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, unpacked(t, embeddedTable)) {
		t.Error("encoding what was decoded gives other bytes")
	}
}

func TestDecodeReadsWhatEncodeWrites(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 0))
	for range 30 {
		table, _ := randomTable(t, r, netip.MustParsePrefix("0.0.0.0/0"), 32, 40)
		packed, err := table.Encode()
		if err != nil {
			t.Fatal(err)
		}
		got, err := Decode("test", packed)
		if err != nil {
			t.Fatal(err)
		}
		sameTable(t, got, table)
	}
}

func sameTable(t *testing.T, got, want *Table) {
	t.Helper()
	if d := cmp.Diff(want.v4.start, got.v4.start) + cmp.Diff(want.v4.id, got.v4.id) + cmp.Diff(want.v6.start, got.v6.start) +
		cmp.Diff(want.v6.id, got.v6.id) + cmp.Diff(want.places, got.places, cmp.Comparer(func(a, b Place) bool { return a == b })); d != "" {
		t.Errorf("another table (-want +got):\n%s", d)
	}
	if !got.Built().Equal(want.Built()) || got.Source() != want.Source() {
		t.Errorf("got %v of %v, want %v of %v", got.Source(), got.Built(), want.Source(), want.Built())
	}
}

func TestEncodeRefusesMoreThanCountries(t *testing.T) {
	b := NewBuilder("test", time.Time{})
	if err := b.Add(netip.MustParsePrefix("192.0.2.0/24"), Place{Country: "GB", Latitude: 1, Known: true, Exact: true}); err != nil {
		t.Fatal(err)
	}
	if _, err := b.Table().Encode(); err == nil || !strings.Contains(err.Error(), "not just a country") {
		t.Errorf("err = %v, want one that says why", err)
	}
}

func unpacked(t testing.TB, packed []byte) []byte {
	t.Helper()
	z, err := gzip.NewReader(bytes.NewReader(packed))
	if err != nil {
		t.Fatal(err)
	}
	b, err := io.ReadAll(z)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func pack(raw []byte) []byte {
	var out bytes.Buffer
	z, _ := gzip.NewWriterLevel(&out, gzip.HuffmanOnly) // fast, also under the race detector
	_, _ = z.Write(raw)
	_ = z.Close()
	return out.Bytes()
}

// withSum returns raw with the checksum that its body has.
func withSum(raw []byte) []byte {
	raw = bytes.Clone(raw)
	sum := sha256.Sum256(raw[encodedHeader:])
	copy(raw[encodedHeader-len(sum):], sum[:])
	return raw
}

func small(t testing.TB) []byte {
	t.Helper()
	b := NewBuilder("test", time.Unix(1_000_000_000, 0))
	gb, _ := Country("GB")
	no, _ := Country("NO")
	for _, e := range []entry{{netip.MustParsePrefix("81.2.69.0/24"), gb}, {netip.MustParsePrefix("193.157.0.0/16"), no}, {netip.MustParsePrefix("2001:700::/32"), no}} {
		if err := b.Add(e.prefix, e.place); err != nil {
			t.Fatal(err)
		}
	}
	packed, err := b.Table().Encode()
	if err != nil {
		t.Fatal(err)
	}
	return packed
}

func TestEveryDamageIsAnError(t *testing.T) {
	packed := small(t)
	raw := unpacked(t, packed)
	for n := range packed {
		if _, err := Decode("cut", packed[:n]); err == nil {
			t.Errorf("the first %d of %d packed bytes decode", n, len(packed))
		}
	}
	for n := range raw {
		if _, err := Decode("cut", pack(raw[:n])); err == nil {
			t.Errorf("the first %d of %d bytes decode", n, len(raw))
		}
		if n >= encodedHeader {
			if _, err := Decode("cut", pack(withSum(raw[:n]))); err == nil {
				t.Errorf("the first %d of %d bytes decode under their own checksum", n, len(raw))
			}
		}
		flipped := bytes.Clone(raw)
		flipped[n] ^= 0x40
		dated := n > len(encodedMagic) && n <= len(encodedMagic)+8 // the date is not under the checksum
		if _, err := Decode("flipped", pack(flipped)); err == nil && !dated {
			t.Errorf("with byte %d of %d changed it decodes", n, len(raw))
		}
	}
}

func TestDecodeSaysWhatIsWrong(t *testing.T) {
	head := unpacked(t, small(t))[:encodedHeader]
	body := func(b ...byte) []byte { return pack(withSum(append(bytes.Clone(head), b...))) }
	for want, packed := range map[string][]byte{
		"EOF":               pack(nil)[:4],
		`begin with "MGEO"`: pack([]byte("something else that is long enough to hold a whole header")),
		"version 2":         pack(append([]byte("MGEO\x02"), head[5:]...)),
		"does not match":    pack(append(bytes.Clone(head), 1)),
		"occurs twice":      body(2, 'G', 'B', 'G', 'B', 1, 0, 1, 0),
		"without runs":      body(0, 0, 0),
		"1 bytes too many":  body(0, 1, 0, 1, 0, 9),
		"country number 1":  body(0, 1, 1, 1, 0),
		"a run of 0<<0":     body(0, 2, 0, 0, 0, 0, 1, 0),
		"a run of 1<<32":    body(0, 2, 32, 1, 0, 0, 1, 0),
		"a run of 3<<31":    body(0, 2, 31, 3, 0, 0, 1, 0),
		"a count of 16383":  body(0, 0xff, 0x7f, 0),
		"ends too early":    body(0, 3, 0, 0, 1),
	} {
		if _, err := Decode("bad", packed); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("err = %v, want %q in it", err, want)
		}
	}
}

func TestUnpackingStopsAtItsBound(t *testing.T) {
	packed := pack(make([]byte, 1000))
	if b, err := unpack(packed, 1000); err != nil || len(b) != 1000 {
		t.Errorf("%d bytes, %v, want all 1000", len(b), err)
	}
	if _, err := unpack(packed, 999); err == nil || !strings.Contains(err.Error(), "more than 999 bytes") {
		t.Errorf("err = %v, want one that says the bound", err)
	}
}

func FuzzDecode(f *testing.F) {
	raw := unpacked(f, small(f))
	f.Add(raw[encodedHeader:])
	f.Add([]byte{0, 1, 0, 1, 0})
	f.Add(binary.AppendUvarint([]byte{0}, MaxRuns))
	probe := []netip.Addr{netip.MustParseAddr("81.2.69.160"), netip.MustParseAddr("2001:700::1"), netip.MustParseAddr("255.255.255.255"), netip.MustParseAddr("ffff::")}
	f.Fuzz(func(t *testing.T, body []byte) {
		table, err := decodeBody("fuzz", time.Unix(0, 0), body)
		_, _ = Decode("fuzz", body)
		if err != nil {
			return
		}
		for _, a := range probe {
			if p := table.Locate(a); !p.Prefix.Contains(a) {
				t.Errorf("Locate(%v) holds for %v", a, p.Prefix)
			}
		}
		packed, err := table.Encode()
		if err != nil {
			return // a code that is no country's cannot be encoded again
		}
		again, err := Decode("fuzz", packed)
		if err != nil {
			t.Fatal(err)
		}
		for _, a := range probe {
			if got, want := again.Locate(a), table.Locate(a); got != want {
				t.Errorf("Locate(%v) = %+v after another round, was %+v", a, got, want)
			}
		}
	})
}
