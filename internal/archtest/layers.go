// SPDX-License-Identifier: Apache-2.0

package archtest

// Layer is a package's place. Imports point strictly down.
type Layer int

// The layers.
const (
	Nouns   Layer = iota // values that everyone shares
	Decide               // bytes and values in, values out: no I/O, no goroutine, no clock
	Do                   // I/O and goroutines; doers meet only through what cmd wires
	Wire                 // programs
	Support              // for tests and benchmarks: imports anything, is imported only by tests and by its like
)

// Rules are what Check checks.
type Rules struct {
	Module string
	// Layers holds every package of the module, by its path below it.
	Layers map[string]Layer
	// Owners says by a third-party path, or the start of one, who may import it outside of tests.
	Owners map[string]Owner
	// TestModules may be imported by every test, besides those of its package.
	TestModules []string
	// Tests says which further third-party paths the tests of a room may import, with the room as in "proxy".
	Tests map[string][]string
}

// Owner is who may import a third-party module.
type Owner struct {
	// Room may, with its sub-rooms. Empty: every package of From or above.
	Room string
	From Layer
}

// Meridian are the rules of this repository.
var Meridian = Rules{
	Module: "meridian",
	Layers: map[string]Layer{
		"topology": Nouns,

		"balancer":       Decide,
		"balancer/hash":  Decide,
		"balancer/queue": Decide,
		"balancer/sim":   Decide,
		"config":         Decide,
		"geo":            Decide,
		"health":         Decide,
		"mcp":            Decide,

		"admin":             Do,
		"backend":           Do,
		"dns":               Do,
		"dns/wire":          Do,
		"geo/mmdb":          Do,
		"health/probe":      Do,
		"proxy":             Do,
		"proxy/census":      Do,
		"proxy/drain":       Do,
		"proxy/exchange":    Do,
		"proxy/http1":       Do,
		"proxy/http2":       Do,
		"proxy/http3":       Do,
		"proxy/policy":      Do,
		"proxy/socket":      Do,
		"proxy/strict":      Do,
		"proxy/tlsconf":     Do,
		"proxy/tunnel":      Do,
		"proxy/turns":       Do,
		"proxy/upstream":    Do,
		"proxy/upstream/h2": Do,
		"topology/etcd":     Do,
		"topology/file":     Do,

		"cmd/backend":          Wire,
		"cmd/edge":             Wire,
		"cmd/edge/dev":         Wire,
		"geo/mmdb/flatten":     Wire,
		"internal/conformance": Wire,
		"internal/simulate":    Wire,

		"internal/archtest": Support,
		"internal/bench":    Support,
		"internal/faults":   Support,
		"internal/h3raw":    Support,
		"internal/loadgen":  Support,
		"internal/probes":   Support,
		"internal/program":  Support,
		"internal/siege":    Support,
		"internal/testnet":  Support,
		"internal/volume":   Support,
	},
	Owners: map[string]Owner{
		"github.com/VictoriaMetrics/metrics":      {From: Do},
		"github.com/miekg/dns":                    {Room: "dns"},
		"github.com/modelcontextprotocol/go-sdk":  {Room: "backend"},
		"github.com/oschwald/maxminddb-golang/v2": {Room: "geo/mmdb"},
		"github.com/quic-go/quic-go":              {Room: "proxy"},
		"github.com/spf13/cobra":                  {From: Wire},
		"github.com/valyala/fasthttp":             {Room: "proxy"},
		"go.etcd.io/etcd":                         {Room: "topology/etcd"},
		"go.uber.org/zap":                         {Room: "topology/etcd"}, // the embedded etcd's logger
		"go.yaml.in/yaml/v3":                      {Room: "config"},
		"golang.org/x":                            {From: Do},
		"google.golang.org/grpc":                  {Room: "topology/etcd"}, // the etcd client's connection
	},
	TestModules: []string{"github.com/google/go-cmp", "go.uber.org/goleak", "pgregory.net/rapid"},
	Tests: map[string][]string{
		// WebSocket and gRPC as others write them.
		"proxy": {"github.com/gorilla/websocket", "google.golang.org/grpc"},
		// Nodes of the kinds that are checked, as others write them.
		"health/probe": {"github.com/modelcontextprotocol/go-sdk", "google.golang.org/grpc"},
		// The tests of the programs are their clients: they ask as a resolver, an MCP client, etcdctl, grpcurl and a browser do.
		"cmd": {"github.com/miekg/dns", "github.com/modelcontextprotocol/go-sdk", "go.etcd.io/etcd/client/v3", "github.com/gorilla/websocket", "google.golang.org/grpc"},
	},
}
