// SPDX-License-Identifier: Apache-2.0

package mmdb

import (
	"bytes"
	"math"
	"net/netip"
	"strings"
	"testing"
)

var nan = math.NaN()

// unfolding returns a file whose search tree has one node per bit, both children of which are the next: 2^depth networks
// in depth nodes. With aliases, all of them are IPv4's root, which the library passes over unless asked not to.
func unfolding(t testing.TB, depth int, aliases bool) []byte {
	t.Helper()
	w := newWriter(6, 24, day)
	end := w.record(rec{"country_code": "GB"})
	if aliases {
		w.put(t, prefix("81.2.64.0/18"), rec{"country_code": "GB"})
		end = w.nodeAt(prefix("::/96"))
	}
	at := len(w.nodes)
	w.link(t, prefix("8000::/1"), at)
	for i := range depth {
		next := at + i + 1
		if i == depth-1 {
			next = end
		}
		w.nodes = append(w.nodes, [2]int{next, next})
	}
	return w.bytes()
}

func TestATreeThatUnfoldsWithoutBoundIsCutOff(t *testing.T) {
	for _, aliases := range []bool{false, true} {
		if _, err := flatten("deep", unfolding(t, 90, aliases), 10_000); err == nil || !strings.Contains(err.Error(), "more than 10000 networks") {
			t.Errorf("aliases %v: err = %v, want one that says the bound", aliases, err)
		}
	}
}

func TestEveryBeginningOfAFileIsAnError(t *testing.T) {
	b := countryFile(t, day)
	for n := range b {
		if _, err := OpenBytes("cut", b[:n]); err == nil {
			t.Errorf("the first %d of %d bytes open", n, len(b))
		}
	}
}

func TestALoopInTheTreeIsAnError(t *testing.T) {
	w := newWriter(6, 24, day)
	w.put(t, prefix("81.2.64.0/18"), rec{"country_code": "GB"})
	w.nodes[0][1] = 0
	if _, err := OpenBytes("loop", w.bytes()); err == nil {
		t.Error("it opens")
	}
}

func FuzzFlatten(f *testing.F) {
	f.Add(countryFile(f, day))
	f.Add(cityFile(f, 4, 28))
	f.Add(cityFile(f, 6, 32))
	f.Add([]byte("\xab\xcd\xefMaxMind.com"))
	probe := []netip.Addr{netip.MustParseAddr("81.2.69.160"), netip.MustParseAddr("128.97.1.1"), netip.MustParseAddr("2a00:1450::1"), netip.MustParseAddr("::1")}
	f.Fuzz(func(t *testing.T, b []byte) {
		before := bytes.Clone(b)
		table, err := flatten("fuzz", b, 1<<16)
		if !bytes.Equal(b, before) {
			t.Error("it wrote into the bytes")
		}
		if err != nil {
			return
		}
		clear(b) // the table must not refer to them
		for _, a := range probe {
			p := table.Locate(a)
			if !p.Prefix.Contains(a) {
				t.Errorf("Locate(%v) holds for %v", a, p.Prefix)
			}
			if p.Known && !(p.Latitude >= -90 && p.Latitude <= 90 && p.Longitude >= -180 && p.Longitude <= 180) {
				t.Errorf("Locate(%v) = %+v", a, p)
			}
			if !isCode(p.Country) || !isCode(p.Continent) {
				t.Errorf("Locate(%v) = %+v", a, p)
			}
		}
	})
}
