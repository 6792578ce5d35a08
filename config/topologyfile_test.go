// SPDX-License-Identifier: Apache-2.0

package config_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"meridian/config"
	"meridian/topology"
)

const wholeTopology = `
regions:
  - {name: us-east-1, latitude: 39.04, longitude: -77.49}
pools:
  - name: mcp
    protocol: mcp
    health_check: {type: http, path: /healthz, interval: 500ms, fast_interval: 100ms, timeout: 300ms, rise: 1, fall: 2}
    passive: {consecutive_errors: 3, ban: 5s}
nodes:
  - name: mcp-1
    version: 1
    pool: mcp
    region: us-east-1
    zone: a
    address: 127.0.0.1:7001
    weight: 2
    capacity: {connections: 100, rps: 50}
    labels: {app.tier: hot, app: x}
routes:
  - name: mcp
    hosts: [mcp.edge.test]
    path_prefix: /mcp
    methods: [POST, GET, DELETE]
    pool: mcp
    allowed_origins: [app.edge.test]
    timeouts: {connect: 1s, first_byte: 30s, idle: 10m}
    tries: 2
names:
  - {name: mcp.edge.test, zone: edge.test, pool: mcp, regions: [us-east-1], ttl: 10s}
edges:
  - {name: edge-1, region: us-east-1, zone: a, addresses: [192.0.2.1], http: 192.0.2.1:80, dns: 192.0.2.1:53, admin: 192.0.2.1:9090}
drains:
  - {name: node/mcp-1, author: me, reason: "no: reason", created: 2026-11-23T14:00:00Z, deadline: 2026-11-23T15:00:00Z}
`

// TestEveryFieldOfEveryResourceCanBeWritten holds the invariant of decoder.scalar: no field's type is without a form.
func TestEveryFieldOfEveryResourceCanBeWritten(t *testing.T) {
	file, problems := config.ParseTopology("topology.yaml", []byte(wholeTopology))
	problems = append(problems, file.CheckAlone()...)
	if len(problems) > 0 {
		t.Fatal(problems)
	}
	values := map[string]string{
		"regions/us-east-1":   `{"version":1,"name":"us-east-1","latitude":39.04,"longitude":-77.49}`,
		"pools/mcp":           `{"version":1,"name":"mcp","protocol":"mcp","health_check":{"type":"http","path":"/healthz","interval":"500ms","fast_interval":"100ms","timeout":"300ms","rise":1,"fall":2},"passive":{"consecutive_errors":3,"ban":"5s"}}`,
		"nodes/mcp-1":         `{"version":1,"name":"mcp-1","pool":"mcp","region":"us-east-1","zone":"a","address":"127.0.0.1:7001","weight":2,"capacity":{"connections":100,"rps":50},"labels":{"app":"x","app.tier":"hot"}}`,
		"routes/mcp":          `{"version":1,"name":"mcp","hosts":["mcp.edge.test"],"path_prefix":"/mcp","methods":["POST","GET","DELETE"],"pool":"mcp","allowed_origins":["app.edge.test"],"timeouts":{"connect":"1s","first_byte":"30s","idle":"10m0s"},"tries":2}`,
		"names/mcp.edge.test": `{"version":1,"name":"mcp.edge.test","zone":"edge.test","pool":"mcp","regions":["us-east-1"],"ttl":"10s"}`,
		"edges/edge-1":        `{"version":1,"name":"edge-1","region":"us-east-1","zone":"a","addresses":["192.0.2.1"],"http":"192.0.2.1:80","dns":"192.0.2.1:53","admin":"192.0.2.1:9090"}`,
		"drains/node/mcp-1":   `{"version":1,"name":"node/mcp-1","author":"me","reason":"no: reason","created":"2026-11-23T14:00:00Z","deadline":"2026-11-23T15:00:00Z"}`,
	}
	got := map[string]string{}
	for _, r := range file.Resources {
		got[r.Key().String()] = string(topology.Encode(r))
	}
	if diff := cmp.Diff(values, got); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}

