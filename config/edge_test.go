// SPDX-License-Identifier: Apache-2.0

package config_test

import (
	"bytes"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"meridian/config"
	"meridian/topology"
)

const shortEdge = `
name: edge-1
region: eu-central-1
http: {listen: ["127.0.0.2:8080", "127.0.0.2:8081", "[::1]:8080"]}
dns: {listen: ["127.0.0.2:8053"]}
etcd: {endpoints: ["http://127.0.0.1:2379"]}
`

func mustEdge(t *testing.T, src string, overrides ...func(*config.Edge)) *config.Edge {
	t.Helper()
	e, problems := config.ParseEdge("edge.yaml", []byte(src), overrides...)
	for _, p := range problems {
		t.Error(p)
	}
	if e == nil {
		t.Fatal("got no configuration")
	}
	return e
}

var byValue = []cmp.Option{cmpopts.EquateComparable(netip.Addr{}, netip.Prefix{})}

func TestShortConfigurationGetsTheDefaults(t *testing.T) {
	e := mustEdge(t, shortEdge)
	want := config.Edge{
		Name: "edge-1", Region: "eu-central-1",
		HTTP:  config.HTTP{Listen: []string{"127.0.0.2:8080", "127.0.0.2:8081", "[::1]:8080"}},
		DNS:   config.DNS{Listen: []string{"127.0.0.2:8053"}},
		Admin: config.Admin{Listen: "127.0.0.1:9090"},
		Advertise: config.Advertise{
			Addresses: []netip.Addr{netip.MustParseAddr("127.0.0.2"), netip.IPv6Loopback()},
			HTTP:      "127.0.0.2:8080", DNS: "127.0.0.2:8053", Admin: "127.0.0.1:9090",
		},
		Etcd:      config.Etcd{Endpoints: []string{"http://127.0.0.1:2379"}},
		DataDir:   "/var/lib/meridian/edge-1",
		AccessLog: "off",
		Limits: config.Limits{
			MaxHeadBytes: 32768, MaxHeaderCount: 100, HeadTimeout: topology.Duration(10 * time.Second),
			IdleTimeout: topology.Duration(time.Minute), MinBodyRate: 500, WriteTimeout: topology.Duration(30 * time.Second),
			MaxRequestsPerConnection: 10000, MaxStreams: 100, MaxConnections: 16384, MaxConnectionsPerAddress: 4096,
		},
		Retries:  config.Retries{BudgetPercent: 20, MinConcurrent: 3, MaxKeptBodyBytes: 65536},
		Shutdown: config.Shutdown{Deadline: topology.Duration(30 * time.Second)},
		MCP:      config.MCP{MaxSessions: 1_000_000, SessionIdle: topology.Duration(time.Hour)},
		Log:      config.Log{Level: "info"},
	}
	if diff := cmp.Diff(want, *e, byValue...); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
	if again := e.WithDefaults(); !cmp.Equal(again, *e, byValue...) {
		t.Error("defaults filled in twice differ from once")
	}
}

func TestEveryFieldCanBeSaid(t *testing.T) {
	e := mustEdge(t, `
name: e
region: r
zone: z
http: {listen: [0.0.0.0:80]}
https: {listen: [0.0.0.0:443], certificates: [{cert: a.crt, key: a.key}], http3: true, handshake_timeout: 5s}
dns: {listen: [0.0.0.0:53]}
admin: {listen: 10.0.0.1:9090}
advertise: {addresses: [192.0.2.1, "2001:db8::1"], http: 192.0.2.1:80, dns: 192.0.2.1:53, admin: 192.0.2.1:9090}
topology_file: topology.yaml
data_dir: /tmp/data
geo: {database: city.mmdb}
access_log: stderr
limits: {max_head_bytes: 65536, max_header_count: 200, head_timeout: 5s, idle_timeout: 2m, max_connections: 10, max_connections_per_address: 5}
shutdown: {grace: 15s, deadline: 1m}
mcp: {max_sessions: 5, session_idle: 10m}
log: {level: debug}
`)
	b, err := config.EncodeYAML(e)
	if err != nil {
		t.Fatal(err)
	}
	if again := mustEdge(t, string(b)); !cmp.Equal(e, again, byValue...) {
		t.Errorf("written and read again it differs:\n%s\n%s", b, cmp.Diff(e, again, byValue...))
	}
	if e.Zone != "z" || e.Limits.MaxConnectionsPerAddress != 5 || e.Shutdown.Grace != topology.Duration(15*time.Second) || len(e.Advertise.Addresses) != 2 {
		t.Errorf("got %+v", e)
	}
}

func TestEffectiveConfigurationIsWrittenInTheOrderOfItsFields(t *testing.T) {
	b, err := config.EncodeYAML(mustEdge(t, shortEdge))
	if err != nil {
		t.Fatal(err)
	}
	want := `name: edge-1
region: eu-central-1
http:
  listen:
    - 127.0.0.2:8080
    - 127.0.0.2:8081
    - '[::1]:8080'
dns:
  listen:
    - 127.0.0.2:8053
admin:
  listen: 127.0.0.1:9090
advertise:
  addresses:
    - 127.0.0.2
    - ::1
  http: 127.0.0.2:8080
  dns: 127.0.0.2:8053
  admin: 127.0.0.1:9090
etcd:
  endpoints:
    - http://127.0.0.1:2379
data_dir: /var/lib/meridian/edge-1
access_log: "off"
limits:
  max_head_bytes: 32768
  max_header_count: 100
  head_timeout: 10s
  idle_timeout: 1m0s
  min_body_rate: 500
  write_timeout: 30s
  max_requests_per_connection: 10000
  max_streams: 100
  max_connections: 16384
  max_connections_per_address: 4096
retries:
  budget_percent: 20
  min_concurrent: 3
  max_kept_body_bytes: 65536
shutdown:
  grace: 0s
  deadline: 30s
mcp:
  max_sessions: 1000000
  session_idle: 1h0m0s
log:
  level: info
`
	if diff := cmp.Diff(want, string(b)); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}

