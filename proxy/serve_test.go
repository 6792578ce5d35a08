// SPDX-License-Identifier: Apache-2.0

package proxy

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"meridian/internal/testnet"
	"meridian/topology"
)

func TestAtShutdownRequestsUnderWayAreAnswered(t *testing.T) {
	t.Parallel()
	started, finish := make(chan struct{}), make(chan struct{})
	stopping := false
	e := newEdge(t, func(c *Config) { c.Stopping = func() { stopping = true } })
	e.httpNode("n1", "web", func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/slow" {
			close(started)
			<-finish
		}
		io.WriteString(w, "done")
	})
	idle := testnet.Dial(t, e.addr)
	idle.Send("GET / HTTP/1.1\r\nHost: a.test\r\n\r\n")
	idle.ReadUntil("done")
	slow := testnet.Dial(t, e.addr)
	slow.Send("GET /slow HTTP/1.1\r\nHost: a.test\r\n\r\n")
	<-started
	ended := make(chan error, 1)
	go func() { ended <- e.stop() }()
	if rest, clean := idle.ReadAll(); rest != "" || !clean { // ends by itself after Quiet
		t.Errorf("the idle connection ended with %q, clean: %v", rest, clean)
	}
	close(finish)
	got, clean := slow.ReadAll()
	if !strings.Contains(got, "Connection: close\r\n") || !strings.HasSuffix(got, "done") || !clean {
		t.Errorf("got %q", got)
	}
	if err := <-ended; !errors.Is(err, context.Canceled) || !stopping {
		t.Errorf("Run returned %v; Stopping called: %v", err, stopping)
	}
}

func TestAtTheShutdownsDeadlineTheRestIsCut(t *testing.T) {
	started := make(chan struct{})
	e := newEdge(t, func(c *Config) { c.Deadline = 50 * time.Millisecond })
	e.rawNode("n1", "web", func(c *testnet.Conn) { c.ReadUntil("\r\n\r\n"); close(started); c.ReadAll() })
	c := testnet.Dial(t, e.addr)
	c.Send("GET / HTTP/1.1\r\nHost: a.test\r\n\r\n")
	<-started
	if err := e.stop(); !errors.Is(err, context.Canceled) {
		t.Errorf("Run returned %v", err)
	}
	if got, _ := c.ReadAll(); got != "" {
		t.Errorf("got %q", got)
	}
}

func TestATakenPortIsNamed(t *testing.T) {
	e := newEdge(t)
	s, err := New(Config{Listen: []string{"127.0.0.1:0", e.addr}, Snapshot: e.store.Load, Table: e.table, Sessions: e.sessions})
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Listen(); err == nil || !strings.Contains(err.Error(), "listen on "+e.addr+" for HTTP: the address is taken") {
		t.Errorf("got %v", err)
	}
}

func TestConnectionsAboveTheLimitAreTurnedAway(t *testing.T) {
	e := newEdge(t, func(c *Config) { c.MaxConnectionsPerAddress = 2 })
	e.httpNode("n1", "web", func(w http.ResponseWriter, r *http.Request) { io.WriteString(w, "ok") })
	var held []*testnet.Conn
	for range 2 {
		c := testnet.Dial(t, e.addr)
		c.Send("GET / HTTP/1.1\r\nHost: a.test\r\n\r\n")
		c.ReadUntil("ok")
		held = append(held, c)
	}
	if got, _ := testnet.Dial(t, e.addr).ReadAll(); !strings.HasPrefix(got, "HTTP/1.1 503 ") {
		t.Errorf("the third got %q", got)
	}
	held[0].Close()
	testnet.Wait(t, "a place to be free", func() bool { return e.s.engine.Stats().Open < 2 })
	c := testnet.Dial(t, e.addr)
	c.Send("GET / HTTP/1.1\r\nHost: a.test\r\n\r\n")
	if got := c.ReadUntil("\r\n"); got != "HTTP/1.1 200 OK\r\n" {
		t.Errorf("got %q", got)
	}
}

// TestDuringGraceAllGoesOnAndThenClientsAreTold holds on to one connection from before the stop to the end.
func TestDuringGraceAllGoesOnAndThenClientsAreTold(t *testing.T) {
	t.Parallel()
	begun, answer := make(chan struct{}), make(chan struct{})
	e := newEdge(t, func(c *Config) { c.Grace = 300 * time.Millisecond; c.Stopping = func() { close(begun) } })
	e.httpNode("n1", "web", func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/slow" {
			<-answer
		}
		io.WriteString(w, "ok")
	})
	ended := make(chan error, 1)
	go func() { ended <- e.stop() }()
	<-begun
	c := testnet.Dial(t, e.addr)
	c.Send("GET / HTTP/1.1\r\nHost: a.test\r\n\r\n")
	if got := c.ReadUntil("ok"); !strings.HasSuffix(got, "ok") || !e.s.stopping.Load() && strings.Contains(got, "Connection: close\r\n") {
		t.Errorf("during grace: got %q", got)
	}
	c.Send("GET /slow HTTP/1.1\r\nHost: a.test\r\n\r\n")
	testnet.Wait(t, "the end of grace", func() bool {
		nc, err := net.DialTimeout("tcp", e.addr, time.Second)
		if err == nil {
			nc.Close()
		}
		return err != nil
	})
	close(answer)
	if got, clean := c.ReadAll(); !strings.HasSuffix(got, "ok") || !strings.Contains(got, "Connection: close\r\n") || !clean {
		t.Errorf("after grace: got %q", got)
	}
	<-ended
}

func TestAPanicCostsOneRequestAndGivesEverythingBack(t *testing.T) {
	t.Parallel()
	var log strings.Builder
	e := newEdge(t, func(c *Config) {
		c.Health = func() (bool, []byte) { panic("on purpose") }
		c.Logger = slog.New(slog.NewTextHandler(&log, nil))
	})
	delete(e.set, topology.Key{Kind: topology.KindRoute, Name: "web"})
	e.apply()
	c := testnet.Dial(t, e.addr)
	c.Send("GET /healthz HTTP/1.1\r\nHost: a.test\r\n\r\n")
	if got, _ := c.ReadAll(); !strings.HasPrefix(got, "HTTP/1.1 500 ") {
		t.Errorf("got %q", got)
	}
	if status, _, _ := e.ask("GET", "/other", ""); status != 404 {
		t.Errorf("the next got %d", status)
	}
	e.stop()
	if got := e.s.metrics.inFlight.Load(); got != 0 || !strings.Contains(log.String(), "on purpose") {
		t.Errorf("%d requests are in flight; the log has %q", got, log.String())
	}
}
