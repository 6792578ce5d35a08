// SPDX-License-Identifier: Apache-2.0

package proxy

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptrace"
	"net/textproto"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/health"
	healthpb "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/status"

	"meridian/internal/testnet"
	"meridian/topology"
)

// echoGRPC sends each message back, and waits for the next before it does anything else.
func echoGRPC(_ any, st grpc.ServerStream) error {
	for {
		m := &healthpb.HealthCheckRequest{}
		if err := st.RecvMsg(m); err != nil {
			if errors.Is(err, io.EOF) {
				return status.Error(codes.DataLoss, "the end")
			}
			return err
		}
		if err := st.SendMsg(m); err != nil {
			return err
		}
	}
}

// TestGRPCEndToEnd is a client of grpc-go that speaks with a server of it, through the edge.
func TestGRPCEndToEnd(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s, served := grpc.NewServer(grpc.UnknownServiceHandler(echoGRPC)), make(chan error, 1)
	healthpb.RegisterHealthServer(s, health.NewServer())
	go func() { served <- s.Serve(ln) }()
	defer func() { s.Stop(); <-served }()
	e := newEdge(t, withTLS(t, "a.test"))
	e.speak(topology.ProtocolGRPC)
	e.node("n1", "web", ln.Addr().String())
	for name, dial := range map[string]func() (*grpc.ClientConn, error){
		"h2c": func() (*grpc.ClientConn, error) {
			return grpc.NewClient("passthrough:///"+e.addr, grpc.WithTransportCredentials(insecure.NewCredentials()), grpc.WithAuthority("a.test"))
		},
		"TLS": func() (*grpc.ClientConn, error) {
			conf := &tls.Config{ServerName: "a.test", InsecureSkipVerify: true}
			return grpc.NewClient("passthrough:///"+e.secureAddr(), grpc.WithTransportCredentials(credentials.NewTLS(conf)))
		},
	} {
		t.Run(name, func(t *testing.T) {
			c, err := dial()
			if err != nil {
				t.Fatal(err)
			}
			defer c.Close()
			ctx, cancel := context.WithTimeout(context.Background(), testnet.Patience)
			defer cancel()
			hc := healthpb.NewHealthClient(c)
			if got, err := hc.Check(ctx, &healthpb.HealthCheckRequest{}); err != nil || got.Status != healthpb.HealthCheckResponse_SERVING {
				t.Errorf("a call: %v, %v", got, err)
			}
			if _, err := hc.Check(ctx, &healthpb.HealthCheckRequest{Service: "unknown"}); status.Code(err) != codes.NotFound {
				t.Errorf("an error of the node: %v", err)
			}
			short, cancelShort := context.WithTimeout(ctx, 100*time.Millisecond)
			defer cancelShort()
			watch, err := hc.Watch(short, &healthpb.HealthCheckRequest{})
			if err != nil {
				t.Fatal(err)
			}
			if _, err := watch.Recv(); err != nil {
				t.Errorf("the first event: %v", err)
			}
			// The node that notices it first, by the timeout that it was told, says CANCELLED as grpc-go's health server does.
			if _, err := watch.Recv(); status.Code(err) != codes.DeadlineExceeded && status.Convert(err).Message() != "Stream has ended." {
				t.Errorf("after the deadline: %v", err)
			}
			st, err := c.NewStream(ctx, &grpc.StreamDesc{ClientStreams: true, ServerStreams: true}, "/echo.Echo/Echo")
			if err != nil {
				t.Fatal(err)
			}
			for _, word := range []string{"one", "two", "three"} {
				if err := st.SendMsg(&healthpb.HealthCheckRequest{Service: word}); err != nil {
					t.Fatal(err)
				}
				m := &healthpb.HealthCheckRequest{}
				if err := st.RecvMsg(m); err != nil || m.Service != word {
					t.Fatalf("sent %q, got %q, %v", word, m.Service, err)
				}
			}
			st.CloseSend()
			if err := st.RecvMsg(&healthpb.HealthCheckRequest{}); status.Code(err) != codes.DataLoss || status.Convert(err).Message() != "the end" {
				t.Errorf("the stream's end: %v", err)
			}
		})
	}
	delete(e.set, (&topology.Node{Name: "n1"}).Key())
	e.apply()
	c, err := grpc.NewClient("passthrough:///"+e.addr, grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if _, err := healthpb.NewHealthClient(c).Check(context.Background(), &healthpb.HealthCheckRequest{}); status.Code(err) != codes.Unavailable {
		t.Errorf("without a node: %v", err)
	}
}

func TestInterimAnswersComeOverEveryProtocolOfTCP(t *testing.T) {
	e := newEdge(t, withTLS(t, "a.test"))
	e.httpNode("n1", "web", func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Link", "</style.css>; rel=preload")
		w.WriteHeader(http.StatusEarlyHints)
		w.WriteHeader(http.StatusNoContent)
	})
	for _, engine := range engines {
		c, root, _ := engineClient(t, e, engine.tls, engine.http2)
		hints := 0
		ctx := httptrace.WithClientTrace(context.Background(), &httptrace.ClientTrace{Got1xxResponse: func(code int, h textproto.MIMEHeader) error {
			if code == http.StatusEarlyHints && h.Get("Link") != "" {
				hints++
			}
			return nil
		}})
		req, _ := http.NewRequestWithContext(ctx, "GET", root, nil)
		resp, err := c.Do(req)
		if err != nil {
			t.Errorf("%s: %v", engine.name, err)
			continue
		}
		resp.Body.Close()
		if resp.StatusCode != http.StatusNoContent || hints != 1 {
			t.Errorf("%s: got %d after %d hints", engine.name, resp.StatusCode, hints)
		}
	}
}
