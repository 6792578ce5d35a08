// SPDX-License-Identifier: Apache-2.0

package proxy

import (
	"net"
	"strings"
	"testing"

	"google.golang.org/grpc"
	"google.golang.org/grpc/health"
	healthpb "google.golang.org/grpc/health/grpc_health_v1"

	"meridian/internal/testnet"
	"meridian/topology"
)

// TestAServerOfGRPCGoIsUnderstood asks its health service, whose empty request is a frame of five zero bytes and whose
// answer "SERVING" is the message 08 01.
func TestAServerOfGRPCGoIsUnderstood(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s, served := grpc.NewServer(), make(chan error, 1)
	healthpb.RegisterHealthServer(s, health.NewServer())
	go func() { served <- s.Serve(ln) }()
	defer func() { s.Stop(); <-served }()
	e := newEdge(t)
	e.speak(topology.ProtocolGRPC)
	e.node("n1", "web", ln.Addr().String())

	const head = " HTTP/1.1\r\nHost: a.test\r\nTE: trailers\r\nConnection: close, TE\r\nContent-Type: application/grpc\r\nContent-Length: 5\r\n"
	const empty = "\r\n\x00\x00\x00\x00\x00"
	for _, c := range []struct{ request, want, status string }{
		{"POST /grpc.health.v1.Health/Check" + head + empty, "\x00\x00\x00\x00\x02\x08\x01", "grpc-status: 0\r\n"},
		{"POST /grpc.health.v1.Health/Nothing" + head + empty, "", "grpc-status: 12\r\n"}, // trailers only
		// A stream that its deadline ends: by the node or by the edge, whichever is first.
		{"POST /grpc.health.v1.Health/Watch" + head + "grpc-timeout: 100m\r\n" + empty, "\x00\x00\x00\x00\x02\x08\x01", ""},
	} {
		conn := testnet.Dial(t, e.addr)
		conn.Send(c.request)
		got, _ := conn.ReadAll()
		if !strings.HasPrefix(got, "HTTP/1.1 200 OK\r\n") || !strings.Contains(got, c.want) || !strings.Contains(got, c.status) {
			t.Errorf("%q: got %q", c.request[:40], got)
		}
	}
	if strings.Contains(e.observed(), "gateway-error") {
		t.Errorf("the node was blamed: %s", e.observed())
	}
}
