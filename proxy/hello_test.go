// SPDX-License-Identifier: Apache-2.0

package proxy

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/quic-go/quic-go"
	xhttp3 "github.com/quic-go/quic-go/http3"

	"meridian/internal/testnet"
)

// rewriter sends something else than was written.
type rewriter struct {
	net.Conn
	rewrite func([]byte) [][]byte // what to send instead, each in a write of its own
}

func (r *rewriter) Write(b []byte) (int, error) {
	for _, piece := range r.rewrite(b) {
		if _, err := r.Conn.Write(piece); err != nil {
			return 0, err
		}
	}
	return len(b), nil
}

// byteByByte sends each byte in a segment of its own.
func byteByByte(b []byte) (out [][]byte) {
	for i := range b {
		out = append(out, b[i:i+1])
	}
	return out
}

// recordByByte makes of a handshake record, which the client writes whole, records of one byte.
func recordByByte(b []byte) [][]byte {
	const handshake = 22
	if b[0] != handshake {
		return [][]byte{b}
	}
	n := int(b[3])<<8 | int(b[4])
	var out bytes.Buffer
	for _, c := range b[5 : 5+n] {
		out.Write([]byte{handshake, b[1], b[2], 0, 1, c})
	}
	out.Write(b[5+n:])
	return [][]byte{out.Bytes()}
}

// overTLS makes a handshake on c and asks for the host's root.
func overTLS(c net.Conn, conf *tls.Config, host string) (int, error) {
	conf.InsecureSkipVerify = true
	tc := tls.Client(c, conf)
	if err := tc.Handshake(); err != nil {
		return 0, err
	}
	io.WriteString(tc, "GET / HTTP/1.1\r\nHost: "+host+"\r\nConnection: close\r\n\r\n")
	resp, err := http.ReadResponse(bufio.NewReader(tc), nil)
	if err != nil {
		return 0, err
	}
	resp.Body.Close()
	return resp.StatusCode, nil
}

func TestAClientHelloInPiecesIsPutTogether(t *testing.T) {
	e := newEdge(t, withTLS(t, "a.test"))
	e.httpNode("n1", "web", func(w http.ResponseWriter, r *http.Request) {})
	for name, rewrite := range map[string]func([]byte) [][]byte{"segments of a byte": byteByByte, "records of a byte": recordByByte} {
		c := &rewriter{testnet.Dial(t, e.secureAddr()).Conn, rewrite}
		if got, err := overTLS(c, &tls.Config{ServerName: "a.test"}, "a.test"); err != nil || got != 200 {
			t.Errorf("%s: got %d, %v", name, got, err)
		}
	}
}

func TestAClientHelloWithoutEndIsNotWaitedFor(t *testing.T) {
	e := newEdge(t, withTLS(t, "a.test"), func(c *Config) { c.HandshakeTimeout = time.Hour })
	c := testnet.Dial(t, e.secureAddr())
	record := append([]byte{22, 3, 1, 0x40, 0}, bytes.Repeat([]byte{'x'}, 0x4000)...)
	copy(record[5:], []byte{1, 0xff, 0xff, 0xff}) // a ClientHello of 16 MiB
	done := make(chan struct{})
	go func() {
		defer close(done)
		for c.Send(string(record)) == nil {
			copy(record[5:], "xxxx")
		}
	}()
	c.ReadAll() // ends
	<-done
	testnet.Wait(t, "the connection to be forgotten", func() bool { return e.connections() == 0 })
}

// TestAServerNameThatIsNoneEndsTheHandshake holds for TCP and QUIC.
func TestAServerNameThatIsNoneEndsTheHandshake(t *testing.T) {
	e := newEdge(t, withTLS(t, "a.test"), withHTTP3)
	e.httpNode("n1", "web", func(w http.ResponseWriter, r *http.Request) {})
	label := strings.Repeat("x", 50) + "."
	for _, k := range []struct {
		name string
		ok   bool
	}{
		{"A.TesT", true}, {"", true}, {"unknown_host.test", true}, {strings.Repeat(label, 4) + strings.Repeat("x", 49), true},
		{strings.Repeat(label, 4) + strings.Repeat("x", 50), false}, {strings.Repeat("x", 64) + ".test", false}, {"a.test\x00.evil", false},
		{"a.test\x00", false}, {"a..test", false}, {".a.test", false}, {"a.t\u00e9st", false}, {"a.test:443", false}, {"a.test/", false}, {"a test", false},
	} {
		got, err := overTLS(testnet.Dial(t, e.secureAddr()).Conn, &tls.Config{ServerName: k.name}, "a.test")
		if (err == nil) != k.ok || k.ok && got != 200 {
			t.Errorf("%q: got %d, %v", k.name, got, err)
		}
		if k.name == "" {
			continue // quic-go's client must name one
		}
		ctx, cancel := context.WithTimeout(t.Context(), testnet.Patience)
		q, err := quic.DialAddr(ctx, e.secureAddr(), &tls.Config{ServerName: k.name, InsecureSkipVerify: true, NextProtos: []string{"h3"}}, nil)
		if cancel(); (err == nil) != k.ok {
			t.Errorf("over QUIC, %q: %v", k.name, err)
		}
		if err == nil {
			q.CloseWithError(0, "")
		}
	}
	// Go's client does not send a trailing dot. The handshake ends before the two sides could disagree on what was said.
	dot := &rewriter{testnet.Dial(t, e.secureAddr()).Conn, func(b []byte) [][]byte {
		return [][]byte{bytes.Replace(b, []byte("a.testX"), []byte("a.test."), 1)}
	}}
	if got, err := overTLS(dot, &tls.Config{ServerName: "a.testX"}, "a.test"); err == nil || !strings.Contains(err.Error(), "decod") {
		t.Errorf("with a trailing dot: got %d, %v", got, err)
	}
}

