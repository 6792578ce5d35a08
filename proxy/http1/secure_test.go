// SPDX-License-Identifier: Apache-2.0

package http1

import (
	"crypto/tls"
	"io"
	"net"
	"strconv"
	"strings"
	"testing"
	"time"

	"meridian/internal/testnet"
	"meridian/proxy/exchange"
)

func serverTLS(t testing.TB) *tls.Config {
	cert, key := testnet.Certificate(t, "a.test")
	pair, err := tls.X509KeyPair(cert, key)
	if err != nil {
		t.Fatal(err)
	}
	return &tls.Config{Certificates: []tls.Certificate{pair}, NextProtos: []string{"h2", "http/1.1"}}
}

// startTLS runs a server on TLS until the test ends and returns its address.
func startTLS(t testing.TB, c Config, http2 ...func(Handover)) string {
	_, addr := serveTLS(t, c, http2...)
	return addr
}

func serveTLS(t testing.TB, c Config, http2 ...func(Handover)) (*Server, string) {
	s, _ := start(t, c, http2...) // it is shut down with the test
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan error, 1)
	go func() { done <- s.ServeTLS(ln, serverTLS(t)) }()
	t.Cleanup(func() { ln.Close(); <-done })
	return s, ln.Addr().String()
}

func dialTLS(t testing.TB, addr string, protocols ...string) *tls.Conn {
	c, err := tls.Dial("tcp", addr, &tls.Config{InsecureSkipVerify: true, ServerName: "a.test", NextProtos: protocols})
	if err != nil {
		t.Fatal(err)
	}
	c.SetDeadline(time.Now().Add(testnet.Patience))
	t.Cleanup(func() { c.Close() })
	return c
}

func TestOverTLSTheSameIsAcceptedAndRefused(t *testing.T) {
	addr := startTLS(t, Config{Handler: echo})
	for _, c := range accepted {
		conn := dialTLS(t, addr)
		io.WriteString(conn, c.in[:len(c.in)/2]) // two records
		io.WriteString(conn, c.in[len(c.in)/2:]+canary)
		got, err := answers(conn, 2, "GET")
		if err != nil || got[0] != c.want || !strings.HasPrefix(got[1], "200 GET /canary ") {
			t.Errorf("%s: got %q, %v", c.name, got, err)
		}
	}
	for _, c := range refusedRequests {
		conn := dialTLS(t, addr)
		io.WriteString(conn, c.in)
		got, err := answers(conn, 1, "GET")
		if err != nil || !strings.HasPrefix(got[0], strconv.Itoa(c.status)+" ") {
			t.Errorf("%s: got %q, %v, want %d", c.name, got, err, c.status)
		}
	}
}

func TestTheSchemeAndTheServerNameAreKnown(t *testing.T) {
	addr := startTLS(t, Config{Handler: func(x *exchange.Exchange) {
		x.Reply.WriteHead(&exchange.Head{Status: 200, Length: exchange.LengthUnknown})
		io.WriteString(x.Reply, x.Scheme+" "+x.ServerName)
		x.Reply.End(nil)
	}})
	conn := dialTLS(t, addr)
	io.WriteString(conn, canary)
	if got, err := answers(conn, 1, "GET"); err != nil || got[0] != "200 https a.test" {
		t.Errorf("got %q, %v", got, err)
	}
}

func TestABrokenAnswerOverTLSDoesNotLookWhole(t *testing.T) {
	addr := startTLS(t, Config{Handler: func(x *exchange.Exchange) {
		x.Reply.WriteHead(&exchange.Head{Status: 200, Length: exchange.LengthUnknown})
		io.WriteString(x.Reply, "half")
		x.Reply.Flush()
	}})
	conn := dialTLS(t, addr)
	io.WriteString(conn, "GET / HTTP/1.0\r\n\r\n") // an answer that the connection's end ends
	if got, err := io.ReadAll(conn); err == nil {
		t.Errorf("got %q with a clean end", got)
	}
}

func TestAHandshakeIsBoundedInTime(t *testing.T) {
	addr := startTLS(t, Config{Handler: echo, HandshakeTimeout: 50 * time.Millisecond})
	for _, send := range []string{"", "\x16", "GET / HTTP/1.1\r\n\r\n"} {
		c := testnet.Dial(t, addr)
		c.Send(send)
		if got, _ := c.ReadAll(); strings.Contains(got, "HTTP/1.1 200") {
			t.Errorf("got %q", got)
		}
	}
}

func TestHTTP2IsHandedOver(t *testing.T) {
	hello := string(preface) + "more"
	var c Config
	c.Handler = echo
	over := func(h Handover) {
		b := make([]byte, len(hello)-len(h.Read))
		io.ReadFull(h.Conn, b)
		io.WriteString(h.Conn, h.Scheme+" "+h.ServerName+" "+string(h.Read)+string(b))
		h.Conn.Close()
	}
	conn := dialTLS(t, startTLS(t, c, over), "h2")
	io.WriteString(conn, hello)
	if got, _ := io.ReadAll(conn); string(got) != "https a.test "+hello {
		t.Errorf("by TLS: got %q", got)
	}
	_, p := start(t, c, over)
	for at := 1; at < len(hello); at++ {
		conn := p.dial(t)
		sent := make(chan struct{})
		go func() {
			defer close(sent)
			io.WriteString(conn, hello[:at])
			io.WriteString(conn, hello[at:])
		}()
		if got, _ := io.ReadAll(conn); string(got) != "http  "+hello {
			t.Errorf("split at %d: got %q", at, got)
		}
		<-sent
	}
	for _, notQuite := range []string{"PRI * HTTP/2.0\r\n\r\nSM\r\n\rX" + canary, "PRI / HTTP/2.0\r\n\r\n"} {
		conn := p.dial(t)
		go io.WriteString(conn, notQuite)
		if got, err := answers(conn, 1, "GET"); err != nil || !strings.HasPrefix(got[0], "505 ") {
			t.Errorf("%q: got %q, %v", notQuite, got, err)
		}
	}
}
