// SPDX-License-Identifier: Apache-2.0

package proxy

import (
	"bytes"
	"compress/gzip"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"

	"meridian/internal/testnet"
	"meridian/topology"
)

// abuse is one way in which a node misbehaves. Whatever must not reach a client, or only in an answer that is seen to be
// broken, has the word EVIL in it.
type abuse struct {
	name   string
	method string // empty: GET
	// want is "STATUS BODY" of an answer that is right nevertheless. Empty: none is, so 502 or a break is wanted.
	want string
	// or502 says that a client may also see 502 or a break.
	or502 bool
}

// seen is what a client got.
type seen struct {
	status int
	body   string
	header http.Header
	err    error
}

func askAs(c *http.Client, method, url string) (s seen) {
	req, err := http.NewRequest(method, url, nil)
	if err != nil {
		return seen{err: err}
	}
	req.Host = "a.test"
	resp, err := c.Do(req)
	if err != nil {
		return seen{err: err}
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	return seen{resp.StatusCode, string(b), resp.Header, err}
}

// broken reports whether the client can see that it has no answer of the node's.
func (s seen) broken() bool {
	return s.err != nil || (s.status == 502 || s.status == 503) && !strings.Contains(s.body+fmt.Sprint(s.header), "EVIL")
}

// check holds what a client got against what it may get.
func (a abuse) check(t *testing.T, s seen) {
	t.Helper()
	right := a.want != "" && s.err == nil && fmt.Sprintf("%d %s", s.status, s.body) == a.want && !strings.Contains(fmt.Sprint(s.header), "EVIL")
	if right || (a.want == "" || a.or502) && s.broken() {
		return
	}
	t.Errorf("the client got %d %.80q %v, %v; want %.80q", s.status, s.body, s.header, s.err, a.want)
}

var canaries atomic.Int64

// canary asks for an answer of its own, which must be right and whole.
func canary(t *testing.T, c *http.Client, root string) {
	t.Helper()
	id := fmt.Sprint(canaries.Add(1))
	if s := askAs(c, "GET", root+"/canary/"+id); s.err != nil || s.status != 200 || s.body != "canary "+id || strings.Contains(fmt.Sprint(s.header), "EVIL") {
		t.Errorf("the next request got %d %.80q %v, %v; want canary %s", s.status, s.body, s.header, s.err, id)
	}
}

// canaryOf returns the answer to a target of canary's, or "".
func canaryOf(target string) string {
	if id, ok := strings.CutPrefix(target, "/canary/"); ok {
		return "canary " + id
	}
	return ""
}

// nodesOfHTTP1 are what a node of HTTP/1.1 does instead of answering.
var nodesOfHTTP1 = []struct {
	abuse
	answer func(*testnet.Conn)
}{
	{abuse{name: "CL and TE"}, say("200 OK\r\nContent-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nEVIL\r\n0\r\n\r\n")},
	{abuse{name: "two CLs"}, say("200 OK\r\nContent-Length: 4\r\nContent-Length: 2\r\n\r\nEVIL")},
	{abuse{name: "two CLs that agree"}, say("200 OK\r\nContent-Length: 4\r\nContent-Length: 4\r\n\r\nEVIL")},
	{abuse{name: "CL list"}, say("200 OK\r\nContent-Length: 4, 4\r\n\r\nEVIL")},
	{abuse{name: "CL -1"}, say("200 OK\r\nContent-Length: -1\r\n\r\nEVIL")},
	{abuse{name: "CL +4"}, say("200 OK\r\nContent-Length: +4\r\n\r\nEVIL")},
	{abuse{name: "CL 2^63"}, say("200 OK\r\nContent-Length: 9223372036854775808\r\n\r\nEVIL")},
	{abuse{name: "CL 2^64+4"}, say("200 OK\r\nContent-Length: 18446744073709551620\r\n\r\nEVIL")},
	{abuse{name: "CL 0x4"}, say("200 OK\r\nContent-Length: 0x4\r\n\r\nEVIL")},
	{abuse{name: "a header without end"}, endless("200 OK\r\nX: ", "EVIL")},
	{abuse{name: "headers without end"}, endless("200 OK\r\n", "X: EVIL\r\n")},
	{abuse{name: "a status line without end"}, endless("200 ", "EVIL")},
	{abuse{name: "103 without end"}, endless("103 Early Hints\r\n\r\n", "HTTP/1.1 103 Early Hints\r\n\r\n")},
	{abuse{name: "100 without end"}, endless("100 Continue\r\n\r\n", "HTTP/1.1 100 Continue\r\n\r\n")},
	{abuse{name: "103 with a body"}, say("103 Early Hints\r\nContent-Length: 4\r\n\r\nEVILHTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nEVIL")},
	{abuse{name: "101 unasked"}, say("101 Switching Protocols\r\nUpgrade: evil\r\nConnection: Upgrade\r\n\r\nEVIL")},
	{abuse{name: "bytes behind the answer", want: "200 ok"}, say("200 OK\r\nContent-Length: 2\r\n\r\nokEVIL")},
	{abuse{name: "an answer behind the answer", want: "200 ok"}, say("200 OK\r\nContent-Length: 2\r\n\r\nokHTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nEVIL")},
	{abuse{name: "an answer behind the chunks", want: "200 ok"}, say("200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nEVIL")},
	{abuse{name: "CL and an early close"}, say("200 OK\r\nContent-Length: 400\r\n\r\nEVIL")},
	{abuse{name: "chunks and an early close"}, say("200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nEVIL\r\n")},
	{abuse{name: "chunks without the last line"}, say("200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nEVIL\r\n0\r\n")},
	{abuse{name: "half a chunk"}, say("200 OK\r\nTransfer-Encoding: chunked\r\n\r\n400\r\nEVIL")},
	{abuse{name: "no length and a reset"}, func(c *testnet.Conn) { c.Send("HTTP/1.1 200 OK\r\n\r\nEVIL"); c.Reset() }},
	{abuse{name: "half a head"}, say("200 OK\r\nContent-Le")},
	{abuse{name: "nothing"}, func(*testnet.Conn) {}},
	{abuse{name: "a reset"}, func(c *testnet.Conn) { c.Reset() }},
	{abuse{name: "a chunk's size of 2^64"}, say("200 OK\r\nTransfer-Encoding: chunked\r\n\r\n10000000000000004\r\nEVIL\r\n0\r\n\r\n")},
	{abuse{name: "a chunk's size below 0"}, say("200 OK\r\nTransfer-Encoding: chunked\r\n\r\n-4\r\nEVIL\r\n0\r\n\r\n")},
	{abuse{name: "a chunk's size that is none"}, say("200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\nEVIL\r\n0\r\n\r\n")},
	{abuse{name: "a chunk that is longer than it says"}, say("200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nEVIL\r\n0\r\n\r\n")},
	{abuse{name: "a chunk's extension without end"}, endless("200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4;", "EVIL")},
	{abuse{name: "trailers without end"}, endless("200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nEVIL\r\n0\r\n", "X: EVIL\r\n")},
	{abuse{name: "TE that is not chunked"}, say("200 OK\r\nTransfer-Encoding: gzip\r\n\r\nEVIL")},
	{abuse{name: "TE list"}, say("200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n4\r\nEVIL\r\n0\r\n\r\n")},
	{abuse{name: "TE identity"}, say("200 OK\r\nTransfer-Encoding: identity\r\nContent-Length: 4\r\n\r\nEVIL")},
	{abuse{name: "TE of HTTP/1.0"}, speak("HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nEVIL\r\n0\r\n\r\n")},
	{abuse{name: "status 99999"}, say("99999 OK\r\nContent-Length: 4\r\n\r\nEVIL")},
	{abuse{name: "status 099"}, say("099 OK\r\nContent-Length: 4\r\n\r\nEVIL")},
	{abuse{name: "status 600"}, say("600 OK\r\nContent-Length: 4\r\n\r\nEVIL")},
	{abuse{name: "status -20"}, say("-20 OK\r\nContent-Length: 4\r\n\r\nEVIL")},
	{abuse{name: "status of two digits"}, say("20\r\nContent-Length: 4\r\n\r\nEVIL")},
	{abuse{name: "HTTP/3.7"}, speak("HTTP/3.7 200 OK\r\nContent-Length: 4\r\n\r\nEVIL")},
	{abuse{name: "HTTP/2 in clear text"}, speak("\x00\x00\x00\x04\x00\x00\x00\x00\x00\x00\x00\x04\x01\x05\x00\x00\x00\x01\x88EVIL")},
	{abuse{name: "HTTP/0.9"}, speak("EVIL\r\n\r\n")},
	{abuse{name: "TLS"}, speak("\x16\x03\x01\x00\x04EVIL")},
	{abuse{name: "bare LF"}, speak("HTTP/1.1 200 OK\nContent-Length: 4\n\nEVIL")},
	{abuse{name: "a bare CR"}, say("200 OK\r\nX: a\rSet-Cookie: EVIL\r\nContent-Length: 4\r\n\r\nEVIL")},
	{abuse{name: "a NUL"}, say("200 OK\r\nX: a\x00EVIL\r\nContent-Length: 4\r\n\r\nEVIL")},
	{abuse{name: "a folded line"}, say("200 OK\r\nX: a\r\n EVIL\r\nContent-Length: 4\r\n\r\nEVIL")},
	{abuse{name: "a space before the colon"}, say("200 OK\r\nContent-Length : 4\r\n\r\nEVIL")},
	{abuse{name: "a line without colon"}, say("200 OK\r\nEVIL\r\nContent-Length: 4\r\n\r\nEVIL")},
	{abuse{name: "a name that is empty"}, say("200 OK\r\n: EVIL\r\nContent-Length: 4\r\n\r\nEVIL")},
	{abuse{name: "HEAD with a body", method: "HEAD", want: "200 "}, say("200 OK\r\nContent-Length: 4\r\n\r\nEVIL")},
	{abuse{name: "HEAD with chunks", method: "HEAD", want: "200 "}, say("200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nEVIL\r\n0\r\n\r\n")},
	{abuse{name: "204 with a body", want: "204 "}, say("204 No Content\r\nContent-Length: 4\r\n\r\nEVIL")},
	{abuse{name: "204 with chunks", want: "204 ", or502: true}, say("204 No Content\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nEVIL\r\n0\r\n\r\n")},
	{abuse{name: "304 with a body", want: "304 "}, say("304 Not Modified\r\nContent-Length: 4\r\n\r\nEVIL")},
	{abuse{name: "a gzip bomb", want: "200 " + bomb}, say(fmt.Sprintf("200 OK\r\nContent-Encoding: gzip\r\nContent-Length: %d\r\n\r\n%s", len(bomb), bomb))},
}

// bomb is 16 MiB of zeros for who unpacks it, which is nobody here.
var bomb = func() string {
	var b bytes.Buffer
	w := gzip.NewWriter(&b)
	w.Write(make([]byte, 16<<20))
	w.Close()
	return b.String()
}()

func speak(s string) func(*testnet.Conn) { return func(c *testnet.Conn) { c.Send(s) } }

func say(s string) func(*testnet.Conn) { return speak("HTTP/1.1 " + s) }

// endless sends until the edge has had enough, at most 1 GiB.
func endless(begin, more string) func(*testnet.Conn) {
	return func(c *testnet.Conn) {
		c.Send("HTTP/1.1 " + begin)
		piece := strings.Repeat(more, 1+(64<<10)/len(more))
		for sent := 0; sent < 1<<30 && c.Send(piece) == nil; sent += len(piece) {
		}
	}
}

// TestANodeOfHTTP1ThatMisbehavesHarmsNobody has each client ask, and then others.
func TestANodeOfHTTP1ThatMisbehavesHarmsNobody(t *testing.T) {
	t.Parallel()
	e := newEdge(t, withTLS(t, "a.test"), withHTTP3)
	e.rawNode("n1", "web", func(c *testnet.Conn) {
		for {
			head := strings.SplitN(c.ReadUntil("\r\n\r\n"), " ", 3)
			if len(head) < 3 {
				return
			}
			if own := canaryOf(head[1]); own != "" {
				c.Send(fmt.Sprintf("HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s", len(own), own))
				continue
			}
			var i int
			fmt.Sscanf(head[1], "/abuse/%d", &i)
			nodesOfHTTP1[i].answer(c)
			if a := nodesOfHTTP1[i]; a.want == "" { // its end is a part of it
				return
			}
		}
	})
	others := client(t)
	everyEngine(t, e, func(t *testing.T, c *http.Client, root string) {
		for i, a := range nodesOfHTTP1 {
			t.Run(a.name, func(t *testing.T) {
				method := a.method
				if method == "" {
					method = "GET"
				}
				canary(t, c, root) // so that a connection to the node is there
				a.check(t, askAs(c, method, fmt.Sprintf("%s/abuse/%d", root, i)))
				canary(t, others, "http://"+e.addr)
				canary(t, c, root)
			})
		}
	})
	testnet.Wait(t, "the places to be given back", func() bool { return e.table.Load("n1").InFlight == 0 })
}

// TestAnAnswerThatNobodyAskedForReachesNobody: it comes on a connection that waits for its next request.
func TestAnAnswerThatNobodyAskedForReachesNobody(t *testing.T) {
	e := newEdge(t, withTLS(t, "a.test"), withHTTP3)
	more, there := make(chan struct{}), make(chan struct{})
	e.rawNode("n1", "web", func(c *testnet.Conn) {
		for {
			head := strings.SplitN(c.ReadUntil("\r\n\r\n"), " ", 3)
			if len(head) < 3 {
				return
			}
			own := canaryOf(head[1])
			c.Send(fmt.Sprintf("HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s", len(own), own))
			if own == "" {
				<-more
				c.Send("HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nEVIL")
				there <- struct{}{}
			}
		}
	})
	others := client(t)
	everyEngine(t, e, func(t *testing.T, c *http.Client, root string) {
		for range 3 {
			if s := askAs(c, "GET", root+"/"); s.err != nil || s.status != 200 || s.body != "" {
				t.Errorf("got %+v", s)
			}
			testnet.Wait(t, "the connection to be kept", func() bool { return e.s.upstream.Stats().Idle > 0 })
			more <- struct{}{}
			<-there
			canary(t, others, "http://"+e.addr)
			canary(t, c, root)
		}
	})
}

// TestANodeOfHTTP1ThatMisbehavesIsNotAskedTwiceForAPOST: what was sent may have been acted on.
func TestANodeOfHTTP1ThatMisbehavesIsNotAskedTwiceForAPOST(t *testing.T) {
	e := newEdge(t)
	e.set.Put(&topology.Route{Name: "web", Pool: "web", Tries: 3})
	e.apply()
	var asked atomic.Int64
	e.rawNode("n1", "web", func(c *testnet.Conn) {
		c.ReadUntil("\r\n\r\n")
		asked.Add(1)
		c.Send("HTTP/1.1 99999 OK\r\n\r\n")
	})
	if status, _, _ := e.ask("POST", "/", "x"); status != 502 || asked.Load() != 1 {
		t.Errorf("got %d; the node was asked %d times", status, asked.Load())
	}
}
