// SPDX-License-Identifier: Apache-2.0

package probe

import (
	"bufio"
	"context"
	"crypto/x509"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	sdk "github.com/modelcontextprotocol/go-sdk/mcp"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
	grpchealth "google.golang.org/grpc/health"
	healthpb "google.golang.org/grpc/health/grpc_health_v1"

	"meridian/topology"
)

// passes checks that a check gives the reason, or passes where it is empty.
func passes(t *testing.T, c checker, address string, how topology.HealthCheck, reason string) {
	t.Helper()
	how.Timeout = topology.Duration(20 * time.Second) // a busy machine is not what is tested
	r := c.check(context.Background(), Target{ID: "n", Address: address, Check: how})
	if r.ok != (reason == "") || r.local != nil || !strings.Contains(r.reason, reason) {
		t.Errorf("%+v: got %+v, want reason %q", how, r, reason)
	}
}

func TestTheAnswerMustBeAsThePoolExpects(t *testing.T) {
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.WriteHeader(map[string]int{"GET": 204, "POST": 201, "HEAD": 404}[r.Method])
		if r.Method == "POST" {
			fmt.Fprintf(w, "%s at %s says %q", r.Method, r.Host, r.Header.Get("X-Key"))
		}
	}))
	t.Cleanup(s.Close)
	f := func(h topology.HealthCheck, reason string) {
		t.Helper()
		h.Type = topology.CheckHTTP
		passes(t, checker{}, s.Listener.Addr().String(), h, reason)
	}
	f(topology.HealthCheck{Status: []string{"204"}}, "")
	f(topology.HealthCheck{Status: []string{"200", "205-299"}}, "status 204")
	f(topology.HealthCheck{Method: "HEAD"}, "status 404")
	f(topology.HealthCheck{Method: "HEAD", Status: []string{"404"}}, "")
	post := topology.HealthCheck{Method: "POST", Host: "a.example.org", Headers: map[string]string{"X-Key": "k"}, Body: `POST at a.example.org says "k"`}
	f(post, "")
	post.Headers = nil
	f(post, "the expected text is not in the answer")
}

func TestTextIsSoughtNoFurtherThanTheBound(t *testing.T) {
	f := func(body, reason string) {
		t.Helper()
		passes(t, checker{}, saying(t, "HTTP/1.0 200 OK\r\n\r\n"+body), topology.HealthCheck{Path: "/", Body: "ready"}, reason)
	}
	f("ready"+strings.Repeat("x", 1<<20), "")
	f(strings.Repeat("x", 1<<20)+"ready", "not in the answer")
}

func TestCertificatesAreVerifiedUnlessThePoolSaysNot(t *testing.T) {
	s := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { io.WriteString(w, r.TLS.ServerName) }))
	s.Config.ErrorLog = quiet()
	s.StartTLS() // its certificate is for example.com and 127.0.0.1
	t.Cleanup(s.Close)
	roots := x509.NewCertPool()
	roots.AddCert(s.Certificate())
	for _, kind := range []topology.CheckType{topology.CheckHTTPS, topology.CheckTLS} {
		f := func(c checker, h topology.HealthCheck, reason string) {
			t.Helper()
			h.Type = kind
			passes(t, c, s.Listener.Addr().String(), h, reason)
		}
		f(checker{}, topology.HealthCheck{}, "authority that is not trusted")
		f(checker{}, topology.HealthCheck{SkipVerify: true}, "")
		f(checker{roots}, topology.HealthCheck{}, "")
		f(checker{roots}, topology.HealthCheck{ServerName: "example.com"}, "")
		f(checker{roots}, topology.HealthCheck{ServerName: "other.example.org"}, "certificate is not for other.example.org")
	}
	how := topology.HealthCheck{Type: topology.CheckHTTPS, Host: "example.com:8443", Body: "example.com"}
	passes(t, checker{roots}, s.Listener.Addr().String(), how, "") // Host names the server, too
	passes(t, checker{}, saying(t, "SSH-2.0-x\r\n"), topology.HealthCheck{Type: topology.CheckTLS}, "no TLS is spoken there")
}

// grpcServer runs grpc-go's own health server.
func grpcServer(t *testing.T, opts ...grpc.ServerOption) (address string, hs *grpchealth.Server) {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := grpc.NewServer(opts...)
	hs = grpchealth.NewServer()
	healthpb.RegisterHealthServer(s, hs)
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		s.Serve(ln)
	}()
	t.Cleanup(func() { s.Stop(); <-ended })
	return ln.Addr().String(), hs
}

