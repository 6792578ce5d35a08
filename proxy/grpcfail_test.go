// SPDX-License-Identifier: Apache-2.0

package proxy

import (
	"context"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"golang.org/x/net/http2"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	healthpb "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/status"

	"meridian/internal/testnet"
	"meridian/topology"
)

// oneMessage is gRPC's form of a HealthCheckResponse that says SERVING.
const oneMessage = "\x00\x00\x00\x00\x02\x08\x01"

// brokenGRPC adds a node whose answers bring a message and, once that was seen, break off in that way.
func (e *edge) brokenGRPC(breakOff func(f *http2.Framer, c *testnet.Conn, id uint32)) (seen chan struct{}) {
	e.speak(topology.ProtocolGRPC)
	seen = make(chan struct{})
	e.rawNode("n1", "web", func(c *testnet.Conn) {
		serveH2(c, nil, func(n *h2Node, id uint32) {
			n.head(id, false, ":status", "200", "content-type", "application/grpc")
			n.WriteData(id, false, []byte(oneMessage))
			<-seen
			breakOff(n.Framer, c, id)
		})
	})
	return seen
}

// TestAGRPCAnswerThatBreaksOffEndsWithAStatus: what was relayed arrives, and then a status that clients try again after.
func TestAGRPCAnswerThatBreaksOffEndsWithAStatus(t *testing.T) {
	for name, c := range map[string]struct {
		breakOff func(*http2.Framer, *testnet.Conn, uint32)
		want     codes.Code
	}{
		"reset": {func(f *http2.Framer, _ *testnet.Conn, id uint32) { f.WriteRSTStream(id, http2.ErrCodeInternal) }, codes.Unavailable},
		"close": {func(_ *http2.Framer, c *testnet.Conn, _ uint32) { c.Close() }, codes.Unavailable},
		"bad trailers": {func(f *http2.Framer, _ *testnet.Conn, id uint32) {
			f.WriteHeaders(http2.HeadersFrameParam{StreamID: id, BlockFragment: []byte{0x88}, EndHeaders: true, EndStream: true})
		}, codes.Internal},
		"half a message": {func(f *http2.Framer, c *testnet.Conn, id uint32) {
			f.WriteData(id, false, []byte("\x00\x00\x00\x00\x02\x08"))
			c.Close()
		}, codes.Internal}, // grpc-go's word for a message that is cut, whatever the status is
	} {
		t.Run(name, func(t *testing.T) {
			e := newEdge(t)
			seen := e.brokenGRPC(c.breakOff)
			conn, err := grpc.NewClient("passthrough:///"+e.addr, grpc.WithTransportCredentials(insecure.NewCredentials()))
			if err != nil {
				t.Fatal(err)
			}
			defer conn.Close()
			ctx, cancel := context.WithTimeout(context.Background(), testnet.Patience)
			defer cancel()
			watch, err := healthpb.NewHealthClient(conn).Watch(ctx, &healthpb.HealthCheckRequest{})
			if err != nil {
				t.Fatal(err)
			}
			if got, err := watch.Recv(); err != nil || got.Status != healthpb.HealthCheckResponse_SERVING {
				t.Errorf("the message: %v, %v", got, err)
			}
			close(seen)
			if got, err := watch.Recv(); status.Code(err) != c.want {
				t.Errorf("the end: %v, %v; want %s", got, err, c.want)
			}
			e.wantObserved("n1 gateway-error")
		})
	}
}

// TestOnlyGRPCsClientsGetAStatusForABrokenAnswer: to others, and where trailers may get lost, the end would look whole.
func TestOnlyGRPCsClientsGetAStatusForABrokenAnswer(t *testing.T) {
	e := newEdge(t, withTLS(t, "a.test"), withHTTP3)
	seen := e.brokenGRPC(func(f *http2.Framer, _ *testnet.Conn, id uint32) { f.WriteRSTStream(id, http2.ErrCodeInternal) })
	everyEngine(t, e, func(t *testing.T, c *http.Client, root string) {
		for _, contentType := range []string{"application/grpc", "text/plain"} {
			req, _ := http.NewRequest("POST", root, strings.NewReader("\x00\x00\x00\x00\x00"))
			req.Host = "a.test"
			req.Header.Set("Content-Type", contentType)
			resp, err := c.Do(req)
			if err != nil {
				t.Fatal(err)
			}
			b := make([]byte, len(oneMessage))
			if _, err := io.ReadFull(resp.Body, b); err != nil || string(b) != oneMessage {
				t.Errorf("the message: %q, %v", b, err)
			}
			seen <- struct{}{}
			rest, err := io.ReadAll(resp.Body)
			resp.Body.Close()
			told := resp.ProtoMajor > 1 && contentType == "application/grpc"
			if told && (err != nil || len(rest) > 0 || resp.Trailer.Get("Grpc-Status") != "14" || resp.Trailer.Get("Grpc-Message") == "") {
				t.Errorf("%s: got %q, %v, %v", contentType, rest, err, resp.Trailer)
			}
			if !told && err == nil {
				t.Errorf("%s: the answer came as if it were whole, with %v", contentType, resp.Trailer)
			}
		}
	})
}

// TestAGRPCDeadlineIsToldToAClientThatReadsNothing: the status overtakes what waits for the client's window.
func TestAGRPCDeadlineIsToldToAClientThatReadsNothing(t *testing.T) {
	t.Parallel()
	e := newEdge(t, func(c *Config) { c.WriteTimeout = 10 * testnet.Patience })
	e.speak(topology.ProtocolGRPC)
	e.h2Node("n1", func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/grpc")
		for b := make([]byte, 1<<16); ; {
			if _, err := w.Write(b); err != nil {
				return
			}
		}
	})
	req, _ := http.NewRequest("POST", "http://"+e.addr+"/s/m", nil)
	req.Header = http.Header{"Content-Type": {"application/grpc"}, "Grpc-Timeout": {"1S"}}
	began := time.Now()
	resp, err := h2c(t).Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	testnet.Wait(t, "the request to end", func() bool { return strings.Contains(e.logged(), "the client's deadline has passed") })
	if _, err := io.Copy(io.Discard, resp.Body); err != nil || resp.Trailer.Get("Grpc-Status") != "4" || time.Since(began) < time.Second {
		t.Errorf("%v with %v after %s", err, resp.Trailer, time.Since(began))
	}
	if got := e.observed(); got != "" {
		t.Errorf("the node was blamed: %s", got)
	}
}
