// SPDX-License-Identifier: Apache-2.0

package http1

import (
	"context"
	"io"
	"net"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"meridian/internal/testnet"
	"meridian/proxy/exchange"
)

func TestALimitThatIsChangedHoldsFromTheNextRequestOn(t *testing.T) {
	s, p := start(t, Config{Handler: echo})
	c := p.dial(t)
	long := "GET / HTTP/1.1\r\nHost: a.test\r\nX: " + strings.Repeat("x", 2000) + "\r\n\r\n"
	go io.WriteString(c, long)
	if got, err := answers(c, 1, "GET"); err != nil || !strings.HasPrefix(got[0], "200 ") {
		t.Fatalf("before: %q, %v", got, err)
	}
	s.Reconfigure(Config{Limits: Limits{HeadBytes: 100 << 10}})
	go io.WriteString(c, "GET / HTTP/1.1\r\nHost: a.test\r\nX: "+strings.Repeat("x", 90<<10)+"\r\n\r\n")
	if got, err := answers(c, 1, "GET"); err != nil || !strings.HasPrefix(got[0], "200 ") {
		t.Fatalf("raised: %q, %v", got, err)
	}
	s.Reconfigure(Config{Limits: Limits{HeadBytes: 1024}})
	go io.WriteString(c, long)
	if got, err := answers(c, 1, "GET"); err != nil || !strings.HasPrefix(got[0], "431 ") {
		t.Errorf("after: %q, %v", got, err)
	}
}

// TestDrainingAListenerLeavesTheOthersAlone also holds that a request under way is answered, and that its connection ends.
func TestDrainingAListenerLeavesTheOthersAlone(t *testing.T) {
	var entered atomic.Int32
	s, keep := start(t, Config{Handler: func(x *exchange.Exchange) { entered.Add(1); echo(x) }})
	gone, served := &pipes{make(chan net.Conn), make(chan struct{})}, make(chan error, 1)
	go func() { served <- s.Serve(gone) }()
	kept, idle, busy := keep.dial(t), gone.dial(t), gone.dial(t)
	go io.WriteString(busy, "POST / HTTP/1.1\r\nHost: a.test\r\nContent-Length: 1\r\n\r\n")
	testnet.Wait(t, "the request to be under way", func() bool { return entered.Load() == 1 })
	gone.Close()
	<-served
	drained := make(chan int, 1)
	go func() { drained <- s.Drain(context.Background(), gone, time.Millisecond) }()
	if b, _ := io.ReadAll(idle); len(b) > 0 {
		t.Errorf("the idle connection got %q", b)
	}
	go io.WriteString(busy, "x")
	if b, _ := io.ReadAll(busy); !strings.HasPrefix(string(b), "HTTP/1.1 200 ") || !strings.Contains(string(b), "Connection: close\r\n") {
		t.Errorf("the request under way got %q", b)
	}
	if cut := <-drained; cut != 0 {
		t.Errorf("%d connections were cut", cut)
	}
	go io.WriteString(kept, "GET / HTTP/1.1\r\nHost: a.test\r\n\r\n")
	if got, err := answers(kept, 1, "GET"); err != nil || !strings.HasPrefix(got[0], "200 ") {
		t.Errorf("the other listener's connection got %q, %v", got, err)
	}
}

func TestADrainThatLastsTooLongCuts(t *testing.T) {
	var entered atomic.Int32
	s, _ := start(t, Config{Handler: func(x *exchange.Exchange) { entered.Add(1); echo(x) }})
	gone, served := &pipes{make(chan net.Conn), make(chan struct{})}, make(chan error, 1)
	go func() { served <- s.Serve(gone) }()
	busy := gone.dial(t)
	io.WriteString(busy, "POST / HTTP/1.1\r\nHost: a.test\r\nContent-Length: 1\r\n\r\n")
	gone.Close()
	<-served
	ctx, cancel := context.WithCancel(context.Background())
	testnet.Wait(t, "the request to be under way", func() bool { return entered.Load() == 1 })
	cancel()
	if cut := s.Drain(ctx, gone, time.Millisecond); cut != 1 {
		t.Errorf("%d connections were cut, want 1", cut)
	}
}
