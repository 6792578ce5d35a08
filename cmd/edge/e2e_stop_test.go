// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bufio"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"

	"meridian/internal/h3raw"
	"meridian/internal/testnet"
)

// stopping is an edge that is stopped with clients of every protocol on it.
type stopping struct {
	*reloadable
	clear, secure string
	asked, finish chan struct{} // requests for /slow that came to the node, and what has it answer them
}

// slowNode answers /slow when it may, and agrees to RFC 6455's own example of a WebSocket.
func (s *stopping) slowNode() string {
	n := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/slow":
			s.asked <- struct{}{}
			<-s.finish
			io.WriteString(w, "done")
		case "/ws":
			nc, _, err := http.NewResponseController(w).Hijack()
			if err != nil {
				return
			}
			defer nc.Close()
			io.WriteString(nc, "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n")
			io.Copy(io.Discard, nc)
		default:
			io.WriteString(w, "ok")
		}
	}))
	s.t.Cleanup(n.Close)
	return n.Listener.Addr().String()
}

func startStopping(t *testing.T, grace, deadline string) *stopping {
	dir := t.TempDir()
	s := &stopping{asked: make(chan struct{}, 8), finish: make(chan struct{})}
	s.reloadable = &reloadable{t: t, file: filepath.Join(dir, "edge.yaml")}
	put := func(name string, b []byte) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, b, 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	cert, key := testnet.Certificate(t, "a.test")
	topology := put("topology.yaml", fmt.Appendf(nil, "regions: [{name: lab}]\npools: [{name: web, health_check: {type: tcp}}]\nnodes: [{name: n1, pool: web, region: lab, address: %q}]\nroutes: [{name: r, pool: web}]\n", s.slowNode()))
	at := func() string { return fmt.Sprintf("127.0.0.1:%d", freePort(t)) }
	admin := at()
	s.clear, s.secure, s.admin = at(), at(), "http://"+admin
	s.write("name: e1\nregion: lab\ntopology_file: %s\nadmin: {listen: %q}\nhttp: {listen: [%q]}\nhttps: {listen: [%q], http3: true, certificates: [{cert: %s, key: %s}]}\nshutdown: {grace: %s, deadline: %s}\n",
		topology, admin, s.clear, s.secure, put("a.crt", cert), put("a.key", key), grace, deadline)
	s.program = startProgram(t, "edge", "serve", "-c", s.file)
	s.wait("the edge to serve", func() bool {
		resp, err := http.Get("http://" + s.clear + "/")
		if err != nil {
			return false
		}
		resp.Body.Close()
		return resp.StatusCode == 200
	})
	return s
}

func (s *stopping) dial(protocol string) net.Conn {
	s.t.Helper()
	c := tls.Client(testnet.Dial(s.t, s.secure).Conn, &tls.Config{ServerName: "a.test", InsecureSkipVerify: true, NextProtos: []string{protocol}})
	if err := c.Handshake(); err != nil {
		s.t.Fatal(err)
	}
	return c
}

// slowHTTP1 asks for /slow, and says how that was answered and whether the client was told that the connection ends.
func (s *stopping) slowHTTP1(c net.Conn) <-chan string {
	io.WriteString(c, "GET /slow HTTP/1.1\r\nHost: a.test\r\n\r\n")
	return later(func() string {
		b, err := io.ReadAll(c)
		got := string(b)
		return fmt.Sprintf("%s, close: %v, whole: %v, %v", got[:min(12, len(got))], strings.Contains(got, "Connection: close\r\n"), strings.HasSuffix(got, "done"), err)
	})
}

// slowHTTP2 is the same for HTTP/2.
func (s *stopping) slowHTTP2() <-chan string {
	c := s.dial("h2")
	io.WriteString(c, http2.ClientPreface)
	fr := http2.NewFramer(c, c)
	fr.WriteSettings()
	var block strings.Builder
	enc := hpack.NewEncoder(&block)
	for _, f := range [][2]string{{":method", "GET"}, {":scheme", "https"}, {":authority", "a.test"}, {":path", "/slow"}} {
		enc.WriteField(hpack.HeaderField{Name: f[0], Value: f[1]})
	}
	fr.WriteHeaders(http2.HeadersFrameParam{StreamID: 1, BlockFragment: []byte(block.String()), EndStream: true, EndHeaders: true})
	return later(func() string {
		told, body, whole := false, "", false
		for {
			f, err := fr.ReadFrame()
			if err != nil {
				return fmt.Sprintf("%s, GOAWAY: %v, whole: %v", body, told, whole)
			}
			switch f := f.(type) {
			case *http2.GoAwayFrame:
				told = told || f.ErrCode == http2.ErrCodeNo
			case *http2.DataFrame:
				body += string(f.Data())
				whole = f.StreamEnded()
			}
		}
	})
}

func later(f func() string) <-chan string {
	out := make(chan string, 1)
	go func() { out <- f() }()
	return out
}

func (s *stopping) status(url string) int {
	resp, err := (&http.Transport{DisableKeepAlives: true}).RoundTrip(must(http.NewRequest("GET", url, nil)))
	if err != nil {
		return 0
	}
	defer resp.Body.Close()
	io.Copy(io.Discard, resp.Body)
	return resp.StatusCode
}

