// SPDX-License-Identifier: Apache-2.0

package proxy

import (
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"meridian/internal/testnet"
	"meridian/topology"
)

// bothNode adds a node that speaks HTTP/1.1 and 2 in the clear.
func bothNode(e *edge, name string, h http.HandlerFunc) {
	s := httptest.NewUnstartedServer(h)
	s.Config.Protocols = new(http.Protocols)
	s.Config.Protocols.SetHTTP1(true)
	s.Config.Protocols.SetUnencryptedHTTP2(true)
	s.Start()
	e.t.Cleanup(s.Close)
	e.node(name, "web", s.Listener.Addr().String())
}

// TestANodeThatHangsIsLeftByWhatMayBeRepeated has requests wait at a node that takes them and says nothing, has it left, and then
// lets it answer what is still there.
func TestANodeThatHangsIsLeftByWhatMayBeRepeated(t *testing.T) {
	for _, protocol := range []topology.Protocol{topology.ProtocolHTTP, topology.ProtocolH2C} {
		t.Run(string(protocol), func(t *testing.T) {
			e := newEdge(t)
			e.set.Put(&topology.Pool{Name: "web", Protocol: protocol})
			var at atomic.Int64
			goOn := make(chan struct{})
			bothNode(e, "hangs", func(w http.ResponseWriter, r *http.Request) {
				b, _ := io.ReadAll(r.Body)
				at.Add(1)
				select {
				case <-goOn:
					io.WriteString(w, "late "+r.Method+string(b))
				case <-r.Context().Done():
				}
			})
			type answer struct {
				method, body string
				status       int
			}
			requests := []answer{{"GET", "", 0}, {"PUT", "x", 0}, {"POST", "x", 0}, {"DELETE", "", 0}}
			answers := make(chan answer, len(requests))
			for _, r := range requests {
				go func() {
					status, body, _ := e.ask(r.method, "/", r.body)
					answers <- answer{r.method, body, status}
				}()
			}
			testnet.Wait(t, "all to be at the node", func() bool { return at.Load() == int64(len(requests)) })
			bothNode(e, "well", func(w http.ResponseWriter, r *http.Request) {
				b, _ := io.ReadAll(r.Body)
				io.WriteString(w, "well "+r.Method+string(b))
			})
			if n := e.s.LeaveNode("hangs"); n != 3 {
				t.Errorf("%d requests left the node, want 3", n)
			}
			for range 3 {
				a := <-answers
				if a.status != 200 || a.body != "well "+a.method+map[string]string{"PUT": "x"}[a.method] {
					t.Errorf("got %+v", a)
				}
			}
			close(goOn)
			if a := <-answers; a != (answer{"POST", "late POSTx", 200}) {
				t.Errorf("what may not be repeated got %+v", a)
			}
			if n := e.s.LeaveNode("hangs") + e.s.LeaveNode("well"); n != 0 {
				t.Errorf("%d left when nothing was there", n)
			}
		})
	}
}

// TestANodeThatTakesNoConnectionIsLeftByAll has requests wait for a connection that nobody accepts.
func TestANodeThatTakesNoConnectionIsLeftByAll(t *testing.T) {
	e := newEdge(t)
	e.set.Put(&topology.Route{Name: "web", Pool: "web", Timeouts: topology.Timeouts{Connect: topology.Duration(testnet.Patience)}})
	e.node("silent", "web", full(t))
	type answer struct {
		status int
		body   string
	}
	answers := make(chan answer, 2)
	for _, method := range []string{"GET", "POST"} {
		go func() {
			status, body, _ := e.ask(method, "/", "")
			answers <- answer{status, body}
		}()
	}
	testnet.Wait(t, "both to be out", func() bool { return e.table.Load("silent").InFlight == 2 })
	bothNode(e, "well", func(w http.ResponseWriter, r *http.Request) { io.WriteString(w, "well") })
	n := 0
	testnet.Wait(t, "both to leave", func() bool { n += e.s.LeaveNode("silent"); return n == 2 })
	for range 2 {
		if a := <-answers; a != (answer{200, "well"}) {
			t.Errorf("got %+v", a)
		}
	}
	if got := e.observed(); strings.Contains(got, "silent") {
		t.Errorf("the node was blamed: %s", got)
	}
}

// full returns the address of a listener whose queue is full and that accepts nobody: the kernel passes over who knocks.
func full(t *testing.T) string {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { unix.Close(fd) })
	if err := errors.Join(unix.Bind(fd, &unix.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}}), unix.Listen(fd, 0)); err != nil {
		t.Fatal(err)
	}
	sa, err := unix.Getsockname(fd)
	if err != nil {
		t.Fatal(err)
	}
	addr := fmt.Sprintf("127.0.0.1:%d", sa.(*unix.SockaddrInet4).Port)
	for { // those that the queue takes
		c, err := net.DialTimeout("tcp", addr, 200*time.Millisecond)
		if err != nil {
			return addr
		}
		t.Cleanup(func() { c.Close() })
	}
}
