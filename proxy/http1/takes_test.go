// SPDX-License-Identifier: Apache-2.0

//go:build linux

package http1

import (
	"context"
	"errors"
	"os"
	"testing"
	"time"

	"meridian/internal/testnet"
	"meridian/proxy/exchange"
	"meridian/proxy/socket"
)

// TestAWaitForAClientThatTakesNothingIsInterrupted has Interrupt come right before the wait, which sets a deadline of its own.
func TestAWaitForAClientThatTakesNothingIsInterrupted(t *testing.T) {
	ln, err := socket.Listen("127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	s := NewServer(Config{WriteTimeout: time.Hour, Handler: func(x *exchange.Exchange) {
		x.Reply.WriteHead(&exchange.Head{Status: 200, Length: exchange.LengthUnknown})
		w := x.Reply.(exchange.Taker)
		piece := make([]byte, 4<<10)
		for w.Takes() > 0 {
			x.Reply.Write(piece)
			if err := x.Reply.Flush(); err != nil {
				ended <- err
				return
			}
		}
		x.Reply.Interrupt()
		ended <- w.AwaitTakes()
	}})
	done := make(chan error, 1)
	go func() { done <- s.Serve(ln) }()
	c := testnet.Dial(t, ln.Addr().String())
	c.Write([]byte(askRoot))
	select {
	case err := <-ended:
		if !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("the wait ended with %v", err)
		}
	case <-time.After(testnet.Patience):
		t.Error("the wait goes on")
	}
	c.Close()
	ln.Close()
	<-done
	ctx, cancel := context.WithTimeout(context.Background(), testnet.Patience)
	defer cancel()
	s.Shutdown(ctx, time.Millisecond)
}