// want is what a client must have seen.
func want(t *testing.T, who string, got <-chan string, want string) {
	t.Helper()
	select {
	case g := <-got:
		if g != want {
			t.Errorf("%s: got %q, want %q", who, g, want)
		}
	case <-time.After(testnet.Patience):
		t.Errorf("%s: nothing", who)
	}
}

// TestAStopLosesNothing is SIGTERM's course: readiness is false, the edge serves on for the grace time, then tells all clients
// by the means of their protocol, answers what is under way and ends.
func TestAStopLosesNothing(t *testing.T) {
	t.Parallel()
	s := startStopping(t, "5s", "30s")
	if got := s.status(s.admin + "/readyz"); got != 200 {
		t.Fatalf("before: readiness %d", got)
	}
	clear1, secure1, secure2 := s.slowHTTP1(testnet.Dial(t, s.clear)), s.slowHTTP1(s.dial("http/1.1")), s.slowHTTP2()
	h3 := h3raw.Dial(t, s.secure, "a.test")
	over3 := later(func() string {
		got, err := h3.Get("/slow")
		return fmt.Sprint(strings.HasSuffix(got, "done"), err)
	})
	for range 4 {
		<-s.asked
	}
	ws := testnet.Dial(t, s.clear)
	ws.Send("GET /ws HTTP/1.1\r\nHost: a.test\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n")
	if got := ws.ReadUntil("\r\n\r\n"); !strings.HasPrefix(got, "HTTP/1.1 101 ") {
		t.Fatalf("the WebSocket got %q", got)
	}
	goodbye := later(func() string {
		b, err := io.ReadAll(io.LimitReader(ws, 4))
		return fmt.Sprintf("%x %v", b, err)
	})
	kept := testnet.Dial(t, s.clear)
	fromKept := bufio.NewReader(kept)
	ask := func() string {
		kept.Send("GET / HTTP/1.1\r\nHost: a.test\r\n\r\n")
		resp, err := http.ReadResponse(fromKept, nil)
		if err != nil {
			return err.Error()
		}
		b, _ := io.ReadAll(resp.Body)
		return fmt.Sprintf("%d %s close: %v", resp.StatusCode, b, resp.Close)
	}
	ask()

	s.program.Cmd.Process.Signal(syscall.SIGTERM)
	s.wait("readiness to be false", func() bool { return s.status(s.admin+"/readyz") == 503 })
	if got := ask(); got != "200 ok close: false" {
		t.Errorf("within the grace time an open connection got %s", got)
	}
	if got := s.status("http://" + s.clear + "/"); got != 200 {
		t.Errorf("within the grace time a new connection got %d", got)
	}
	select {
	case <-h3.GoneAway:
		t.Error("GOAWAY came within the grace time")
	default:
	}

	want(t, "the WebSocket", goodbye, "880203e9 <nil>") // a close frame with 1001
	want(t, "GOAWAY over HTTP/3", later(func() string { <-h3.GoneAway; return "came" }), "came")
	if rest, err := io.ReadAll(fromKept); err != nil || len(rest) > 0 {
		t.Errorf("the idle connection ended with %q, %v", rest, err)
	}
	if nc, err := net.DialTimeout("tcp", s.clear, time.Second); err == nil {
		nc.Close()
		t.Error("after the grace time a connection is taken")
	}
	select {
	case <-s.program.Done():
		t.Fatal("the edge has ended with requests under way")
	default:
	}
	close(s.finish)
	want(t, "HTTP/1.1", clear1, "HTTP/1.1 200, close: true, whole: true, <nil>")
	want(t, "HTTP/1.1 over TLS", secure1, "HTTP/1.1 200, close: true, whole: true, <nil>")
	want(t, "HTTP/2", secure2, "done, GOAWAY: true, whole: true")
	want(t, "HTTP/3", over3, "true <nil>")
	select {
	case <-s.program.Done():
	case <-time.After(testnet.Patience):
		t.Fatal("the edge does not end when all is answered")
	}
	if code := s.program.Cmd.ProcessState.ExitCode(); code != 0 {
		t.Errorf("exit code %d", code)
	}
}

// TestAStopEndsAtItsDeadline is SIGTERM with a node that never answers: clients see that their answers are not whole.
func TestAStopEndsAtItsDeadline(t *testing.T) {
	t.Parallel()
	s := startStopping(t, "0s", "500ms")
	defer close(s.finish)
	clear1, secure2 := s.slowHTTP1(testnet.Dial(t, s.clear)), s.slowHTTP2()
	h3 := h3raw.Dial(t, s.secure, "a.test")
	over3 := later(func() string {
		got, err := h3.Get("/slow")
		return fmt.Sprint(len(got), err != nil)
	})
	for range 3 {
		<-s.asked
	}
	s.program.End(t)
	want(t, "HTTP/1.1", clear1, ", close: false, whole: false, <nil>")
	want(t, "HTTP/2", secure2, ", GOAWAY: true, whole: false")
	want(t, "HTTP/3", over3, "0 true")
	if out := s.program.Out.String(); !strings.Contains(out, "cut at the shutdown's deadline") {
		t.Errorf("the log does not tell: %s", out)
	}
}
