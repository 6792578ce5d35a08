// SPDX-License-Identifier: Apache-2.0

//go:build linux

package proxy

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"meridian/internal/testnet"
	"meridian/topology"
)

// starved returns the address of a node that accepts nothing: its kernel drops what asks for a connection.
func starved(t *testing.T) string {
	t.Helper()
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { unix.Close(fd) })
	if err := unix.Bind(fd, &unix.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}}); err != nil {
		t.Fatal(err)
	}
	if err := unix.Listen(fd, 0); err != nil {
		t.Fatal(err)
	}
	at, err := unix.Getsockname(fd)
	if err != nil {
		t.Fatal(err)
	}
	addr := fmt.Sprintf("127.0.0.1:%d", at.(*unix.SockaddrInet4).Port)
	for range 16 { // there is room for one or two
		c, err := net.DialTimeout("tcp", addr, 200*time.Millisecond)
		if err != nil {
			return addr
		}
		t.Cleanup(func() { c.Close() })
	}
	t.Fatal("the node takes connections without end")
	return ""
}

// mute returns the address of a node that accepts and says nothing.
func mute(t *testing.T) string {
	return testnet.Listen(t, func(c *testnet.Conn) { c.ReadAll() }).Addr
}

// TestAConnectEndsWithItsRequest: while the edge connects to a node that does not answer, requests end early in every way that there is.
// None may wait for the connect, whose time is longer than the test's patience, and the node is not blamed.
func TestAConnectEndsWithItsRequest(t *testing.T) {
	t.Parallel()
	for name, node := range map[string]struct {
		addr     func(*testing.T) string
		protocol topology.Protocol
	}{
		"HTTP/1.1":         {starved, ""},
		"HTTP/2":           {starved, topology.ProtocolH2C},
		"HTTP/2, greeting": {mute, topology.ProtocolH2C},
	} {
		t.Run(name, func(t *testing.T) {
			for _, engine := range engines {
				t.Run("the client of "+engine.name+" leaves", func(t *testing.T) {
					e := connectingEdge(t, node.addr(t), node.protocol, 0)
					c, root, _ := engineClient(t, e, engine.tls, engine.http2)
					ctx, leave := context.WithCancel(t.Context())
					done := make(chan struct{})
					const requests = 3 // which share a dial to a node of HTTP/2
					for range requests {
						go func() {
							defer func() { done <- struct{}{} }()
							req, _ := http.NewRequestWithContext(ctx, "GET", root, nil)
							req.Host = "a.test"
							if resp, err := c.Do(req); err == nil {
								resp.Body.Close()
								t.Errorf("answered with %d", resp.StatusCode)
							}
						}()
					}
					testnet.Wait(t, "the requests to be out", func() bool { return e.table.Load("n1").InFlight == requests })
					leave()
					for range requests {
						<-done
					}
					testnet.Wait(t, "the requests to end", func() bool { return e.table.Load("n1").InFlight == 0 })
					e.wantObserved(strings.TrimSuffix(strings.Repeat("n1 client-gone, ", requests), ", "))
				})
			}
			t.Run("it takes too long", func(t *testing.T) {
				e := connectingEdge(t, node.addr(t), node.protocol, 300*time.Millisecond)
				if status, _, _ := e.ask("GET", "/", ""); status != 504 {
					t.Errorf("got %d", status)
				}
				if got := e.observed(); got != "" {
					t.Errorf("observed %s", got)
				}
			})
			t.Run("the node is cut", func(t *testing.T) {
				e := connectingEdge(t, node.addr(t), node.protocol, 0)
				got := make(chan int, 1)
				go func() {
					status, _, _ := e.ask("GET", "/", "")
					got <- status
				}()
				testnet.Wait(t, "the request to be out", func() bool { return e.table.Load("n1").InFlight == 1 })
				e.s.CutNode("n1")
				if status := <-got; status != 503 {
					t.Errorf("got %d", status)
				}
			})
		})
	}
}

// connectingEdge returns an edge before a node, whose connects may take long.
func connectingEdge(t *testing.T, addr string, p topology.Protocol, request time.Duration) *edge {
	e := newEdge(t, withTLS(t, "a.test"))
	e.set.Put(&topology.Pool{Name: "web", Protocol: p})
	e.set.Put(&topology.Route{Name: "web", Pool: "web", Timeouts: topology.Timeouts{
		Connect: topology.Duration(10 * testnet.Patience), FirstByte: topology.Duration(10 * testnet.Patience), Request: topology.Duration(request),
	}})
	e.node("n1", "web", addr)
	e.apply()
	return e
}
