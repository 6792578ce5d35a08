// SPDX-License-Identifier: Apache-2.0

package http1

import (
	"crypto/tls"
	"io"
	"net"
	"net/netip"
	"testing"
	"time"

	"meridian/internal/testnet"
	"meridian/proxy/turns"
)

// shaking begins a handshake and returns a channel that gets what came of it.
func shaking(t *testing.T, addr string) <-chan error {
	t.Helper()
	c := testnet.Dial(t, addr)
	done := make(chan error, 1)
	go func() {
		done <- tls.Client(c.Conn, &tls.Config{InsecureSkipVerify: true, ServerName: "a.test"}).Handshake()
	}()
	return done
}

func TestAHandshakeWaitsForItsTurn(t *testing.T) {
	places := turns.New(1)
	addr := startTLS(t, Config{Handler: echo, Handshakes: places})
	places.Enter(netip.Addr{}, time.Time{})
	first, second := shaking(t, addr), shaking(t, addr)
	testnet.Wait(t, "both to wait", func() bool { return places.Waiting() == 2 })
	select {
	case <-first:
		t.Error("a handshake was made without a place")
	case <-second:
		t.Error("a handshake was made without a place")
	default:
	}
	places.Leave()
	for _, done := range []<-chan error{first, second} {
		if err := <-done; err != nil {
			t.Error(err)
		}
	}
	testnet.Wait(t, "the place to be free", func() bool { return places.Enter(netip.Addr{}, time.Now()) })
}

func TestAHandshakeWhoseTurnDoesNotComeEndsAtItsDeadline(t *testing.T) {
	places := turns.New(1)
	addr := startTLS(t, Config{Handler: echo, Handshakes: places, HandshakeTimeout: 50 * time.Millisecond})
	places.Enter(netip.Addr{}, time.Time{})
	if err := <-shaking(t, addr); err == nil {
		t.Error("the handshake was made")
	}
	if n := places.Waiting(); n != 0 {
		t.Errorf("%d still wait", n)
	}
}

// TestAHandshakeThatWaitsForItsClientHasNoPlace has clients stop in the midst of it.
func TestAHandshakeThatWaitsForItsClientHasNoPlace(t *testing.T) {
	places := turns.New(1)
	addr := startTLS(t, Config{Handler: echo, Handshakes: places, HandshakeTimeout: testnet.Patience})
	for _, stop := range []int{1, 100, 1 << 20} { // bytes of the ClientHello; the last: before its second flight
		c := testnet.Dial(t, addr)
		hello := clientHello(t)
		c.Send(string(hello[:min(stop, len(hello))]))
		if stop > len(hello) {
			if _, err := io.ReadFull(c, make([]byte, 1000)); err != nil {
				t.Fatal(err)
			}
		}
		if err := <-shaking(t, addr); err != nil {
			t.Errorf("behind one that stopped at %d bytes: %v", stop, err)
		}
	}
}

// clientHello returns what a client sends first.
func clientHello(t *testing.T) []byte {
	t.Helper()
	a, b := net.Pipe()
	done := make(chan struct{})
	go func() {
		defer close(done)
		tls.Client(a, &tls.Config{InsecureSkipVerify: true, ServerName: "a.test"}).Handshake()
	}()
	buf := make([]byte, 16<<10)
	n, err := b.Read(buf)
	b.Close()
	<-done
	a.Close()
	if err != nil {
		t.Fatal(err)
	}
	return buf[:n]
}
