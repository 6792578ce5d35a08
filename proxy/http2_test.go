// SPDX-License-Identifier: Apache-2.0

package proxy

import (
	"context"
	"errors"
	"io"
	"net/http"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"meridian/internal/testnet"
)

// h2c is a client that speaks HTTP/2 with prior knowledge.
func h2c(t testing.TB) *http.Client {
	p := new(http.Protocols)
	p.SetUnencryptedHTTP2(true)
	tr := &http.Transport{Protocols: p, DisableCompression: true}
	t.Cleanup(tr.CloseIdleConnections)
	return &http.Client{Transport: tr, Timeout: testnet.Patience}
}

func TestHTTP2IsProxiedInTheClearAndOverTLS(t *testing.T) {
	e := newEdge(t, withTLS(t, "a.test", "b.test"))
	e.httpNode("n1", "web", func(w http.ResponseWriter, r *http.Request) {
		b, _ := io.ReadAll(r.Body)
		w.Header().Set("X-Proto", r.Header.Get("X-Forwarded-Proto"))
		io.WriteString(w, r.Proto+" "+r.Host+" "+r.Header.Get("Cookie")+" "+string(b))
	})
	req, _ := http.NewRequest("POST", "http://"+e.addr+"/", strings.NewReader("hello"))
	req.Host = "c.test"
	req.Header.Set("Cookie", "a=1; b=2")
	resp, err := h2c(t).Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if b, _ := io.ReadAll(resp.Body); resp.ProtoMajor != 2 || string(b) != "HTTP/1.1 c.test a=1; b=2 hello" || resp.Header.Get("X-Proto") != "http" {
		t.Errorf("in the clear: got %s %q, X-Proto %q", resp.Proto, b, resp.Header.Get("X-Proto"))
	}
	if resp, body := e.askTLS("a.test", "a.test", "/", true); resp.ProtoMajor != 2 || body != "HTTP/1.1 a.test  " || resp.Header.Get("X-Proto") != "https" {
		t.Errorf("over TLS: got %s %q", resp.Proto, body)
	}
	if resp, _ := e.askTLS("a.test", "b.test", "/", true); resp.StatusCode != 421 {
		t.Errorf("for another certificate's host: got %d", resp.StatusCode)
	}
}

func TestCurlSpeaksEveryProtocol(t *testing.T) {
	if _, err := exec.LookPath("curl"); err != nil {
		if os.Getenv("CI") != "" {
			t.Fatal("curl is missing; install it: Debian's package curl")
		}
		t.Skip("SKIPPED FOR LACK OF A TOOL: curl")
	}
	e := newEdge(t, withTLS(t, "a.test"))
	e.httpNode("n1", "web", func(w http.ResponseWriter, r *http.Request) { io.Copy(w, r.Body) })
	for _, c := range []struct {
		args []string
		url  string
		want string
	}{
		{[]string{"--http1.1"}, "http://" + e.addr, "1.1"}, {[]string{"--http2-prior-knowledge"}, "http://" + e.addr, "2"},
		{[]string{"--http2"}, "http://" + e.addr, "1.1"}, // it asks for an upgrade, which is not made
		{[]string{"--http2", "-k"}, "https://" + e.secureAddr(), "2"}, {[]string{"--http1.1", "-k"}, "https://" + e.secureAddr(), "1.1"},
	} {
		ctx, cancel := context.WithTimeout(t.Context(), testnet.Patience)
		cmd := exec.CommandContext(ctx, "curl", append(c.args, "-s", "-w", "|%{http_version}", "--data-binary", "@-", c.url)...)
		body := strings.Repeat("0123456789", 200_000)
		cmd.Stdin = strings.NewReader(body)
		out, err := cmd.Output()
		cancel()
		if err != nil || string(out) != body+"|"+c.want {
			t.Errorf("curl %v %s: %v, %d bytes, …%q", c.args, c.url, err, len(out), out[max(0, len(out)-10):])
		}
	}
}

func TestAnEventReachesAnHTTP2ClientAtOnceAndItsLeavingTheNode(t *testing.T) {
	e := newEdge(t)
	next, gone := make(chan string), make(chan struct{})
	e.httpNode("n1", "web", func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/event-stream")
		for range 2 {
			io.WriteString(w, <-next)
			w.(http.Flusher).Flush()
		}
		<-r.Context().Done()
		close(gone)
	})
	ctx, cancel := context.WithCancel(context.Background())
	req, _ := http.NewRequestWithContext(ctx, "GET", "http://"+e.addr+"/", nil)
	go func() { next <- "data: 1\n\n" }()
	resp, err := h2c(t).Do(req)
	if err != nil {
		t.Fatal(err)
	}
	b := make([]byte, 100)
	if n, err := resp.Body.Read(b); string(b[:n]) != "data: 1\n\n" || err != nil {
		t.Errorf("got %q, %v", b[:n], err)
	}
	next <- "data: 2\n\n"
	if n, err := resp.Body.Read(b); string(b[:n]) != "data: 2\n\n" || err != nil {
		t.Errorf("got %q, %v", b[:n], err)
	}
	cancel()
	select {
	case <-gone:
	case <-time.After(testnet.Patience):
		t.Error("the node was not told that the client left")
	}
}

func TestANodesBrokenAnswerIsBrokenOnHTTP2(t *testing.T) {
	e := newEdge(t)
	e.rawNode("n1", "web", func(c *testnet.Conn) {
		c.ReadUntil("\r\n\r\n")
		c.Send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\n")
	})
	resp, err := h2c(t).Get("http://" + e.addr + "/")
	if err == nil {
		defer resp.Body.Close()
		_, err = io.ReadAll(resp.Body)
	}
	if err == nil || !strings.Contains(err.Error(), "INTERNAL_ERROR") {
		t.Errorf("got %v", err)
	}
}

func TestAtShutdownHTTP2RequestsUnderWayAreAnswered(t *testing.T) {
	e := newEdge(t)
	started, finish := make(chan struct{}), make(chan struct{})
	e.httpNode("n1", "web", func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/slow" {
			close(started)
			<-finish
		}
		io.WriteString(w, "done")
	})
	c := h2c(t)
	answer := make(chan string, 1)
	go func() {
		resp, err := c.Get("http://" + e.addr + "/slow")
		if err != nil {
			answer <- err.Error()
			return
		}
		defer resp.Body.Close()
		b, err := io.ReadAll(resp.Body)
		answer <- string(b) + map[bool]string{true: "", false: " broken"}[err == nil]
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

func TestHTTP2ConnectionsCountAndAreCutAtTheDeadline(t *testing.T) {
	e := newEdge(t, func(c *Config) { c.Deadline = 50 * time.Millisecond; c.MaxConnectionsPerAddress = 1 })
	started := make(chan struct{})
	e.rawNode("n1", "web", func(c *testnet.Conn) { c.ReadUntil("\r\n\r\n"); close(started); c.ReadAll() })
	answer := make(chan error, 1)
	go func() {
		resp, err := h2c(t).Get("http://" + e.addr + "/")
		if err == nil {
			resp.Body.Close()
		}
		answer <- err
	}()
	<-started
	if got, _ := testnet.Dial(t, e.addr).ReadAll(); !strings.HasPrefix(got, "HTTP/1.1 503 ") {
		t.Errorf("a second connection got %q", got)
	}
	if err := e.stop(); !errors.Is(err, context.Canceled) {
		t.Errorf("Run returned %v", err)
	}
	if err := <-answer; err == nil {
		t.Error("a request that was cut got an answer")
	}
}
