// SPDX-License-Identifier: Apache-2.0

package http3

import (
	"context"
	"crypto/tls"
	"errors"
	"net"
	"net/http"
	"sync"
	"testing"
	"time"

	"github.com/quic-go/quic-go"

	"meridian/internal/h3raw"
	"meridian/internal/testnet"
)

// firstByte notes the first byte of the first packet that comes.
type firstByte struct {
	net.PacketConn
	once  sync.Once
	first byte
}

func (p *firstByte) ReadFrom(b []byte) (int, net.Addr, error) {
	n, from, err := p.PacketConn.ReadFrom(b)
	if n > 0 {
		p.once.Do(func() { p.first = b[0] })
	}
	return n, from, err
}

// dialRetried connects, and reports whether the server has demanded an address token first: RFC 9000, section 17.2.5.
func dialRetried(t *testing.T, addr string) (c *quic.Conn, retried bool, err error) {
	t.Helper()
	pc, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	p := &firstByte{PacketConn: pc}
	to, err := net.ResolveUDPAddr("udp", addr)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), testnet.Patience)
	defer cancel()
	tr := &quic.Transport{Conn: p}
	t.Cleanup(func() { tr.Close(); pc.Close() })
	c, err = tr.Dial(ctx, to, &tls.Config{InsecureSkipVerify: true, NextProtos: []string{"h3"}}, nil)
	return c, p.first&0xf0 == 0xf0, err
}

// TestHalfOfThePlacesAreForClientsThatShowTheirAddress: nobody can take all places of an address that is not his.
func TestHalfOfThePlacesAreForClientsThatShowTheirAddress(t *testing.T) {
	s, addr := start(t, Config{MaxConnectionsPerAddress: 2, Handler: answer(200, "ok")})
	for i, want := range []bool{false, true} {
		c, retried, err := dialRetried(t, addr)
		if err != nil || retried != want {
			t.Fatalf("connection %d: asked for a token: %v, %v", i, retried, err)
		}
		defer c.CloseWithError(0, "")
	}
	if _, _, err := dialRetried(t, addr); err == nil {
		t.Error("a third connection is taken")
	}
	if got := s.Stats().Shed; got == 0 {
		t.Error("it is not counted as shed")
	}
}

func TestManyHandshakesInASecondMakeClientsShowTheirAddress(t *testing.T) {
	s, _ := start(t, Config{Handler: answer(200, "ok")})
	testnet.Wait(t, "clients to be asked", func() bool { // again where a second begins in between
		for range trustingRate {
			s.suspicious(&net.UDPAddr{})
		}
		return s.suspicious(&net.UDPAddr{})
	})
	testnet.Wait(t, "clients to be trusted again", func() bool { return !s.suspicious(&net.UDPAddr{}) })
}

// TestAnotherServerOfTheProgramResetsWhatItDoesNotKnow is a listener that is bound anew: clients of the one before must not
// wait for their timeouts.
func TestAnotherServerOfTheProgramResetsWhatItDoesNotKnow(t *testing.T) {
	keys := NewKeys()
	cert, key := testnet.Certificate(t, "a.test")
	pair, err := tls.X509KeyPair(cert, key)
	if err != nil {
		t.Fatal(err)
	}
	conf := &tls.Config{Certificates: []tls.Certificate{pair}}
	serve := func(addr string) (*Server, net.PacketConn, <-chan error) {
		pc, err := net.ListenPacket("udp", addr)
		if err != nil {
			t.Fatal(err)
		}
		s, done := NewServer(Config{Handler: answer(200, "ok")}, keys), make(chan error, 1)
		go func() { done <- s.Serve(pc, conf) }()
		return s, pc, done
	}
	end := func(s *Server, done <-chan error) error {
		ctx, cancel := context.WithTimeout(context.Background(), testnet.Patience)
		defer cancel()
		s.Shutdown(ctx, time.Millisecond)
		return <-done
	}
	first, socket, firstDone := serve("127.0.0.1:0")
	addr := socket.LocalAddr().String()
	c := h3raw.Dial(t, addr, "a.test")
	c.Get("/")
	socket.Close() // nothing is said to the client
	end(first, firstDone)
	second, _, secondDone := serve(addr)
	testnet.Wait(t, "the client to be told", func() bool {
		if st, err := c.Conn.OpenStream(); err == nil {
			st.Write([]byte("x"))
		}
		return c.Conn.Context().Err() != nil
	})
	var reset *quic.StatelessResetError
	if err := context.Cause(c.Conn.Context()); !errors.As(err, &reset) {
		t.Errorf("the connection ended with %v", err)
	}
	if err := end(second, secondDone); !errors.Is(err, http.ErrServerClosed) {
		t.Error(err)
	}
}
