// SPDX-License-Identifier: Apache-2.0

package socket

import (
	"bytes"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"os"
	"syscall"
	"testing"
	"time"

	"meridian/internal/testnet"
)

// securePair returns a Socket above TLS, its connection below, and the other end.
func securePair(t *testing.T) (*Socket, *testnet.Conn, *tls.Conn) {
	t.Helper()
	_, c, other := pair(t)
	cert, key := testnet.Certificate(t, "a.test")
	pem, err := tls.X509KeyPair(cert, key)
	if err != nil {
		t.Fatal(err)
	}
	far := tls.Client(other.Conn, &tls.Config{InsecureSkipVerify: true})
	near := tls.Server(Wrap(c.Conn), &tls.Config{Certificates: []tls.Certificate{pem}})
	shaken := make(chan error, 1)
	go func() { shaken <- far.Handshake() }()
	if err := errors.Join(near.Handshake(), <-shaken); err != nil {
		t.Fatal(err)
	}
	s := &Socket{}
	s.Reset(near)
	return s, c, far
}

// TestAboveTLSWhatHasArrivedIsReadWithoutWaiting also has it go on afterwards: TLS forgets that a read found nothing.
func TestAboveTLSWhatHasArrivedIsReadWithoutWaiting(t *testing.T) {
	if !haveRaw {
		t.Skip("there are no raw calls here")
	}
	s, _, far := securePair(t)
	var b [4]byte
	for _, part := range []string{"abcdef", "g"} {
		if n, err := s.ReadNow(b[:]); n != 0 || err != nil {
			t.Fatalf("nothing came, and it read %d, %v", n, err)
		}
		io.WriteString(far, part)
		var got []byte
		testnet.Wait(t, "it to arrive", func() bool {
			n, err := s.ReadNow(b[:])
			if err != nil {
				t.Fatal(err)
			}
			got = append(got, b[:n]...)
			return string(got) == part
		})
	}
	io.WriteString(far, "waited for")
	got := make([]byte, 10)
	if _, err := io.ReadFull(s, got); string(got) != "waited for" || err != nil {
		t.Errorf("got %q, %v", got, err)
	}
	far.CloseWrite()
	testnet.Wait(t, "the end", func() bool {
		_, err := s.ReadNow(b[:])
		return err == io.EOF
	})
}

func TestAboveTLSABufferIsTakenOnlyWhenSomethingHasCome(t *testing.T) {
	s, c, far := securePair(t)
	taken := 0
	room := func() []byte { taken++; return make([]byte, 4096) }
	c.SetReadDeadline(time.Now().Add(20 * time.Millisecond))
	if n, err := s.ReadLazily(room); n != 0 || !errors.Is(err, os.ErrDeadlineExceeded) || haveRaw && taken != 0 {
		t.Errorf("nothing came, and it read %d, %v, with %d buffers", n, err, taken)
	}
	c.SetReadDeadline(time.Now().Add(testnet.Patience))
	want := bytes.Repeat([]byte("0123456789"), 10_000)
	go far.Write(want)
	var got []byte
	for len(got) < len(want) {
		var b []byte
		n, err := s.ReadLazily(func() []byte { b = room(); return b })
		if n == 0 || err != nil {
			t.Fatalf("after %d bytes it read %d, %v", len(got), n, err)
		}
		got = append(got, b[:n]...)
	}
	if !bytes.Equal(got, want) {
		t.Error("the bytes are others")
	}
	far.CloseWrite()
	if n, err := s.ReadLazily(room); n != 0 || err != io.EOF {
		t.Errorf("at the end it read %d, %v", n, err)
	}
}

// TestAwaitTakesNothing says that neither bytes nor a reset are lost by waiting for them.
func TestAwaitTakesNothing(t *testing.T) {
	if !haveRaw {
		s, _, _ := pair(t)
		if ok, err := s.Await(); ok || err != nil {
			t.Errorf("it says that it has waited, %v", err)
		}
		return
	}
	s, c, other := pair(t)
	c.SetReadDeadline(time.Now().Add(20 * time.Millisecond))
	if ok, err := s.Await(); !ok || !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("nothing came: %v, %v", ok, err)
	}
	c.SetReadDeadline(time.Now().Add(testnet.Patience))
	var b [8]byte
	other.Send("abc")
	if ok, err := s.Await(); !ok || err != nil {
		t.Errorf("bytes came: %v, %v", ok, err)
	}
	if n, err := s.ReadNow(b[:]); n != 3 || err != nil {
		t.Errorf("read %d, %v", n, err)
	}
	other.Conn.(*net.TCPConn).SetLinger(0)
	other.Close()
	if ok, err := s.Await(); !ok || err != nil {
		t.Errorf("a reset came: %v, %v", ok, err)
	}
	if n, err := s.ReadNow(b[:]); n != 0 || !errors.Is(err, syscall.ECONNRESET) {
		t.Errorf("after a reset it read %d, %v", n, err)
	}
}
