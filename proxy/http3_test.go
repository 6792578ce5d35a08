// SPDX-License-Identifier: Apache-2.0

package proxy

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/quic-go/quic-go"
	xhttp3 "github.com/quic-go/quic-go/http3"

	"meridian/internal/testnet"
)

func withHTTP3(c *Config) { c.HTTP3 = true }

// h3 is quic-go's client.
func h3(t testing.TB) *http.Client {
	tr := &xhttp3.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true, ServerName: "a.test"}, QUICConfig: &quic.Config{}, DisableCompression: true}
	t.Cleanup(func() { tr.Close() })
	return &http.Client{Transport: tr, Timeout: testnet.Patience}
}

func (e *edge) h3(c *http.Client, method, host, path string, body io.Reader) (*http.Response, string, error) {
	req, err := http.NewRequest(method, "https://"+e.secureAddr()+path, body)
	if err != nil {
		e.t.Fatal(err)
	}
	req.Host = host
	req.Header.Set("Cookie", "a=1; b=2")
	resp, err := c.Do(req)
	if err != nil {
		return nil, "", err
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	return resp, string(b), err
}

func TestHTTP3IsProxiedAndAnnounced(t *testing.T) {
	e := newEdge(t, withTLS(t, "a.test", "b.test"), withHTTP3)
	e.httpNode("n1", "web", func(w http.ResponseWriter, r *http.Request) {
		b, _ := io.ReadAll(r.Body)
		w.Header().Set("X-Proto", r.Header.Get("X-Forwarded-Proto"))
		io.WriteString(w, r.Method+" "+r.URL.String()+" "+r.Host+" "+r.Header.Get("Cookie")+" "+r.Header.Get("Transfer-Encoding")+string(b))
		if len(r.TransferEncoding) > 0 && r.Method == "GET" {
			t.Error("a GET got a body")
		}
	})
	c := h3(t)
	resp, body, err := e.h3(c, "GET", "a.test", "/x?y", nil)
	if err != nil || resp.ProtoMajor != 3 || body != "GET /x?y a.test a=1; b=2 " || resp.Header.Get("X-Proto") != "https" {
		t.Fatalf("got %v %q, %v", resp, body, err)
	}
	big := strings.Repeat("0123456789", 300_000)
	if _, body, err = e.h3(c, "POST", "a.test", "/", strings.NewReader(big)); err != nil || !strings.HasSuffix(body, big) {
		t.Errorf("a large body: %d bytes, %v", len(body), err)
	}
	if _, body, err = e.h3(c, "POST", "a.test", "/", io.MultiReader(strings.NewReader("hel"), strings.NewReader("lo"))); err != nil || !strings.HasSuffix(body, "hello") {
		t.Errorf("a body without length: %q, %v", body, err)
	}
	if resp, _, err := e.h3(c, "HEAD", "a.test", "/", nil); err != nil || resp.ContentLength < 10 {
		t.Errorf("HEAD: %v, %v", resp, err)
	}
	if resp, _, err := e.h3(c, "GET", "b.test", "/", nil); err != nil || resp.StatusCode != 421 {
		t.Errorf("another certificate's host: %v, %v", resp, err)
	}
	for _, http2 := range []bool{false, true} {
		resp, _ := e.askTLS("a.test", "a.test", "/", http2)
		if got, port := resp.Header.Get("Alt-Svc"), e.secureAddr()[strings.LastIndexByte(e.secureAddr(), ':'):]; got != `h3="`+port+`"; ma=86400` {
			t.Errorf("Alt-Svc is %q on port %s", got, port)
		}
	}
	if _, _, h := e.ask("GET", "/", ""); h.Get("Alt-Svc") != "" {
		t.Error("an answer without TLS announces HTTP/3")
	}
}

func TestOverHTTP3TheSameIsRefused(t *testing.T) {
	t.Parallel()
	e := newEdge(t, withTLS(t, "a.test"), withHTTP3)
	e.httpNode("n1", "web", func(w http.ResponseWriter, r *http.Request) { t.Errorf("the node got %s %s", r.Method, r.URL) })
	c := h3(t)
	many := http.Header{}
	for range 101 {
		many.Add("X", "y")
	}
	for _, k := range []struct {
		method, path, host string
		header             http.Header
		want               int
	}{
		{"TRACE", "/", "a.test", nil, 501}, {"FOO", "/", "a.test", nil, 501}, {"GET", "/a/%2e%2e/admin", "a.test", nil, 400}, {"GET", "/a%2fb", "a.test", nil, 400},
		{"GET", "/" + strings.Repeat("y", 8<<10), "a.test", nil, 414}, {"GET", "/", "a.test", many, 431}, {"GET", "/", "a.test:0", nil, 400},
		{"POST", "/", "a.test", http.Header{"Expect": {"x"}}, 417}, {"GET", "/", "a.test", http.Header{"Te": {"gzip"}}, 0}, // quic-go resets the stream
	} {
		req, err := http.NewRequest(k.method, "https://"+e.secureAddr()+k.path, nil)
		if err != nil {
			t.Fatal(err)
		}
		req.Host = k.host
		if k.header != nil {
			req.Header = k.header
		}
		resp, err := c.Do(req)
		if err != nil {
			if k.want != 0 {
				t.Errorf("%s %.30s: %v", k.method, k.path, err)
			}
			continue
		}
		io.Copy(io.Discard, resp.Body)
		resp.Body.Close()
		if resp.StatusCode != k.want {
			t.Errorf("%s %.30s: got %d, want %d", k.method, k.path, resp.StatusCode, k.want)
		}
	}
}

func TestABrokenAnswerIsBrokenOnHTTP3(t *testing.T) {
	t.Parallel()
	e := newEdge(t, withTLS(t, "a.test"), withHTTP3)
	e.rawNode("n1", "web", func(c *testnet.Conn) {
		c.ReadUntil("\r\n\r\n")
		c.Send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\n")
	})
	if _, body, err := e.h3(h3(t), "GET", "a.test", "/", nil); err == nil {
		t.Errorf("got %q as whole", body)
	}
}

func TestOverHTTP3EventsComeAtOnceAndTheClientsLeavingIsTold(t *testing.T) {
	e := newEdge(t, withTLS(t, "a.test"), withHTTP3)
	gone := make(chan struct{})
	e.httpNode("n1", "web", func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/event-stream")
		io.WriteString(w, "data: 1\n\n")
		w.(http.Flusher).Flush()
		<-r.Context().Done()
		close(gone)
	})
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	req, _ := http.NewRequestWithContext(ctx, "GET", "https://"+e.secureAddr()+"/", nil)
	req.Host = "a.test"
	resp, err := h3(t).Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	b := make([]byte, 100)
	if n, err := io.ReadAtLeast(resp.Body, b, 9); string(b[:n]) != "data: 1\n\n" {
		t.Errorf("got %q, %v", b[:n], err)
	}
	cancel()
	select {
	case <-gone:
	case <-time.After(testnet.Patience):
		t.Error("the node was not told that the client left")
	}
}

