// SPDX-License-Identifier: Apache-2.0

package proxy

import (
	"bufio"
	"crypto/sha256"
	"fmt"
	"io"
	"net/http"
	"runtime"
	"strings"
	"testing"

	"meridian/internal/testnet"
)

func TestARequestAndItsAnswerPassWhole(t *testing.T) {
	e := newEdge(t)
	e.httpNode("n1", "web", func(w http.ResponseWriter, r *http.Request) {
		b, _ := io.ReadAll(r.Body)
		w.Header().Set("X-Seen", r.Method+" "+r.RequestURI+" "+r.Host+" "+r.Header.Get("X-Forwarded-For"))
		w.Write(append([]byte("got "), b...))
	})
	status, body, header := e.ask("POST", "/a/b%20c?d=e&f", "hello")
	if status != 200 || body != "got hello" {
		t.Errorf("got %d %q", status, body)
	}
	if got, want := header.Get("X-Seen"), "POST /a/b%20c?d=e&f "+e.addr+" 127.0.0.1"; got != want {
		t.Errorf("the node saw %q, want %q", got, want)
	}
	e.wantObserved("n1 success")
}

// TestEachEventArrivesBeforeTheNextIsSent: the node sends an event only after the client has told that it saw the last.
func TestEachEventArrivesBeforeTheNextIsSent(t *testing.T) {
	seen := make(chan bool)
	for name, head := range map[string]string{
		"chunked":     "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n",
		"until close": "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n",
	} {
		t.Run(name, func(t *testing.T) {
			e := newEdge(t)
			e.rawNode("n1", "web", func(c *testnet.Conn) {
				c.ReadUntil("\r\n\r\n")
				c.Send(head)
				for i := range 5 {
					if !<-seen {
						return
					}
					event := fmt.Sprintf("data: %d\n\n", i)
					if name == "chunked" {
						event = fmt.Sprintf("%x\r\n%s\r\n", len(event), event)
					}
					c.Send(event)
				}
				if name == "chunked" {
					c.Send("0\r\n\r\n")
				}
			})
			resp, err := client(t).Get("http://" + e.addr + "/events")
			if err != nil {
				close(seen)
				t.Fatal(err)
			}
			defer resp.Body.Close()
			if load := e.table.Load("n1"); load.Streams != 1 || load.InFlight != 0 {
				t.Errorf("while it streams the node has %+v, want one stream", load)
			}
			b := bufio.NewReader(resp.Body)
			for i := range 5 {
				seen <- true // what came before has been seen
				if got, err := b.ReadString('\n'); err != nil || got != fmt.Sprintf("data: %d\n", i) {
					t.Fatalf("event %d: got %q, %v", i, got, err)
				}
				b.ReadString('\n')
			}
			if rest, err := io.ReadAll(b); len(rest) > 0 || err != nil {
				t.Errorf("after the last event: %q, %v", rest, err)
			}
		})
	}
}

func TestLargeBodiesPassBothWaysInBoundedMemory(t *testing.T) {
	const size = 64 << 20
	e := newEdge(t)
	e.httpNode("n1", "web", func(w http.ResponseWriter, r *http.Request) {
		h := sha256.New()
		n, err := io.Copy(h, r.Body)
		if err != nil || n != size {
			t.Errorf("the node got %d bytes, %v", n, err)
		}
		w.Header().Set("X-Sum", fmt.Sprintf("%x", h.Sum(nil)))
		io.Copy(w, io.LimitReader(new(pattern), size))
	})
	want := sha256.New()
	io.Copy(want, io.LimitReader(new(pattern), size))
	sum := fmt.Sprintf("%x", want.Sum(nil))

	for name, length := range map[string]int64{"with a length": size, "chunked": -1} {
		t.Run(name, func(t *testing.T) {
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			req, err := http.NewRequest("PUT", "http://"+e.addr+"/", io.LimitReader(new(pattern), size))
			if err != nil {
				t.Fatal(err)
			}
			req.ContentLength = length
			c := client(t)
			c.Timeout = 5 * testnet.Patience // on a machine that is busy
			resp, err := c.Do(req)
			if err != nil {
				t.Fatal(err)
			}
			defer resp.Body.Close()
			h := sha256.New()
			n, err := io.Copy(h, resp.Body)
			if got := fmt.Sprintf("%x", h.Sum(nil)); err != nil || n != size || got != sum || resp.Header.Get("X-Sum") != sum {
				t.Errorf("down %d bytes %s, %v; up %s; want %s", n, got, err, resp.Header.Get("X-Sum"), sum)
			}
			runtime.ReadMemStats(&after)
			// Of client, edge and node together. The race detector has pools forget a part of what is given back.
			if grown := after.TotalAlloc - before.TotalAlloc; grown > 8<<20 && !raceEnabled {
				t.Errorf("%d MiB were allocated for 2 x 64 MiB", grown>>20)
			}
		})
	}
}

