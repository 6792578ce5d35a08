// SPDX-License-Identifier: Apache-2.0

//go:build linux

package http1

import (
	"bufio"
	"context"
	"encoding/binary"
	"errors"
	"io"
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

// TestWhatWasCollectedIsSentBeforeTheWaitForAClient has some of the answer collected when the client takes no more: it comes once, in its
// place, and the wait holds no buffer for it.
func TestWhatWasCollectedIsSentBeforeTheWaitForAClient(t *testing.T) {
	ln, err := socket.Listen("127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	full := make(chan struct{}, 1)
	s := NewServer(Config{Handler: func(x *exchange.Exchange) {
		x.Reply.WriteHead(&exchange.Head{Status: 200, Length: 16 << 20})
		w, c := x.Reply.(exchange.Taker), (*conn)(x.Reply.(*reply))
		var next uint32
		piece := make([]byte, 4<<10)
		write := func() {
			for i := 0; i < len(piece); i += 4 {
				binary.BigEndian.PutUint32(piece[i:], next)
				next++
			}
			x.Reply.Write(piece)
		}
		for w.Takes() > 0 {
			write()
			x.Reply.Flush()
		}
		write() // is collected
		if len(c.out) < len(piece) {
			t.Errorf("%d bytes are collected", len(c.out))
		}
		full <- struct{}{}
		if err := w.AwaitTakes(); err != nil || len(c.out) > 32 {
			t.Errorf("after the wait %d bytes are held, %v", len(c.out), err)
		}
		for next < 16<<20/4 {
			write()
		}
		x.Reply.End(nil)
	}})
	done := make(chan error, 1)
	go func() { done <- s.Serve(ln) }()
	c := testnet.Dial(t, ln.Addr().String())
	c.Write([]byte(askRoot))
	<-full
	r := bufio.NewReader(c)
	for line := ""; line != "\r\n"; {
		if line, err = r.ReadString('\n'); err != nil {
			t.Fatal(err)
		}
	}
	var word [4]byte
	for want := range uint32(16 << 20 / 4) {
		if _, err := io.ReadFull(r, word[:]); err != nil || binary.BigEndian.Uint32(word[:]) != want {
			t.Fatalf("word %d is %x, %v", want, word, err)
		}
	}
	c.Close()
	ln.Close()
	<-done
	ctx, cancel := context.WithTimeout(context.Background(), testnet.Patience)
	defer cancel()
	s.Shutdown(ctx, time.Millisecond)
}
