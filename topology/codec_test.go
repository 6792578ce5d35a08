// SPDX-License-Identifier: Apache-2.0

package topology

import (
	"encoding/json"
	"net/netip"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
)

func itoa(i int) string { return strconv.Itoa(i) }

// samples returns a resource of each kind with every field set.
func samples() []Resource {
	at := time.Date(2026, 11, 23, 14, 0, 0, 0, time.UTC)
	second := Duration(time.Second)
	return []Resource{
		&Region{Version: 1, Name: "r", Latitude: 39.04, Longitude: -77.49},
		&Edge{Version: 1, Name: "e", Region: "r", Zone: "z", Addresses: []netip.Addr{netip.MustParseAddr("192.0.2.1")}, HTTP: "192.0.2.1:80",
			DNS: "192.0.2.1:53", Admin: "192.0.2.1:9090", Started: at, Leaving: true, Report: &Report{Started: at, Seq: 7, Revision: 3, Stale: true,
				Pools: map[PoolID]PoolView{"p": {1, 2}}, Nodes: map[NodeID]string{"n": "down: connect refused"}, Edges: map[EdgeID]string{"f": "down"}}},
		&Pool{Version: 1, Name: "p", Protocol: ProtocolMCP, HealthCheck: fullCheck(), Passive: Passive{ConsecutiveErrors: 3, Ban: second}},
		&Node{Version: 1, Name: "n", Pool: "p", Region: "r", Zone: "z", Address: "10.0.0.1:80", Weight: 2, Capacity: Capacity{10, 1.5},
			Labels: map[string]string{"role": "web"}, Leaving: true, Load: &Load{1, 2, 3, 0.5, at}},
		&Route{Version: 1, Name: "t", Hosts: []string{"*.example.org"}, PathPrefix: "/a", Methods: []string{"GET"}, Pool: "p",
			AllowedOrigins: []string{"b.example.org"}, Timeouts: Timeouts{second, second, second, Duration(time.Hour)}, Tries: 2},
		&Name{Version: 1, Name: "a.example.org", Zone: "example.org", Pool: "p", Regions: []RegionID{"r"}, TTL: second},
		&Drain{Version: 1, Name: "node/n", Author: "someone", Reason: "why", Created: at, Deadline: at.Add(time.Hour)},
	}
}

// byValue takes version 0 for 1, as which it is written.
var byValue = cmp.Options{cmpopts.EquateComparable(netip.Addr{}), cmp.Comparer(func(a, b Version) bool { return max(a, 1) == max(b, 1) })}

func TestWhatIsEncodedDecodesToTheSame(t *testing.T) {
	kinds := map[Kind]bool{}
	for _, r := range samples() {
		kinds[r.Key().Kind] = true
		got, mistakes := Decode(r.Key(), Encode(r))
		if diff := cmp.Diff(r, got, byValue); diff != "" || len(mistakes) > 0 {
			t.Errorf("%s: %v\n%s", r.Key(), mistakes, diff)
		}
	}
	if len(kinds) != len(Kinds) {
		t.Errorf("got samples of %d kinds, want %d", len(kinds), len(Kinds))
	}
}

func TestValueAlwaysBearsItsVersion(t *testing.T) {
	if got, want := string(Encode(&Region{Name: "r"})), `{"version":1,"name":"r","latitude":0,"longitude":0}`; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}