func TestAtShutdownHTTP3RequestsUnderWayAreAnswered(t *testing.T) {
	e := newEdge(t, withTLS(t, "a.test"), withHTTP3)
	started, finish := make(chan struct{}), make(chan struct{})
	e.httpNode("n1", "web", func(w http.ResponseWriter, r *http.Request) {
		close(started)
		<-finish
		io.WriteString(w, "done")
	})
	answer := make(chan string, 1)
	c := h3(t)
	go func() {
		_, body, err := e.h3(c, "GET", "a.test", "/", nil)
		answer <- body
		if err != nil {
			t.Error(err)
		}
	}()
	<-started
	ended := make(chan error, 1)
	go func() { ended <- e.stop() }()
	testnet.Wait(t, "the stop", func() bool { return e.s.stopping.Load() })
	close(finish)
	if got := <-answer; got != "done" {
		t.Errorf("got %q", got)
	}
	if err := <-ended; !errors.Is(err, context.Canceled) {
		t.Errorf("Run returned %v", err)
	}
}

// TestAtShutdownAnHTTP3ClientHasTimeToReadItsAnswer: the end of a QUIC connection takes from a client what it has not read.
func TestAtShutdownAnHTTP3ClientHasTimeToReadItsAnswer(t *testing.T) {
	t.Parallel()
	e := newEdge(t, withTLS(t, "a.test"), withHTTP3, func(c *Config) { c.Deadline = testnet.Patience })
	e.httpNode("n1", "web", func(w http.ResponseWriter, r *http.Request) { io.WriteString(w, "done") })
	req, _ := http.NewRequest("GET", "https://"+e.secureAddr()+"/", nil)
	req.Host = "a.test"
	resp, err := h3(t).Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	ended := make(chan error, 1)
	go func() { ended <- e.stop() }()
	testnet.Wait(t, "the stop", func() bool { return e.s.stopping.Load() })
	select {
	case err := <-ended:
		t.Errorf("the edge has ended before the client has read, with %v", err)
		ended <- err
	case <-time.After(1500 * time.Millisecond): // the client is busy
	}
	if got, err := io.ReadAll(resp.Body); string(got) != "done" || err != nil {
		t.Errorf("got %q, %v", got, err)
	}
	if err := <-ended; !errors.Is(err, context.Canceled) {
		t.Errorf("Run returned %v", err)
	}
}

// TestHTTP3ComesAndGoesWithItsListener is a reload that moves TLS to another port.
func TestHTTP3ComesAndGoesWithItsListener(t *testing.T) {
	e := newEdge(t, withTLS(t, "a.test"), withHTTP3)
	e.httpNode("n1", "web", func(w http.ResponseWriter, r *http.Request) { io.WriteString(w, r.Header.Get("Via")) })
	if _, body, err := e.h3(h3(t), "GET", "a.test", "/", nil); err != nil || body != "3.0 meridian" {
		t.Fatalf("before: %q, %v", body, err)
	}
	old := e.secureAddr()
	if err := e.change(func(c *Config) { c.ListenTLS = []string{testnet.Unused(t)} }); err != nil {
		t.Fatal(err)
	}
	if got := e.s.front.http3Stats(); got.Requests != 1 || got.Open != 1 {
		t.Errorf("while the old listener is drained its counts are %+v", got)
	}
	if _, body, err := e.h3(h3(t), "GET", "a.test", "/", nil); err != nil || body != "3.0 meridian" {
		t.Errorf("on the new listener: %q, %v", body, err)
	}
	testnet.Wait(t, "the old socket to be closed", func() bool {
		pc, err := net.ListenPacket("udp", old)
		if err == nil {
			pc.Close()
		}
		return err == nil
	})
}