func TestGRPCHealthDecides(t *testing.T) {
	address, hs := grpcServer(t)
	f := func(service, reason string) {
		t.Helper()
		h := topology.HealthCheck{Type: topology.CheckGRPC, Service: service, Headers: map[string]string{"X-Long": strings.Repeat("x", 1000)}}
		passes(t, checker{}, address, h, reason)
	}
	hs.SetServingStatus("shop.Cart", healthpb.HealthCheckResponse_SERVING)
	f("", "")
	f("shop.Cart", "")
	hs.SetServingStatus("shop.Cart", healthpb.HealthCheckResponse_NOT_SERVING)
	f("shop.Cart", "gRPC health: NOT_SERVING")
	f("shop.Nothing", "the service is not known")
	hs.Shutdown()
	f("", "gRPC health: NOT_SERVING")
	passes(t, checker{}, saying(t, "HTTP/1.1 400 Bad Request\r\n\r\n"), topology.HealthCheck{Type: topology.CheckGRPC}, "no HTTP/2 is spoken there")
}

func TestGRPCWithoutHealthIsSaidSo(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := grpc.NewServer()
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		s.Serve(ln)
	}()
	t.Cleanup(func() { s.Stop(); <-ended })
	passes(t, checker{}, ln.Addr().String(), topology.HealthCheck{Type: topology.CheckGRPC}, "no grpc.health.v1")
}

func TestGRPCIsAskedWithinTLS(t *testing.T) {
	web := httptest.NewUnstartedServer(nil)
	web.Config.ErrorLog = quiet()
	web.StartTLS() // for its certificate, and as a node that has TLS but no HTTP/2
	t.Cleanup(web.Close)
	roots := x509.NewCertPool()
	roots.AddCert(web.Certificate())
	address, _ := grpcServer(t, grpc.Creds(credentials.NewServerTLSFromCert(&web.TLS.Certificates[0])))
	how := topology.HealthCheck{Type: topology.CheckGRPC, TLS: true}
	passes(t, checker{roots}, address, how, "")
	passes(t, checker{}, address, how, "not trusted")
	r := checker{roots}.check(t.Context(), Target{Address: web.Listener.Addr().String(), Check: how})
	if r.ok || r.reason == "" {
		t.Errorf("got %+v from a server without HTTP/2", r)
	}
}

// mcpServer runs the official SDK's server, and tells the methods and sessions that it was asked with.
func mcpServer(t *testing.T, opts *sdk.StreamableHTTPOptions, asked func(*http.Request, int)) string {
	t.Helper()
	server := sdk.NewServer(&sdk.Implementation{Name: "t", Version: "1"}, nil)
	h := sdk.NewStreamableHTTPHandler(func(*http.Request) *sdk.Server { return server }, opts)
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		seen := &statusSeen{ResponseWriter: w, status: 200}
		h.ServeHTTP(seen, r)
		asked(r, seen.status)
	}))
	t.Cleanup(s.Close)
	return s.Listener.Addr().String()
}

type statusSeen struct {
	http.ResponseWriter
	status int
}

func (s *statusSeen) WriteHeader(code int) { s.status = code; s.ResponseWriter.WriteHeader(code) }
func (s *statusSeen) Unwrap() http.ResponseWriter {
	return s.ResponseWriter
}

func TestMCPServerIsAskedInItsEra(t *testing.T) {
	asked := make(chan string, 10)
	address := mcpServer(t, nil, func(r *http.Request, status int) {
		asked <- fmt.Sprintf("%s %s %d", r.Method, r.URL.Path, status)
	})
	passes(t, checker{}, address, topology.HealthCheck{Type: topology.CheckMCP, Era: topology.EraLegacy}, "")
	var got []string
	for range 2 { // in the order in which the server's handlers end
		select {
		case a := <-asked:
			got = append(got, a)
		case <-time.After(20 * time.Second):
			t.Fatalf("only %v was asked", got)
		}
	}
	slices.Sort(got)
	if diff := cmp.Diff([]string{"DELETE /mcp 204", "POST /mcp 200"}, got); diff != "" {
		t.Error(diff)
	}
}