// pattern is an endless reader of bytes that repeat with a prime period.
type pattern int

func (p *pattern) Read(b []byte) (int, error) {
	for i := range b {
		b[i] = byte(*p)
		*p = (*p + 1) % 251
	}
	return len(b), nil
}

func TestRequestAndAnswerFlowAtTheSameTime(t *testing.T) {
	e := newEdge(t)
	e.rawNode("n1", "web", func(c *testnet.Conn) {
		c.ReadUntil("\r\n\r\n")
		c.Send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
		for {
			line := c.ReadUntil("\n") // chunk by chunk: "3\r\n" "ab\n" "\r\n"
			if line == "0\r\n" || line == "" {
				c.Send("0\r\n\r\n")
				return
			}
			data := c.ReadUntil("\n")
			c.ReadUntil("\r\n")
			c.Send(fmt.Sprintf("%x\r\n%s\r\n", len(data), data))
		}
	})
	c := testnet.Dial(t, e.addr)
	c.Send("POST / HTTP/1.1\r\nHost: a.test\r\nTransfer-Encoding: chunked\r\n\r\n")
	if head := c.ReadUntil("\r\n\r\n"); !strings.HasPrefix(head, "HTTP/1.1 200 OK\r\n") {
		t.Fatalf("got %q", head)
	}
	for i := range 5 {
		data := fmt.Sprintf("part %d\n", i)
		c.Send(fmt.Sprintf("%x\r\n%s\r\n", len(data), data))
		if got, want := c.ReadUntil("\n\r\n"), fmt.Sprintf("%x\r\n%s\r\n", len(data), data); got != want {
			t.Fatalf("got %q, want %q", got, want)
		}
	}
	c.Send("0\r\n\r\n")
	if rest, clean := c.ReadAll(); rest != "0\r\n\r\n" || !clean {
		t.Errorf("the answer ended with %q, clean: %v", rest, clean)
	}
}

func TestAnAnswerBeforeTheRequestsEndEndsTheConnections(t *testing.T) {
	e := newEdge(t)
	n := e.rawNode("n1", "web", func(c *testnet.Conn) {
		c.ReadUntil("\r\n\r\n")
		c.Send("HTTP/1.1 302 Found\r\nLocation: /x\r\nContent-Length: 0\r\n\r\n")
		c.ReadAll()
	})
	c := testnet.Dial(t, e.addr)
	c.Send("POST /redirect HTTP/1.1\r\nHost: a.test\r\nContent-Length: 36\r\n\r\n")
	head := c.ReadUntil("\r\n\r\n")
	if !strings.HasPrefix(head, "HTTP/1.1 302 ") || !strings.Contains(head, "Connection: close\r\n") {
		t.Fatalf("got %q", head)
	}
	c.Send("GET /smug HTTP/1.1\r\nHost: a.test\r\n\r\n") // 36 bytes: never a request of its own
	if rest, _ := c.ReadAll(); rest != "" {
		t.Errorf("a second answer: %q", rest)
	}
	if got := n.Accepted(); got != 1 {
		t.Errorf("the node has had %d connections", got)
	}
}

