// SPDX-License-Identifier: Apache-2.0

package probe

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"syscall"
	"testing"
	"time"

	"meridian/topology"
)

// answering serves each connection on loopback with f until the test ends.
func answering(t *testing.T, f func(net.Conn)) string {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	t.Cleanup(func() { ln.Close(); <-done })
	go func() {
		defer close(done)
		for {
			conn, err := ln.Accept()
			if err != nil {
				return
			}
			f(conn)
			conn.Close()
		}
	}()
	return ln.Addr().String()
}

// saying answers a request with the text.
func saying(t *testing.T, text string) string {
	return answering(t, func(c net.Conn) {
		http.ReadRequest(bufio.NewReader(c))
		io.WriteString(c, text)
	})
}

func httpTarget(address string) Target {
	return Target{ID: "n", Address: address, Check: topology.HealthCheck{Path: "/healthz", Timeout: topology.Duration(2 * time.Second)}}
}

func want(t *testing.T, target Target, reason string) {
	t.Helper()
	r := checker{}.check(context.Background(), target)
	if r.ok != (reason == "") || r.local != nil || !strings.Contains(r.reason, reason) {
		t.Errorf("got %+v, want reason %q", r, reason)
	}
}

func TestStatusDecides(t *testing.T) {
	f := func(answer, reason string) { t.Helper(); want(t, httpTarget(saying(t, answer)), reason) }
	f("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok", "")
	f("HTTP/1.1 204 No Content\r\n\r\n", "")
	f("HTTP/1.1 302 Found\r\nLocation: http://127.0.0.1:1/\r\n\r\n", "")
	f("HTTP/1.0 200 OK\r\n\r\n"+strings.Repeat("x", 1<<20), "") // no more than 64 KiB of it are read
	f("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n", "")
	f("HTTP/1.1 103 Early Hints\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", "")
	f("HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\n\r\n", "status 503")
	f("HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n", "status 404")
	f("HTTP/1.1 101 Switching Protocols\r\n\r\n", "status 101")
	f(strings.Repeat("HTTP/1.1 100 Continue\r\n\r\n", 9), "only interim answers")
	f("HTTP/1.1 200 OK\r\nA: "+strings.Repeat("x", 1<<20)+"\r\n\r\n", "longer than 64 KiB")
	f("HTTP/1.1 200 OK\r\nA: b", "closed within the answer")
	f("", "closed")
	f("\x1b[31mSSH-2.0\n\n", `malformed HTTP`)
}

func TestRequestNamesTheAddressAndTheProgram(t *testing.T) {
	heads := make(chan string, 1)
	address := answering(t, func(c net.Conn) {
		var head strings.Builder
		for br := bufio.NewReader(c); !strings.HasSuffix(head.String(), "\r\n\r\n"); {
			line, err := br.ReadString('\n')
			if err != nil {
				break
			}
			head.WriteString(line)
		}
		heads <- head.String()
		io.WriteString(c, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
	})
	want(t, httpTarget(address), "")
	wanted := "GET /healthz HTTP/1.1\r\nHost: " + address + "\r\nUser-Agent: meridian-check\r\nAccept: */*\r\nConnection: close\r\n\r\n"
	if got := <-heads; got != wanted {
		t.Errorf("got %q, want %q", got, wanted)
	}
}

func TestReasonSaysHowTheConnectionFailed(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	refused := ln.Addr().String()
	ln.Close()
	want(t, httpTarget(refused), "connect refused")
	want(t, Target{Address: refused}, "connect refused")
	want(t, httpTarget(answering(t, func(c net.Conn) {
		c.(*net.TCPConn).SetLinger(0) // with the request unread, Close resets
	})), "reset")
	f := func(err error, want string) {
		t.Helper()
		if got := reason(fmt.Errorf("dial: %w", err)); got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
	f(syscall.EHOSTUNREACH, "no route to host")
	f(syscall.ENETUNREACH, "network unreachable")
	f(statusError(500), "dial: status 500")
}

func TestNodeThatAcceptsButDoesNotAnswerTimesOut(t *testing.T) {
	release := make(chan struct{})
	address := answering(t, func(net.Conn) { <-release })
	t.Cleanup(func() { close(release) }) // before answering's own cleanup
	target := httpTarget(address)
	target.Check.Timeout = topology.Duration(50 * time.Millisecond)
	want(t, target, "timeout after 50ms")
	target.Check = topology.HealthCheck{Type: topology.CheckTCP}
	want(t, target, "")
}

func TestShortageOfThisMachineIsNotTheNodes(t *testing.T) {
	for _, err := range []error{syscall.EMFILE, syscall.EADDRNOTAVAIL} {
		if !isLocal(&net.OpError{Op: "dial", Err: err}) {
			t.Errorf("%v counts against the node", err)
		}
	}
	if isLocal(syscall.ECONNREFUSED) {
		t.Error("a refused connection is the node's")
	}
}

func TestEdgeAnswersWithItsReport(t *testing.T) {
	f := func(status int, body, reason string) {
		t.Helper()
		s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if r.URL.Path != reportPath {
				status = http.StatusTeapot
			}
			w.WriteHeader(status)
			io.WriteString(w, body)
		}))
		defer s.Close()
		target := Target{ID: "edge/e", Kind: Edge, Address: s.Listener.Addr().String(), Check: topology.HealthCheck{Timeout: topology.Duration(5 * time.Second)}}
		r := checker{}.check(context.Background(), target)
		if r.ok != (reason == "") || r.ok != (r.report != nil) || !strings.Contains(r.reason, reason) {
			t.Errorf("got %+v, want reason %q", r, reason)
		}
		if r.ok && r.report.Seq != 7 {
			t.Errorf("got %+v", r.report)
		}
	}
	report, _ := json.Marshal(topology.Report{Seq: 7, Pools: map[topology.PoolID]topology.PoolView{"p": {Up: 1, Total: 2}}})
	f(200, string(report), "")
	f(204, "", "status 204")
	f(503, string(report), "status 503")
	f(200, "<html>", "malformed report")
	f(200, "null", "malformed report")
	f(200, `{"pools":{"p":{"up":3,"total":2}}}`, "malformed report")
	f(200, strings.Repeat(" ", topology.MaxReportBytes+10), "at most 1048576")
}

func FuzzAnswer(f *testing.F) {
	f.Add("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
	f.Add("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nffffffffffffffff\r\n")
	f.Fuzz(func(t *testing.T, answer string) {
		client, node := net.Pipe()
		done := make(chan struct{})
		go func() {
			defer close(done)
			http.ReadRequest(bufio.NewReader(node))
			io.WriteString(node, answer)
			node.Close()
		}()
		err := askStatus(client, "10.0.0.1:80", topology.HealthCheck{Path: "/"}.WithDefaults())
		client.Close()
		<-done
		if err == nil {
			return
		}
		if r := reason(err); r == "" || len(r) > maxReasonBytes+len("…") || r != printable(r) {
			t.Fatalf("got %q", r)
		}
	})
}
