// SPDX-License-Identifier: Apache-2.0

package proxy

import (
	"net"
	"testing"

	"meridian/internal/probes"
	"meridian/topology"
)

// h3Departs are messages that quic-go takes and hands on without what is wrong with them. What the node gets is made anew from what
// quic-go has read, so nobody reads the same message in two ways.
var h3Departs = map[string]string{
	"no :scheme":                  "quic-go doesn't ask for it, and the edge never forwards it",
	"empty :scheme":               "quic-go doesn't hand it on, and the edge never forwards it",
	":scheme with a host":         "quic-go doesn't hand it on, and the edge never forwards it",
	":scheme of another protocol": "quic-go doesn't hand it on, and the edge never forwards it",
	"length \"\"":                 "quic-go takes it for none, and the body goes out as long as it was",
	"two lengths that agree":      "quic-go makes one of them, as RFC 9110, section 8.6 allows",
}

// probesEdge is an edge for the tables of internal/probes, with a recording node.
func probesEdge(t *testing.T, change ...func(*Config)) (*edge, *probes.Recorder) {
	e := newEdge(t, append([]func(*Config){withTLS(t, "a.test", "b.test"), withHTTP3, func(c *Config) {
		c.AccessLog, c.Managed = nil, []string{"X-Auth-User", "X-Authenticated-User"}
	}}, change...)...)
	e.set.Put(&topology.Route{Name: "small", Pool: "web", PathPrefix: "/small", MaxBodyBytes: 10})
	node := probes.NewRecorder(t)
	e.node("n1", "web", node.Addr)
	return e, node
}

// probeEngines are all ways in which a request can reach the edge.
var probeEngines = []struct {
	name string
	make func(t *testing.T, e *edge) *probes.Engine
}{
	{"HTTP/1.1", func(t *testing.T, e *edge) *probes.Engine {
		return &probes.Engine{HTTP1: true, Ask: probes.AskHTTP1(t, func() net.Conn { return transports["tcp"](t, e) })}
	}},
	{"HTTP/1.1 over TLS", func(t *testing.T, e *edge) *probes.Engine {
		return &probes.Engine{HTTP1: true, Secure: true, Ask: probes.AskHTTP1(t, func() net.Conn { return transports["tls"](t, e) })}
	}},
	{"h2c", func(t *testing.T, e *edge) *probes.Engine { return &probes.Engine{Ask: askH2(t, e, false)} }},
	{"HTTP/2", func(t *testing.T, e *edge) *probes.Engine {
		return &probes.Engine{Secure: true, Ask: askH2(t, e, true)}
	}},
	{"HTTP/3", func(t *testing.T, e *edge) *probes.Engine {
		return &probes.Engine{Secure: true, Ask: askH3(t, e), Departs: h3Departs}
	}},
}

func TestWhatMustBeRefusedIsSoInEveryVersionOfHTTP(t *testing.T) {
	for _, of := range probeEngines {
		t.Run(of.name, func(t *testing.T) {
			t.Parallel()
			e, node := probesEdge(t)
			probes.RunMessages(t, of.make(t, e), node)
		})
	}
}
