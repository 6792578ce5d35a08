// SPDX-License-Identifier: Apache-2.0

package mcp_test

import (
	"testing"

	"meridian/mcp"
	"meridian/topology"
)

func isName(h string) bool { return h == "mcp.edge.test" }

func TestOnlyHostsThatAreServedReachAWorker(t *testing.T) {
	open := &topology.Route{}
	named := &topology.Route{Hosts: []string{"api.example.org", "*.apps.example.org"}}
	for _, c := range []struct {
		route *topology.Route
		host  string
		want  bool
	}{
		{open, "127.0.0.1:8080", true}, {open, "127.0.0.1", true}, {open, "[::1]:8080", true}, {open, "[::1]", true}, {open, "::1", true},
		{open, "localhost", true}, {open, "LocalHost:8080", true}, {open, "mcp.edge.test", true}, {open, "MCP.edge.test.:80", true},
		{open, "evil.example.com", false}, {open, "localhost.evil.example", false}, {open, "127.0.0.1.evil.example", false},
		{open, "", false}, {open, ":80", false}, {open, "localhost:", false}, {open, "localhost:99999", false}, {open, "localhost:80:80", false},
		{open, "user@localhost", false}, {open, "localhost/x", false}, {open, "[::1", false}, {open, "[127.0.0.1]", false}, {open, "[fe80::1%25eth0]", false},
		{open, "fe80::1%eth0", false}, {open, "[]", false}, {open, "local host", false}, {open, "localhost\x00", false}, {open, ".", false},
		{named, "api.example.org:443", true}, {named, "x.apps.example.org", true}, {named, "API.Example.ORG", true},
		{named, "apps.example.org", false}, {named, "localhost", false}, {named, "127.0.0.1", false}, {named, "mcp.edge.test", false},
	} {
		if got := mcp.HostAllowed(c.route, c.host, isName); got != c.want {
			t.Errorf("hosts %v, %q: %v", c.route.Hosts, c.host, got)
		}
	}
	if mcp.HostAllowed(open, "mcp.edge.test", nil) {
		t.Error("without names a name is allowed")
	}
}

func TestOnlyOriginsThatAreAllowedReachAWorker(t *testing.T) {
	open := &topology.Route{AllowedOrigins: []string{"inspector.example.org"}}
	named := &topology.Route{Hosts: []string{"api.example.org"}, AllowedOrigins: []string{"*.example.com"}}
	for _, c := range []struct {
		route        *topology.Route
		origin, host string
		want         bool
	}{
		{open, "", "127.0.0.1", true},
		{open, "http://localhost:6274", "127.0.0.1:8080", true}, {open, "http://127.0.0.5", "localhost", true}, {open, "http://[::1]:3000", "localhost", true},
		{open, "https://inspector.example.org", "localhost", true}, {open, "HTTPS://Inspector.Example.Org:8443", "localhost", true},
		{open, "https://mcp.edge.test", "mcp.edge.test", true},
		{open, "http://10.0.0.1:8080", "10.0.0.1:8080", true}, // the page came from here
		{open, "http://203.0.113.9", "10.0.0.1:8080", false},  // any web page can have an address
		{open, "http://evil.example", "evil.example", false},  // rebinding: host and origin agree
		{open, "http://evil.example", "localhost", false},
		{open, "null", "localhost", false}, {open, "file://", "localhost", false}, {open, "localhost", "localhost", false},
		{open, "http://localhost/", "localhost", false}, {open, "http://localhost, http://evil.example", "localhost", false},
		{open, "http://user@localhost", "localhost", false}, {open, "http://", "localhost", false}, {open, "chrome-extension://localhost", "localhost", false},
		{open, " http://localhost", "localhost", false}, {open, "http://localhost@evil.example", "localhost", false},
		{named, "https://api.example.org", "api.example.org", true}, {named, "https://a.example.com", "api.example.org", true},
		{named, "https://example.com", "api.example.org", false}, {named, "http://localhost", "api.example.org", false},
		{named, "http://localhost", "localhost", false}, {named, "https://mcp.edge.test", "api.example.org", false},
	} {
		if got := mcp.OriginAllowed(c.route, c.origin, c.host, isName); got != c.want {
			t.Errorf("hosts %v, origin %q to %q: %v", c.route.Hosts, c.origin, c.host, got)
		}
	}
}

func FuzzHostAllowed(f *testing.F) {
	for _, s := range []string{"localhost:80", "[::1]:80", "127.0.0.1", "a.b.:1", "[", "]:", "::ffff:1.2.3.4", "%", "[::1]x:80"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, host string) {
		asked := ""
		allowed := mcp.HostAllowed(&topology.Route{}, host, func(h string) bool { asked = h; return false })
		for i := range len(asked) {
			if b := asked[i]; b >= 'A' && b <= 'Z' || b <= ' ' || b >= 0x7f || b == '/' || b == '@' || b == ':' {
				t.Errorf("%q is taken for the name %q", host, asked)
			}
		}
		if mcp.OriginAllowed(&topology.Route{}, "http://"+host, "", nil) && !allowed {
			t.Errorf("%q is refused as host and allowed as origin", host)
		}
	})
}
