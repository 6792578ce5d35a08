// SPDX-License-Identifier: Apache-2.0

package topology

import (
	"cmp"
	"slices"
	"strings"
)

// routeTable finds the route of a request: one map look-up per label of the host, then a scan of that host's routes,
// most specific path first.
type routeTable struct {
	exact    map[string][]*Route // by host
	wildcard map[string][]*Route // by the host after "*."
	any      []*Route            // routes without hosts
}

func compileRoutes(routes []*Route) routeTable {
	t := routeTable{exact: map[string][]*Route{}, wildcard: map[string][]*Route{}}
	sorted := slices.SortedStableFunc(slices.Values(routes), func(a, b *Route) int {
		if d := len(b.prefix()) - len(a.prefix()); d != 0 {
			return d
		}
		if d := min(1, len(b.Methods)) - min(1, len(a.Methods)); d != 0 {
			return d // one that names methods is more specific than one that takes any
		}
		return cmp.Compare(a.Name, b.Name)
	})
	for _, r := range sorted {
		if len(r.Hosts) == 0 {
			t.any = append(t.any, r)
		}
		for _, h := range r.Hosts {
			if suffix, ok := strings.CutPrefix(h, "*."); ok {
				t.wildcard[suffix] = append(t.wildcard[suffix], r)
			} else {
				t.exact[h] = append(t.exact[h], r)
			}
		}
	}
	return t
}

// prefix returns PathPrefix without a final slash, so that "/" is the empty prefix of every path.
func (r *Route) prefix() string { return strings.TrimSuffix(r.PathPrefix, "/") }

// takes reports whether the route serves the path and the method.
func (r *Route) takes(method, path string) bool {
	rest, ok := strings.CutPrefix(path, r.prefix())
	return ok && (rest == "" || rest[0] == '/') && (len(r.Methods) == 0 || slices.Contains(r.Methods, method))
}

// Match returns the route of a request, or nil. host is in lower case without port and final dot; path is the one that
// the node will receive, without query. The most specific wins: exact host before the longest wildcard before any host,
// then the longest path prefix, then a route that names methods, then the first by name. It does not allocate.
func (s *Snapshot) Match(method, host, path string) *Route {
	if s == nil {
		return nil
	}
	if r := first(s.routes.exact[host], method, path); r != nil {
		return r
	}
	for rest := host; ; {
		_, parent, ok := strings.Cut(rest, ".")
		if !ok {
			break
		}
		if r := first(s.routes.wildcard[parent], method, path); r != nil {
			return r
		}
		rest = parent
	}
	return first(s.routes.any, method, path)
}

func first(routes []*Route, method, path string) *Route {
	for _, r := range routes {
		if r.takes(method, path) {
			return r
		}
	}
	return nil
}

// HostNamed reports whether the route names the host, exactly or by wildcard.
func (r *Route) HostNamed(host string) bool { return hostIn(r.Hosts, host) }

// OriginNamed reports whether the route allows the host in a browser's Origin by name.
func (r *Route) OriginNamed(host string) bool {
	return hostIn(r.Hosts, host) || hostIn(r.AllowedOrigins, host)
}

func hostIn(hosts []string, host string) bool {
	for _, h := range hosts {
		if suffix, ok := strings.CutPrefix(h, "*"); ok && len(host) > len(suffix) && strings.HasSuffix(host, suffix) || h == host {
			return true
		}
	}
	return false
}
