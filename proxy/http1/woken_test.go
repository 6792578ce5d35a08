// SPDX-License-Identifier: Apache-2.0

//go:build linux

package http1

import (
	"io"
	"net"
	"testing"
	"time"

	"meridian/internal/testnet"
	"meridian/proxy/socket"
)

// The read deadline of a connection that was parked has passed by the time that it is woken.
func TestARequestThatWakesAConnectionMayComeInTwoPieces(t *testing.T) {
	const request = "POST / HTTP/1.1\r\nHost: a.test\r\nContent-Length: 2\r\n\r\nok"
	const want = `200 POST / host=a.test length=2 body="ok" trailer=[]`
	s, addr := serveTCP(t, Config{Handler: echo})
	clients := make([]*testnet.Conn, len(request)-1)
	for i := range clients {
		clients[i] = testnet.Dial(t, addr)
	}
	for _, state := range []string{"that has sent nothing yet", "that has had an answer"} {
		waitParked(t, s, len(clients))
		for i, c := range clients {
			c.Send(request[:i+1])
		}
		waitParked(t, s, 0)
		for i, c := range clients {
			c.Send(request[i+1:])
			if got, err := answers(c, 1, "POST"); err != nil || got[0] != want {
				t.Fatalf("a connection %s, cut after byte %d: %q, %v", state, i+1, got, err)
			}
		}
	}
}

func TestAParkedConnectionThatItsClientEndsIsClosed(t *testing.T) {
	s, addr := serveTCP(t, Config{Handler: echo})
	c := testnet.Dial(t, addr)
	waitParked(t, s, 1)
	if err := c.Conn.(*net.TCPConn).CloseWrite(); err != nil {
		t.Fatal(err)
	}
	if b, err := io.ReadAll(c); len(b) > 0 || err != nil {
		t.Errorf("read %q, %v; want the end and nothing before it", b, err)
	}
	testnet.Wait(t, "the server to forget the connection", func() bool { return s.Stats().Open == 0 })
}

func TestFillNowTakesWhatHasArrivedAndHoldsNoBufferWhereThatIsNothing(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	client := testnet.Dial(t, ln.Addr().String())
	nc, err := ln.Accept()
	if err != nil {
		t.Fatal(err)
	}
	defer nc.Close()
	nc.SetReadDeadline(time.Unix(1, 0)) // it must not matter
	var sock socket.Socket
	sock.Reset(nc)
	if !sock.CanAwait() {
		t.Skip("no socket can be read without waiting here, as under the race detector")
	}
	r := NewReader(&sock, bufferBytes)
	if n, err := r.FillNow(); n != 0 || err != nil || r.buf != nil {
		t.Fatalf("nothing has arrived: %d, %v, a buffer of %d bytes", n, err, len(r.buf))
	}
	client.Send("ab")
	testnet.Wait(t, "two bytes to arrive", func() bool {
		n, err := r.FillNow()
		if err != nil {
			t.Fatal(err)
		}
		return n == 2
	})
	if got := string(r.Buffered()); got != "ab" {
		t.Errorf("buffered %q", got)
	}
	r.Discard(2)
	client.Close()
	testnet.Wait(t, "the end to arrive", func() bool { _, err := r.FillNow(); return err == io.EOF })
	if r.buf != nil {
		t.Error("a buffer is held after the end")
	}
}
