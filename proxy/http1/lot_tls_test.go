// SPDX-License-Identifier: Apache-2.0

//go:build linux

package http1

import (
	"context"
	"crypto/tls"
	"io"
	"net"
	"runtime"
	"strings"
	"testing"
	"time"

	"meridian/internal/testnet"
)

// halves is a connection whose writes arrive as two halves, the second after a pause: records that are cut in two.
type halves struct {
	net.Conn
	pause func()
}

func (h *halves) Write(b []byte) (int, error) {
	n, err := h.Conn.Write(b[:len(b)/2])
	if err != nil {
		return n, err
	}
	h.pause()
	m, err := h.Conn.Write(b[n:])
	return n + m, err
}

func TestConnectionsOfTLSAreParkedAndServedAgain(t *testing.T) {
	const n = 50
	s, addr := serveTLS(t, Config{Handler: echo})
	before := runtime.NumGoroutine()
	var clients []*tls.Conn
	for range n {
		clients = append(clients, dialTLS(t, addr))
	}
	for round := range 3 {
		waitParked(t, s, n)
		testnet.Wait(t, "the goroutines to end", func() bool { return runtime.NumGoroutine() <= before+2 })
		for i, c := range clients {
			io.WriteString(c, askRoot+strings.Replace(askRoot, "/", "/canary", 1)) // the second is in TLS's buffer when the first is read
			got, err := answers(c, 2, "GET")
			if err != nil || !strings.HasPrefix(got[0], "200 GET / ") || !strings.HasPrefix(got[1], "200 GET /canary ") {
				t.Fatalf("round %d, connection %d: %q, %v", round, i, got, err)
			}
		}
	}
}

func TestAConnectionOfTLSIsParkedWithHalfARecord(t *testing.T) {
	s, addr := serveTLS(t, Config{Handler: echo})
	nc, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	defer nc.Close()
	h := &halves{nc, func() {}}
	c := tls.Client(h, &tls.Config{InsecureSkipVerify: true, ServerName: "a.test"})
	c.SetDeadline(time.Now().Add(testnet.Patience))
	if err := c.Handshake(); err != nil {
		t.Fatal(err)
	}
	h.pause = func() { waitParked(t, s, 1); time.Sleep(3 * coldPatience); waitParked(t, s, 1) } // woken by the half, and parked again
	for range 3 {
		io.WriteString(c, askRoot)
		if got, err := answers(c, 1, "GET"); err != nil || !strings.HasPrefix(got[0], "200 GET / ") {
			t.Fatalf("got %q, %v", got, err)
		}
	}
}

func TestShutdownEndsAndCutsConnectionsOfTLS(t *testing.T) {
	s, addr := serveTLS(t, Config{Handler: echo})
	c := dialTLS(t, addr)
	waitParked(t, s, 1)
	if cut := s.Shutdown(context.Background(), 20*time.Millisecond); cut != 0 {
		t.Errorf("%d were cut", cut)
	}
	if _, err := io.ReadAll(c); err != nil {
		t.Errorf("it was not closed well: %v", err)
	}
	s, addr = serveTLS(t, Config{Handler: echo})
	c = dialTLS(t, addr)
	waitParked(t, s, 1)
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Millisecond)
	defer cancel()
	if cut := s.Shutdown(ctx, time.Hour); cut != 1 {
		t.Errorf("%d were cut, want 1", cut)
	}
	io.ReadAll(c)
}

func TestHTTP2IsHandedOverAfterBeingParked(t *testing.T) {
	s, addr := serveTCP(t, Config{Handler: echo}, func(h Handover) {
		b := make([]byte, len(preface)+1-len(h.Read))
		io.ReadFull(h.Conn, b)
		io.WriteString(h.Conn, string(h.Read)+string(b))
		h.Conn.Close()
	})
	c := testnet.Dial(t, addr)
	waitParked(t, s, 1)
	c.Send(string(preface[:7]))
	c.Send(string(preface[7:]) + "x")
	if got, _ := c.ReadAll(); got != string(preface)+"x" {
		t.Errorf("got %q", got)
	}
	testnet.Wait(t, "the connection to be forgotten", func() bool { return s.Stats().Open == 0 })
	c = testnet.Dial(t, addr)
	c.Send(askRoot)
	if _, err := answers(c, 1, "GET"); err != nil {
		t.Fatal(err)
	}
	c.Send(string(preface)) // too late
	if got, _ := c.ReadAll(); !strings.HasPrefix(got, "HTTP/1.1 505 ") {
		t.Errorf("got %q", got)
	}
}