func TestMCPAnswersAreJudged(t *testing.T) {
	modern := topology.HealthCheck{Type: topology.CheckMCP}
	legacy := topology.HealthCheck{Type: topology.CheckMCP, Era: topology.EraLegacy}
	f := func(how topology.HealthCheck, kind, body, reason string) {
		t.Helper()
		passes(t, checker{}, saying(t, "HTTP/1.1 200 OK\r\nContent-Type: "+kind+"\r\n\r\n"+body), how, reason)
	}
	ok := `{"jsonrpc":"2.0","id":1,"result":{"supportedVersions":["2026-07-28"]}}`
	f(modern, "application/json", ok, "")
	f(modern, "text/event-stream", ": hello\n\ndata: {\"jsonrpc\":\"2.0\",\"method\":\"notifications/message\"}\n\nevent: message\ndata: "+ok+"\n\n", "")
	f(modern, "text/event-stream", ": hello\n\n", "no answer")
	f(modern, "application/json", `{"jsonrpc":"2.0","id":1,"result":{"supportedVersions":["2025-11-25"]}}`, "offers no version from 2026-07-28 on")
	f(modern, "application/json", `{"jsonrpc":"2.0","id":1,"error":{"code":-32601,"message":"not\u001b found"}}`, "MCP error -32601: not? found")
	f(modern, "application/json", `<html>`, "malformed MCP answer")
	f(modern, "application/json", `{"result":{}}`, "no answer")
	f(modern, "application/json", strings.Repeat(" ", 1<<20), "longer than 256 KiB")
	f(modern, "text/event-stream", "data: "+strings.Repeat("x", 1<<20), "longer than 256 KiB")
	f(legacy, "application/json", `{"jsonrpc":"2.0","id":1,"result":{"protocolVersion":"2025-11-25"}}`, "")
	f(legacy, "application/json", `{"jsonrpc":"2.0","id":1,"result":{}}`, "names no version")
	f(legacy, "application/json\r\nMcp-Session-Id: a b", `{"jsonrpc":"2.0","id":1,"result":{"protocolVersion":"2025-11-25"}}`, "malformed Mcp-Session-Id")
	passes(t, checker{}, saying(t, "HTTP/1.1 404 Not Found\r\n\r\n"), modern, "status 404")
}

func TestModernMCPServerIsAskedWhatItCan(t *testing.T) {
	asked := make(chan string, 1)
	address := mcpServer(t, &sdk.StreamableHTTPOptions{Stateless: true}, func(r *http.Request, status int) {
		asked <- fmt.Sprintf("%s %s %d", r.Method, r.Header.Get("Mcp-Method"), status)
	})
	passes(t, checker{}, address, topology.HealthCheck{Type: topology.CheckMCP}, "")
	if got := <-asked; got != "POST server/discover 200" {
		t.Errorf("got %s", got)
	}
}

func TestAnEndlessGRPCAnswerIsCut(t *testing.T) {
	address := answering(t, func(c net.Conn) {
		io.ReadFull(c, make([]byte, 24))
		ping := "\x00\x00\x08\x06\x01\x00\x00\x00\x00ABCDEFGH"
		for range 1 << 16 {
			if _, err := io.WriteString(c, ping); err != nil {
				return
			}
		}
	})
	passes(t, checker{}, address, topology.HealthCheck{Type: topology.CheckGRPC}, "longer than")
}

func FuzzGRPCAnswer(f *testing.F) {
	f.Add([]byte("\x00\x00\x00\x04\x00\x00\x00\x00\x00"))
	f.Add([]byte("\x00\x00\x00\x04\x00\x00\x00\x00\x00\x00\x00\x07\x00\x01\x00\x00\x00\x01\x00\x00\x00\x00\x02\x08\x01"))
	f.Fuzz(func(t *testing.T, frames []byte) {
		fuzzed(t, string(frames), func(c net.Conn) error {
			return askServing(c, "10.0.0.1:80", topology.HealthCheck{Type: topology.CheckGRPC}.WithDefaults())
		})
	})
}

func FuzzMCPAnswer(f *testing.F) {
	f.Add("HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\ndata: {\"id\":1,\"result\":{}}\n\n")
	f.Add("HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nMcp-Session-Id: a\r\n\r\n{\"id\":1,\"result\":{\"protocolVersion\":\"x\"}}")
	f.Fuzz(func(t *testing.T, text string) {
		fuzzed(t, text, func(c net.Conn) error {
			none := func() (net.Conn, func(), error) { return nil, nil, net.ErrClosed }
			return askMCP(c, "10.0.0.1:80", topology.HealthCheck{Type: topology.CheckMCP, Era: topology.EraLegacy}.WithDefaults(), none)
		})
	})
}

// fuzzed asks a node that answers with the text, and checks that what is said of it can be shown to people.
func fuzzed(t *testing.T, text string, ask func(net.Conn) error) {
	client, node := net.Pipe()
	done, read := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(read)
		io.Copy(io.Discard, bufio.NewReader(node))
	}()
	go func() {
		defer close(done)
		io.WriteString(node, text)
		node.Close()
	}()
	err := ask(client)
	client.Close()
	<-done
	<-read
	if err == nil {
		return
	}
	if r := reason(err); r == "" || len(r) > maxReasonBytes+len("…") || r != printable(r) {
		t.Fatalf("got %q", r)
	}
}
