// SPDX-License-Identifier: Apache-2.0

package topology

import (
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
)

func matcher(routes ...*Route) *Snapshot {
	set := setOf(&Pool{Name: "p"})
	for _, r := range routes {
		r.Pool = "p"
		set.Put(r)
	}
	s, _ := Build(1, set)
	return s
}

func TestMostSpecificRouteWins(t *testing.T) {
	s := matcher(
		&Route{Name: "any"},
		&Route{Name: "any-api", PathPrefix: "/api"},
		&Route{Name: "exact", Hosts: []string{"a.example.org"}, PathPrefix: "/mcp"},
		&Route{Name: "exact-post", Hosts: []string{"a.example.org"}, PathPrefix: "/mcp/", Methods: []string{"POST"}},
		&Route{Name: "wide", Hosts: []string{"*.example.org"}},
		&Route{Name: "wide-deep", Hosts: []string{"*.deep.example.org"}},
		&Route{Name: "tie-b", Hosts: []string{"tie"}}, &Route{Name: "tie-a", Hosts: []string{"tie"}},
	)
	f := func(method, host, path, want string) {
		t.Helper()
		got := ""
		if r := s.Match(method, host, path); r != nil {
			got = string(r.Name)
		}
		if got != want {
			t.Errorf("%s %s%s: got %q, want %q", method, host, path, got, want)
		}
	}
	f("GET", "a.example.org", "/mcp", "exact")
	f("GET", "a.example.org", "/mcp/x", "exact")
	f("POST", "a.example.org", "/mcp", "exact-post")
	f("GET", "a.example.org", "/mcpx", "wide")
	f("GET", "b.example.org", "/", "wide")
	f("GET", "b.c.example.org", "/", "wide")
	f("GET", "x.deep.example.org", "/", "wide-deep")
	f("GET", "deep.example.org", "/", "wide")
	f("GET", "example.org", "/api/x", "any-api")
	f("GET", "example.org", "/API/x", "any")
	f("GET", "A.example.org", "/mcp", "wide") // the caller lower-cases hosts
	f("GET", "", "/", "any")
	f("GET", "tie", "/", "tie-a")
	f("OPTIONS", "a.example.org", "*", "")
}

// oracle finds the route by what the documentation of Match says, from all routes.
func oracle(routes []*Route, method, host, path string) *Route {
	type rank struct{ host, path, methods int }
	better := func(a, b rank) bool {
		switch {
		case a.host != b.host:
			return a.host > b.host
		case a.path != b.path:
			return a.path > b.path
		}
		return a.methods > b.methods
	}
	var best *Route
	var most rank
	for _, r := range routes {
		k := rank{host: -1, path: len(strings.TrimSuffix(r.PathPrefix, "/")), methods: min(1, len(r.Methods))}
		if len(r.Hosts) == 0 {
			k.host = 0
		}
		for _, h := range r.Hosts {
			if h == host {
				k.host = 1000
			} else if suffix, ok := strings.CutPrefix(h, "*"); ok && strings.HasSuffix(host, suffix) && host != suffix {
				k.host = max(k.host, len(suffix))
			}
		}
		segments, prefix := path+"/", strings.TrimSuffix(r.PathPrefix, "/")+"/"
		if k.host < 0 || !strings.HasPrefix(segments, prefix) || (len(r.Methods) > 0 && !slices.Contains(r.Methods, method)) {
			continue
		}
		if best == nil || better(k, most) || (k == most && r.Name < best.Name) {
			best, most = r, k
		}
	}
	return best
}

func TestMatchAgreesWithANaiveScan(t *testing.T) {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	rng := rand.New(rand.NewPCG(seed, 1))
	one := func(of ...string) string { return of[rng.IntN(len(of))] }
	for range 300 {
		var routes []*Route
		for i := range rng.IntN(12) {
			r := &Route{Name: RouteID("r" + itoa(i)), PathPrefix: one("", "/", "/a", "/a/", "/a/b", "/ab", "/b")}
			for range rng.IntN(3) {
				r.Hosts = append(r.Hosts, one("a.test", "b.a.test", "test", "*.test", "*.a.test", "*.b.a.test"))
			}
			if rng.IntN(2) == 0 {
				r.Methods = []string{one("GET", "POST")}
			}
			routes = append(routes, r)
		}
		s := matcher(routes...)
		for range 50 {
			method, host := one("GET", "POST", "PUT"), one("a.test", "b.a.test", "c.b.a.test", "test", "x", "")
			path := one("/", "/a", "/a/", "/a/b", "/a/b/c", "/ab", "/abc", "/b/x")
			if got, want := s.Match(method, host, path), oracle(routes, method, host, path); got != want {
				t.Fatalf("%s %s%s: got %+v, want %+v", method, host, path, got, want)
			}
		}
	}
}

func TestMatchDoesNotAllocate(t *testing.T) {
	s := matcher(&Route{Name: "a", Hosts: []string{"*.example.org"}, PathPrefix: "/mcp", Methods: []string{"POST"}}, &Route{Name: "b"})
	n := testing.AllocsPerRun(100, func() {
		if s.Match("POST", "a.b.c.example.org", "/mcp") == nil || s.Match("GET", "x.y.z", "/q") == nil {
			t.Fatal("no route")
		}
	})
	if n != 0 {
		t.Errorf("got %v allocations, want 0", n)
	}
}

func TestRouteKnowsItsHostsAndOrigins(t *testing.T) {
	r := &Route{Hosts: []string{"a.test", "*.b.test"}, AllowedOrigins: []string{"o.test", "*.p.test"}}
	f := func(host string, named, origin bool) {
		t.Helper()
		if r.HostNamed(host) != named || r.OriginNamed(host) != origin {
			t.Errorf("%q: got %v %v, want %v %v", host, r.HostNamed(host), r.OriginNamed(host), named, origin)
		}
	}
	f("a.test", true, true)
	f("x.a.test", false, false)
	f("x.b.test", true, true)
	f("b.test", false, false)
	f(".b.test", false, false)
	f("xb.test", false, false)
	f("o.test", false, true)
	f("y.p.test", false, true)
	f("", false, false)
}

func BenchmarkMatch(b *testing.B) {
	s, _ := Build(1, largeSet(10_000))
	b.ReportAllocs()
	for b.Loop() {
		if s.Match("GET", "h500.example.org", "/mcp") == nil {
			b.Fatal("no route")
		}
	}
}
