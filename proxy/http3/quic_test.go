// SPDX-License-Identifier: Apache-2.0

package http3

import (
	"bytes"
	"context"
	"crypto/tls"
	"encoding/binary"
	"net"
	"os"
	"testing"
	"time"

	"github.com/quic-go/quic-go"

	"meridian/internal/testnet"
)

// udp is a socket that talks to addr only.
func udp(t *testing.T, addr string) *net.UDPConn {
	t.Helper()
	to, err := net.ResolveUDPAddr("udp", addr)
	if err != nil {
		t.Fatal(err)
	}
	c, err := net.DialUDP("udp", nil, to)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c
}

// received returns what comes within a time. It waits for what must come as long as that takes.
func received(c *net.UDPConn, must int, within time.Duration) (datagrams [][]byte, bytes int) {
	for {
		c.SetReadDeadline(time.Now().Add(within))
		if len(datagrams) < must {
			c.SetReadDeadline(time.Now().Add(testnet.Patience))
		}
		b := make([]byte, 2048)
		n, err := c.Read(b)
		if err != nil {
			return datagrams, bytes
		}
		datagrams = append(datagrams, b[:n])
		bytes += n
	}
}

// initial returns the first datagram of a client's handshake.
func initial(t *testing.T) []byte {
	t.Helper()
	pc, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer pc.Close()
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		defer close(done)
		if c, err := quic.DialAddr(ctx, pc.LocalAddr().String(), &tls.Config{InsecureSkipVerify: true, ServerName: "a.test", NextProtos: []string{"h3"}}, nil); err == nil {
			c.CloseWithError(0, "")
		}
	}()
	defer func() { cancel(); <-done }()
	pc.SetReadDeadline(time.Now().Add(testnet.Patience))
	b := make([]byte, 2048)
	n, _, err := pc.ReadFrom(b)
	if err != nil || n < 1200 {
		t.Fatalf("the client's first datagram has %d bytes, %v", n, err)
	}
	return b[:n]
}

// TestAnAddressThatIsNotProvenGetsLittle holds what a spoofed address can have sent to somebody: RFC 9000, sections 8.1 and 14.1.
func TestAnAddressThatIsNotProvenGetsLittle(t *testing.T) {
	const handshake = 300 * time.Millisecond
	_, addr := start(t, Config{Handler: answer(200, "ok"), HandshakeTimeout: handshake})
	first := initial(t)
	c := udp(t, addr)
	c.Write(first)
	if _, n := received(c, 1, 3*handshake); n == 0 || n > 3*len(first) { // and nothing more once the handshake is given up
		t.Errorf("%d bytes came for an Initial of %d", n, len(first))
	}

	unknown := bytes.Clone(first)
	binary.BigEndian.PutUint32(unknown[1:], 0x1a2a3a4a)
	short := bytes.Clone(unknown[:1199])
	for name, k := range map[string]struct {
		sent        []byte
		least, most int // datagrams
	}{
		"a short Initial": {first[:1199], 0, 0}, "an unknown version": {unknown, 1, 1}, "an unknown version in a short datagram": {short, 0, 0},
		"text": {[]byte("GET / HTTP/1.1\r\nHost: a.test\r\n\r\n"), 0, 1}, "one byte": {[]byte{0x40}, 0, 0}, "a short header for nobody": {append([]byte{0x40}, make([]byte, 1199)...), 0, 1},
	} {
		c := udp(t, addr)
		c.Write(k.sent)
		got, n := received(c, k.least, handshake)
		if len(got) < k.least || len(got) > k.most || n >= len(k.sent) {
			t.Errorf("%s: %d datagrams came, %d bytes for %d", name, len(got), n, len(k.sent))
		}
		if k.least == 1 && len(got) == 1 && binary.BigEndian.Uint32(got[0][1:]) != 0 {
			t.Errorf("%s: no version negotiation, but %x", name, got)
		}
	}
}

// TestNoRequestCanBeReplayed holds that 0-RTT is off: a client that has a session's ticket must finish its handshake first.
func TestNoRequestCanBeReplayed(t *testing.T) {
	_, addr := start(t, Config{Handler: answer(200, "ok")})
	got := make(chan struct{}, 8)
	conf := &tls.Config{InsecureSkipVerify: true, ServerName: "a.test", NextProtos: []string{"h3"}, ClientSessionCache: noted{tls.NewLRUClientSessionCache(1), got}}
	ctx, cancel := context.WithTimeout(context.Background(), testnet.Patience)
	defer cancel()
	first, err := quic.DialAddrEarly(ctx, addr, conf, nil)
	if err != nil {
		t.Fatal(err)
	}
	<-got
	first.CloseWithError(0, "")
	second, err := quic.DialAddrEarly(ctx, addr, conf, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer second.CloseWithError(0, "")
	select {
	case <-second.HandshakeComplete():
	case <-ctx.Done():
		t.Fatal(os.ErrDeadlineExceeded)
	}
	if s := second.ConnectionState(); s.Used0RTT || !s.TLS.DidResume {
		t.Errorf("0-RTT %v, resumed %v", s.Used0RTT, s.TLS.DidResume)
	}
}

// noted tells when a ticket has come.
type noted struct {
	tls.ClientSessionCache
	got chan struct{}
}

func (n noted) Put(key string, s *tls.ClientSessionState) {
	n.ClientSessionCache.Put(key, s)
	if s != nil {
		n.got <- struct{}{}
	}
}