// oneTicket is a cache that knows one session for all names.
type oneTicket struct {
	tls.ClientSessionCache
	used int
}

func (o *oneTicket) Get(string) (*tls.ClientSessionState, bool) {
	s, ok := o.ClientSessionCache.Get("")
	if ok {
		o.used++
	}
	return s, ok
}

func (o *oneTicket) Put(_ string, s *tls.ClientSessionState) { o.ClientSessionCache.Put("", s) }

// TestATicketOfOneHostIsNoWayToAnother resumes a session of a.test under b.test's name: only b.test can be reached with it.
func TestATicketOfOneHostIsNoWayToAnother(t *testing.T) {
	e := newEdge(t, withTLS(t, "a.test", "b.test"), withHTTP3)
	e.httpNode("n1", "web", func(w http.ResponseWriter, r *http.Request) { io.WriteString(w, r.Host) })
	for _, protocol := range []string{"http/1.1", "h2", "h3"} {
		t.Run(protocol, func(t *testing.T) {
			cache := &oneTicket{ClientSessionCache: tls.NewLRUClientSessionCache(4)}
			ask := func(sni, host string) int {
				t.Helper()
				conf := &tls.Config{ServerName: sni, InsecureSkipVerify: true, ClientSessionCache: cache}
				p := new(http.Protocols)
				p.SetHTTP1(protocol == "http/1.1")
				p.SetHTTP2(protocol == "h2")
				var tr http.RoundTripper
				if protocol == "h3" {
					h3 := &xhttp3.Transport{TLSClientConfig: conf, QUICConfig: &quic.Config{}}
					defer h3.Close()
					tr = h3
				} else {
					h := &http.Transport{TLSClientConfig: conf, Protocols: p}
					defer h.CloseIdleConnections()
					tr = h
				}
				req, _ := http.NewRequest("GET", "https://"+e.secureAddr()+"/", nil)
				req.Host = host
				resp, err := (&http.Client{Transport: tr, Timeout: testnet.Patience}).Do(req)
				if err != nil {
					t.Fatal(err)
				}
				defer resp.Body.Close()
				if b, _ := io.ReadAll(resp.Body); resp.StatusCode == 200 && string(b) != host {
					t.Errorf("%s got the answer for %s", host, b)
				}
				return resp.StatusCode
			}
			if got := ask("a.test", "a.test"); got != 200 {
				t.Fatalf("got %d", got)
			}
			if got := ask("b.test", "a.test"); got != 421 {
				t.Errorf("the ticket's host under another name: got %d", got)
			}
			if got := ask("b.test", "b.test"); got != 200 {
				t.Errorf("the name's host: got %d", got)
			}
			if cache.used == 0 {
				t.Error("no ticket was used")
			}
		})
	}
}

func TestRenegotiationIsRefused(t *testing.T) {
	openssl, err := exec.LookPath("openssl")
	if err != nil {
		if os.Getenv("CI") != "" {
			t.Fatal("openssl is missing; install it: Debian's package openssl")
		}
		t.Skip("SKIPPED FOR LACK OF A TOOL: openssl")
	}
	e := newEdge(t, withTLS(t, "a.test"))
	e.httpNode("n1", "web", func(w http.ResponseWriter, r *http.Request) { t.Errorf("the node got %s", r.URL) })
	ctx, cancel := context.WithTimeout(t.Context(), testnet.Patience)
	defer cancel()
	cmd := exec.CommandContext(ctx, openssl, "s_client", "-tls1_2", "-servername", "a.test", "-connect", e.secureAddr())
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	go func() { // it ends by itself when the edge closes
		<-ctx.Done()
		in.Close()
	}()
	io.WriteString(in, "R\nGET /after HTTP/1.1\nHost: a.test\n\n")
	out, err := cmd.CombinedOutput()
	if err == nil || !strings.Contains(string(out), "RENEGOTIATING") || strings.Contains(string(out), "HTTP/1.1 ") || ctx.Err() != nil {
		t.Errorf("%v, %v\n%s", err, ctx.Err(), fmt.Sprintf("%.2000s", out))
	}
}
