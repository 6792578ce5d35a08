// SPDX-License-Identifier: Apache-2.0

package proxy

import (
	"io"
	"net/http"
	"net/http/httptest"
	"sync/atomic"
	"testing"

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