func TestMistakesOfOthersAreLocated(t *testing.T) {
	file, _ := config.ParseTopology("topology.yaml", []byte(wholeTopology))
	node := topology.Key{Kind: topology.KindNode, Name: "mcp-1"}
	f := func(key topology.Key, field, want string) {
		t.Helper()
		got := file.Locate(topology.Mistake{Key: key, Field: field, Message: "m"}).Error()
		if want = "topology.yaml:" + want + ": m"; got != want {
			t.Errorf("got %s, want %s", got, want)
		}
	}
	f(node, "", "10:5: nodes[0]")
	f(node, "address", "15:14: nodes[0].address")
	f(node, "capacity", "17:5: nodes[0].capacity")
	f(node, "capacity.rps", "17:39: nodes[0].capacity.rps")
	f(node, "labels.app.tier", "18:24: nodes[0].labels.app.tier")
	f(node, "labels.app", "18:34: nodes[0].labels.app")
	f(node, "load", "10:5: nodes[0].load")
	f(topology.Key{Kind: topology.KindRoute, Name: "mcp"}, "methods[2]", "23:26: routes[0].methods[2]")
	f(topology.Key{Kind: topology.KindRoute, Name: "mcp"}, "methods[7]", "23:5: routes[0].methods[7]")
	f(topology.Key{Kind: topology.KindDrain, Name: "node/mcp-1"}, "name", "33:12: drains[0].name")
	f(topology.Key{Kind: topology.KindNode, Name: "other"}, "pool", " nodes/other: pool")
}

func TestWrongFileHoldsNoResources(t *testing.T) {
	file, problems := config.ParseTopology("topology.yaml", []byte(wholeTopology+"other: []\n"))
	if len(file.Resources) != 0 || len(problems) != 1 {
		t.Errorf("got %d resources, %v", len(file.Resources), problems)
	}
}

// TestWhatIsWrittenIsReadAsTheSame holds for `edge get -o yaml` and `edge apply`.
func TestWhatIsWrittenIsReadAsTheSame(t *testing.T) {
	file, _ := config.ParseTopology("topology.yaml", []byte(wholeTopology))
	sections := map[topology.Kind][]topology.Resource{}
	for _, r := range file.Resources {
		sections[r.Key().Kind] = append(sections[r.Key().Kind], r)
	}
	b, err := config.EncodeYAML(sections)
	if err != nil {
		t.Fatal(err)
	}
	again, problems := config.ParseTopology("again.yaml", b)
	if len(problems) > 0 || len(again.Resources) != len(file.Resources) {
		t.Fatalf("%v\n%s", problems, b)
	}
}

func manyNodes(n int) []byte {
	var b strings.Builder
	b.WriteString("regions: [{name: us-east-1, latitude: 39, longitude: -77}]\npools: [{name: mcp}]\nnodes:\n")
	for i := range n {
		fmt.Fprintf(&b, "  - name: node-%d\n    pool: mcp\n    region: us-east-1\n    zone: a\n    address: 10.%d.%d.%d:8080\n    weight: 10\n    labels: {role: web, tier: hot}\n", i, i>>16, i>>8&255, i&255)
	}
	return []byte(b.String())
}

func BenchmarkParseTopologyOf10000Nodes(b *testing.B) {
	src := manyNodes(10_000)
	b.SetBytes(int64(len(src)))
	b.ReportAllocs()
	for b.Loop() {
		file, problems := config.ParseTopology("topology.yaml", src)
		if len(problems) > 0 || len(file.CheckAlone()) > 0 || len(file.Resources) != 10_002 {
			b.Fatal(problems)
		}
	}
}

func FuzzParseTopology(f *testing.F) {
	f.Add([]byte(wholeTopology))
	f.Add([]byte("regions: [{name: a}, {name: a}, 1, null, [x]]\n---\n- a\n"))
	f.Add([]byte("a: [*b]\n"))
	f.Fuzz(func(t *testing.T, b []byte) {
		file, problems := config.ParseTopology("topology.yaml", b)
		placed(t, b, problems)
		placed(t, b, file.CheckAlone())
		if (len(file.Resources) > 0) == (len(problems) > 0) {
			t.Fatalf("%d resources and %v", len(file.Resources), problems)
		}
		for _, r := range file.Resources {
			if _, mistakes := topology.Decode(r.Key(), topology.Encode(r)); len(mistakes) > 0 && len(topology.Encode(r)) <= topology.MaxValueBytes {
				t.Fatal(mistakes)
			}
		}
	})
}