func TestOverridesAreCheckedWithTheFile(t *testing.T) {
	e := mustEdge(t, shortEdge, func(e *config.Edge) { e.Etcd.Endpoints, e.TopologyFile = nil, "topology.yaml" })
	if e.TopologyFile != "topology.yaml" || e.DataDir != "" {
		t.Errorf("got topology_file %q, data_dir %q", e.TopologyFile, e.DataDir)
	}
	_, problems := config.ParseEdge("edge.yaml", []byte(shortEdge), func(e *config.Edge) { e.Limits.MaxConnections = -1 })
	if len(problems) == 0 || problems[0].Line == 0 || !strings.HasPrefix(problems[0].Field, "limits.max_connections") {
		t.Errorf("got %v", problems)
	}
}

func TestFlagsAloneMakeAConfiguration(t *testing.T) {
	e := mustEdge(t, "", func(e *config.Edge) {
		e.Name, e.Region, e.TopologyFile = "edge-1", "eu-central-1", "topology.yaml"
	})
	if len(e.Advertise.Addresses) != 0 || e.HTTP.Listen[0] != "0.0.0.0:8080" {
		t.Errorf("got %+v", e)
	}
	if problems := e.Validate(); len(problems) != 0 {
		t.Error(problems)
	}
}

func TestFreePortsAreNotAdvertised(t *testing.T) {
	e := mustEdge(t, shortEdge, func(e *config.Edge) {
		e.HTTP.Listen, e.Admin.Listen = []string{"127.0.0.1:0", "127.0.0.1:0"}, "127.0.0.1:0"
	})
	if e.Advertise.HTTP != "" || e.Advertise.Admin != "" || len(e.Advertise.Addresses) != 1 {
		t.Errorf("got %+v", e.Advertise)
	}
}

func TestListenersDoNotOverlap(t *testing.T) {
	f := func(http, admin string, overlaps bool) {
		t.Helper()
		_, problems := config.ParseEdge("edge.yaml", []byte(shortEdge), func(e *config.Edge) {
			e.HTTP.Listen, e.Admin.Listen, e.Advertise.Addresses = []string{http}, admin, []netip.Addr{netip.IPv6Loopback()}
		})
		if got := len(problems) > 0; got != overlaps {
			t.Errorf("%s and %s: got %v", http, admin, problems)
		}
	}
	f("127.0.0.1:80", "127.0.0.1:80", true)
	f("127.0.0.1:80", "127.0.0.2:80", false)
	f("127.0.0.1:80", "127.0.0.1:81", false)
	f("127.0.0.1:0", "127.0.0.1:0", false)
	f("0.0.0.0:80", "127.0.0.1:80", true)
	f("127.0.0.1:80", "0.0.0.0:80", true)
	f("0.0.0.0:80", "[::]:80", true)
	f("[::]:80", "127.0.0.1:80", true)
	f("0.0.0.0:80", "[::1]:80", false)
	f("[::1]:80", "[::]:80", true)
}

func TestConfigurationBeyondItsBoundsIsRefused(t *testing.T) {
	f := func(b []byte, want string) {
		t.Helper()
		_, problems := config.ParseEdge("edge.yaml", b)
		if len(problems) == 0 || !strings.Contains(problems[len(problems)-1].Message, want) || problems[0].Line == 0 {
			t.Errorf("got %v, want %q", problems, want)
		}
	}
	f(bytes.Repeat([]byte("#"), 1<<20+1), "at most 1048576")
	f([]byte("zone: "+strings.Repeat("[", 40)+strings.Repeat("]", 40)), "deeper than 32")
	f([]byte(strings.Repeat("x: 1\n", 3000)), "more mistakes, which are not shown")
	f([]byte("a\x00b"), "not text")
	f([]byte("\xff\xfe"), "not text")
}

func FuzzParseEdge(f *testing.F) {
	f.Add([]byte(shortEdge))
	f.Add([]byte("a: &a [*a, *b]\n<<: *a\n---\n"))
	f.Add([]byte("%YAML 1.1\n--- !!map\n? [a]\n: b\n..."))
	f.Fuzz(func(t *testing.T, b []byte) {
		e, problems := config.ParseEdge("edge.yaml", b)
		if (e == nil) != (len(problems) > 0) {
			t.Fatalf("got %v and %v", e, problems)
		}
		placed(t, b, problems)
		if e == nil {
			return
		}
		out, err := config.EncodeYAML(e)
		if err != nil {
			t.Fatal(err)
		}
		again, problems := config.ParseEdge("again.yaml", out)
		if len(problems) > 0 || !cmp.Equal(e, again, byValue...) {
			t.Fatalf("written and read again: %v\n%s", problems, out)
		}
	})
}

// placed checks that every problem has a place within the file and that there are not too many.
func placed(t *testing.T, b []byte, problems []config.Problem) {
	t.Helper()
	if len(problems) > 1001 {
		t.Fatalf("%d problems", len(problems))
	}
	lines := 1 + bytes.Count(b, []byte{'\n'}) + bytes.Count(b, []byte{'\r'}) + bytes.Count(b, []byte("\u0085")) + bytes.Count(b, []byte("\u2028")) + bytes.Count(b, []byte("\u2029"))
	for _, p := range problems {
		if p.Line < 1 || p.Line > lines || p.Message == "" || strings.ContainsAny(p.Error(), "\n\r\x1b") {
			t.Fatalf("%q at line %d of %d", p.Error(), p.Line, lines)
		}
	}
}