func TestDecodeNamesWhatIsWrong(t *testing.T) {
	f := func(kind Kind, name, value, field, message string) {
		t.Helper()
		key := Key{kind, name}
		r, found := Decode(key, []byte(value))
		if r != nil || len(found) == 0 {
			t.Fatalf("got %v, %v", r, found)
		}
		if found[0].Key != key || found[0].Field != field || !strings.Contains(found[0].Message, message) {
			t.Errorf("got %+v, want %q: %q", found[0], field, message)
		}
	}
	f("gadgets", "a", `{}`, "", "not a kind")
	f(KindRegion, "a", ``, "", "not a JSON object")
	f(KindRegion, "a", `null`, "", "not a JSON object")
	f(KindRegion, "a", `[]`, "", "not a JSON object")
	f(KindRegion, "a", `{"name":"a"`, "", "unexpected end")
	f(KindRegion, "a", `{"name":"a"} x`, "", "invalid character")
	f(KindRegion, "a", `{"name":"b"}`, "name", `"b" does not match the key's "a"`)
	f(KindRegion, "a", `{"name":"a","latitude":"north"}`, "latitude", "want float64")
	f(KindRegion, "a", `{"name":"a","version":2}`, "version", "upgrade")
	f(KindPool, "a", `{"name":"a","health_check":{"rise":"x"}}`, "health_check.rise", "want int")
	f(KindPool, "a", `{"name":"a","health_check":{"interval":"5"}}`, "", "with a unit")
	f(KindRegion, "a", `{"name":"a","x":"`+strings.Repeat("x", MaxValueBytes)+`"}`, "", "at most 65536")
}

func TestReportOfManyDownNodesIsTaken(t *testing.T) {
	r := &Report{Seq: 1, Nodes: map[NodeID]string{}}
	for i := range 10_000 {
		r.Nodes[NodeID("node-in-a-region-"+itoa(i))] = "down: timeout after 300ms"
	}
	e := &Edge{Name: "e", Region: "r", Addresses: []netip.Addr{netip.MustParseAddr("192.0.2.1")}, Report: r}
	if _, mistakes := Decode(e.Key(), Encode(e)); len(mistakes) > 0 {
		t.Errorf("got %v for %d bytes", mistakes, len(Encode(e)))
	}
	b, _ := json.Marshal(r)
	if got, err := DecodeReport(b); err != nil || len(got.Nodes) != 10_000 {
		t.Errorf("got %v, %v", got, err)
	}
}

func FuzzDecode(f *testing.F) {
	for _, r := range samples() {
		f.Add(string(r.Key().Kind), r.Key().Name, Encode(r))
	}
	f.Fuzz(func(t *testing.T, kind, name string, value []byte) {
		key := Key{Kind(kind), name}
		r, mistakes := Decode(key, value)
		if (r == nil) == (len(mistakes) == 0) {
			t.Fatalf("got %v and %v", r, mistakes)
		}
		for _, m := range mistakes {
			if m.Key != key {
				t.Fatalf("got a mistake of %v", m.Key)
			}
		}
		if r == nil {
			return
		}
		again, mistakes := Decode(key, Encode(r))
		if diff := cmp.Diff(r, again, byValue, cmpopts.EquateEmpty()); diff != "" || len(mistakes) > 0 {
			t.Fatalf("%v\n%s", mistakes, diff)
		}
		merged := Merge(key.Kind, value, Encode(r))
		if len(merged) > MaxBytes(key.Kind) {
			return
		}
		kept, mistakes := Decode(key, merged)
		if diff := cmp.Diff(r, kept, byValue, cmpopts.EquateEmpty()); diff != "" || len(mistakes) > 0 {
			t.Fatalf("merged: %v\n%s\n%s", mistakes, merged, diff)
		}
	})
}

func FuzzDecodeReport(f *testing.F) {
	b, _ := json.Marshal(samples()[1].(*Edge).Report)
	f.Add(b)
	f.Fuzz(func(t *testing.T, b []byte) {
		r, err := DecodeReport(b)
		if (r == nil) == (err == nil) {
			t.Fatalf("got %v and %v", r, err)
		}
	})
}

// fullCheck has every field that an https check may have.
func fullCheck() HealthCheck {
	second := Duration(time.Second)
	return HealthCheck{
		Type: CheckHTTPS, Method: "POST", Path: "/healthz", Host: "a.example.org:1", Headers: map[string]string{"X-A": "b"}, Status: []string{"204", "300-399"}, Body: "ok",
		TLS: true, ServerName: "a.example.org", SkipVerify: true,
		Interval: second, FastInterval: second, Jitter: 0.2, Timeout: second, Rise: 1, Fall: 2,
	}
}