func TestAnswersWithoutBodyPassAsWhatTheyAre(t *testing.T) {
	e := newEdge(t)
	e.rawNode("n1", "web", func(c *testnet.Conn) {
		for {
			head := c.ReadUntil("\r\n\r\n")
			switch {
			case strings.HasPrefix(head, "HEAD "):
				c.Send("HTTP/1.1 200 OK\r\nContent-Length: 1234\r\n\r\n")
			case strings.HasPrefix(head, "GET /204 "):
				c.Send("HTTP/1.1 204 No Content\r\nX: y\r\n\r\n")
			case strings.HasPrefix(head, "GET /304 "):
				c.Send("HTTP/1.1 304 Not Modified\r\nETag: \"x\"\r\nContent-Length: 99\r\n\r\n")
			case head == "":
				return
			default:
				c.Send("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
			}
		}
	})
	c := testnet.Dial(t, e.addr)
	for _, step := range []struct{ request, want string }{
		{"HEAD / HTTP/1.1", "HTTP/1.1 200 OK\r\nContent-Length: 1234\r\n\r\n"},
		{"GET /204 HTTP/1.1", "HTTP/1.1 204 No Content\r\nX: y\r\n\r\n"},
		{"GET /304 HTTP/1.1", "HTTP/1.1 304 Not Modified\r\nETag: \"x\"\r\nContent-Length: 99\r\n\r\n"},
	} {
		c.Send(step.request + "\r\nHost: a.test\r\n\r\n")
		if got := c.ReadUntil("\r\n\r\n"); got != step.want {
			t.Errorf("%s: got %q, want %q", step.request, got, step.want)
		}
	}
	c.Send("GET /last HTTP/1.1\r\nHost: a.test\r\nConnection: close\r\n\r\n")
	if got, _ := c.ReadAll(); got != "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok" {
		t.Errorf("got %q", got)
	}
}

func TestPipelinedRequestsAreAnsweredInOrder(t *testing.T) {
	e := newEdge(t)
	e.httpNode("n1", "web", func(w http.ResponseWriter, r *http.Request) { io.WriteString(w, r.URL.Path) })
	const two = "GET /1 HTTP/1.1\r\nHost: a.test\r\n\r\nGET /2 HTTP/1.1\r\nHost: a.test\r\nConnection: close\r\n\r\n"
	for at := 0; at < len(two); at += 7 {
		c := testnet.Dial(t, e.addr)
		c.Send(two[:at])
		c.Send(two[at:])
		got, clean := c.ReadAll()
		i, j := strings.Index(got, "\r\n\r\n/1HTTP/1.1 200 OK"), strings.Index(got, "\r\n\r\n/2")
		if i < 0 || j < i || !clean {
			t.Fatalf("split at %d: got %q", at, got)
		}
	}
}

func TestHTTP10ClientsGetWhatTheyUnderstand(t *testing.T) {
	e := newEdge(t)
	e.httpNode("n1", "web", func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/stream" {
			w.(http.Flusher).Flush() // no length
		}
		io.WriteString(w, "hello")
	})
	c := testnet.Dial(t, e.addr)
	c.Send("GET /stream HTTP/1.0\r\nConnection: keep-alive\r\n\r\n")
	got, clean := c.ReadAll()
	if !strings.HasSuffix(got, "\r\n\r\nhello") || strings.Contains(got, "chunked") || !clean {
		t.Errorf("without a length: got %q", got)
	}
	c = testnet.Dial(t, e.addr)
	for range 2 {
		c.Send("GET / HTTP/1.0\r\nHost: a.test\r\nConnection: keep-alive\r\n\r\n")
		if head := c.ReadUntil("\r\n\r\n"); !strings.Contains(head, "Connection: keep-alive\r\n") || !strings.Contains(head, "Content-Length: 5\r\n") {
			t.Fatalf("got %q", head)
		}
		c.ReadUntil("hello")
	}
}

func TestTrailersPassBothWaysButForThoseThatMustNot(t *testing.T) {
	e := newEdge(t)
	e.httpNode("n1", "web", func(w http.ResponseWriter, r *http.Request) {
		io.Copy(io.Discard, r.Body)
		w.Header().Set("Trailer", "X-Answer")
		io.WriteString(w, "x")
		w.(http.Flusher).Flush()
		w.Header().Set("X-Answer", fmt.Sprint(r.Trailer))
	})
	c := testnet.Dial(t, e.addr)
	c.Send("POST / HTTP/1.1\r\nHost: a.test\r\nConnection: close\r\nTransfer-Encoding: chunked\r\nTrailer: X-Sum\r\n\r\n" +
		"1\r\nx\r\n0\r\nX-Sum: 7\r\nX_Forwarded_For: 6.6.6.6\r\nAuthorization: x\r\nContent-Length: 9\r\n\r\n")
	if got, _ := c.ReadAll(); !strings.HasSuffix(got, "1\r\nx\r\n0\r\nX-Answer: map[X-Sum:[7]]\r\n\r\n") {
		t.Errorf("got %q", got)
	}
}

func TestContinueIsSentBeforeTheBodyIsRead(t *testing.T) {
	e := newEdge(t)
	e.httpNode("n1", "web", func(w http.ResponseWriter, r *http.Request) {
		b, _ := io.ReadAll(r.Body)
		fmt.Fprintf(w, "%s expect=%q", b, r.Header.Get("Expect"))
	})
	const ask = "POST / HTTP/1.1\r\nHost: a.test\r\nConnection: close\r\nExpect: 100-Continue\r\nContent-Length: 5\r\n\r\n"
	c := testnet.Dial(t, e.addr)
	c.Send(ask)
	if got := c.ReadUntil("\r\n\r\n"); got != "HTTP/1.1 100 Continue\r\n\r\n" {
		t.Fatalf("got %q", got)
	}
	c.Send("hello")
	if got, _ := c.ReadAll(); !strings.HasPrefix(got, "HTTP/1.1 200 OK\r\n") || !strings.HasSuffix(got, `hello expect=""`) {
		t.Errorf("got %q", got)
	}
	// Without a node nothing reads the body: no 100, and the connection ends, since the client may send the body or not.
	delete(e.set, nodeKey("n1"))
	e.apply()
	c = testnet.Dial(t, e.addr)
	c.Send(strings.Replace(ask, "Connection: close\r\n", "", 1))
	if got, _ := c.ReadAll(); !strings.HasPrefix(got, "HTTP/1.1 503 ") || strings.Contains(got, "100 Continue") || !strings.Contains(got, "Connection: close\r\n") {
		t.Errorf("got %q", got)
	}
}
