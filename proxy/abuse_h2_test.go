// SPDX-License-Identifier: Apache-2.0

package proxy

import (
	"bytes"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"

	"meridian/internal/testnet"
	"meridian/topology"
)

// nodesOfHTTP2 are what a node of HTTP/2 does instead of answering stream id.
var nodesOfHTTP2 = []struct {
	abuse
	answer func(n *h2Node, id uint32)
}{
	{abuse{name: "SETTINGS_MAX_FRAME_SIZE=0"}, func(n *h2Node, id uint32) {
		n.WriteSettings(http2.Setting{ID: http2.SettingMaxFrameSize})
		n.answer(id, "EVIL")
	}},
	{abuse{name: "a window beyond 2^31-1 by SETTINGS"}, func(n *h2Node, id uint32) {
		n.WriteSettings(http2.Setting{ID: http2.SettingInitialWindowSize, Val: 1 << 31})
		n.answer(id, "EVIL")
	}},
	{abuse{name: "ENABLE_PUSH=2"}, func(n *h2Node, id uint32) {
		n.WriteSettings(http2.Setting{ID: http2.SettingEnablePush, Val: 2})
		n.answer(id, "EVIL")
	}},
	{abuse{name: "SETTINGS on a stream"}, func(n *h2Node, id uint32) { n.WriteRawFrame(http2.FrameSettings, 0, id, nil); n.answer(id, "EVIL") }},
	{abuse{name: "SETTINGS of 5 bytes"}, func(n *h2Node, id uint32) {
		n.WriteRawFrame(http2.FrameSettings, 0, 0, make([]byte, 5))
		n.answer(id, "EVIL")
	}},
	{abuse{name: "PING of 7 bytes"}, func(n *h2Node, id uint32) {
		n.WriteRawFrame(http2.FramePing, 0, 0, make([]byte, 7))
		n.answer(id, "EVIL")
	}},
	{abuse{name: "more than its Content-Length"}, func(n *h2Node, id uint32) {
		n.head(id, false, ":status", "200", "content-length", "2")
		n.WriteData(id, true, []byte("EVIL"))
	}},
	{abuse{name: "more than its Content-Length, later"}, func(n *h2Node, id uint32) {
		n.head(id, false, ":status", "200", "content-length", "6")
		n.WriteData(id, false, []byte("EVIL"))
		n.WriteData(id, true, []byte("EVIL"))
	}},
	{abuse{name: "less than its Content-Length"}, func(n *h2Node, id uint32) {
		n.head(id, false, ":status", "200", "content-length", "5")
		n.WriteData(id, true, []byte("EVIL"))
	}},
	{abuse{name: "Content-Length without a body"}, func(n *h2Node, id uint32) { n.head(id, true, ":status", "200", "content-length", "5", "x", "EVIL") }},
	{abuse{name: "trailers before the Content-Length is full"}, func(n *h2Node, id uint32) {
		n.head(id, false, ":status", "200", "content-length", "5")
		n.WriteData(id, false, []byte("EVIL"))
		n.head(id, true, "x", "EVIL")
	}},
	{abuse{name: "two Content-Lengths"}, func(n *h2Node, id uint32) {
		n.head(id, false, ":status", "200", "content-length", "4", "content-length", "4")
		n.WriteData(id, true, []byte("EVIL"))
	}},
	{abuse{name: "Content-Length 2^63"}, evilHead("content-length", "9223372036854775808")},
	{abuse{name: "Content-Length -4"}, evilHead("content-length", "-4")},
	{abuse{name: "no END_STREAM, and a close"}, func(n *h2Node, id uint32) { n.half(id); n.Conn.Close() }},
	{abuse{name: "no END_STREAM, and a reset"}, func(n *h2Node, id uint32) { n.half(id); n.Reset() }},
	{abuse{name: "RST_STREAM amid the body"}, func(n *h2Node, id uint32) { n.half(id); n.WriteRSTStream(id, http2.ErrCodeInternal) }},
	{abuse{name: "RST_STREAM NO_ERROR amid the body"}, func(n *h2Node, id uint32) { n.half(id); n.WriteRSTStream(id, http2.ErrCodeNo) }},
	{abuse{name: "RST_STREAM after the head"}, func(n *h2Node, id uint32) {
		n.head(id, false, ":status", "200", "x", "EVIL")
		n.WriteRSTStream(id, http2.ErrCodeCancel)
	}},
	{abuse{name: "RST_STREAM instead of a head"}, func(n *h2Node, id uint32) { n.WriteRSTStream(id, http2.ErrCodeInternal) }},
	{abuse{name: "RST_STREAM of 3 bytes"}, func(n *h2Node, id uint32) { n.half(id); n.WriteRawFrame(http2.FrameRSTStream, 0, id, make([]byte, 3)) }},
	{abuse{name: "REFUSED_STREAM for ever"}, func(n *h2Node, id uint32) { n.WriteRSTStream(id, http2.ErrCodeRefusedStream) }},
	{abuse{name: "GOAWAY that leaves the stream out, amid the body"}, func(n *h2Node, id uint32) {
		n.half(id)
		n.WriteGoAway(0, http2.ErrCodeNo, nil)
		n.WriteData(id, true, []byte("EVIL"))
	}},
	{abuse{name: "GOAWAY and a close amid the body"}, func(n *h2Node, id uint32) { n.half(id); n.WriteGoAway(id, http2.ErrCodeInternal, nil); n.Conn.Close() }},
	{abuse{name: "GOAWAY of 7 bytes"}, func(n *h2Node, id uint32) { n.half(id); n.WriteRawFrame(http2.FrameGoAway, 0, 0, make([]byte, 7)) }},
	{abuse{name: "PUSH_PROMISE"}, func(n *h2Node, id uint32) {
		n.WritePushPromise(http2.PushPromiseParam{StreamID: id, PromiseID: 2, BlockFragment: n.encode(":method", "GET", ":path", "/canary/1", ":scheme", "http", ":authority", "a.test"), EndHeaders: true})
		n.answer(2, "EVIL")
		n.answer(id, "EVIL")
	}},
	{abuse{name: "an answer on a stream of the node's"}, func(n *h2Node, id uint32) { n.answer(2, "EVIL") }},
	{abuse{name: "an answer on a stream that nobody opened"}, func(n *h2Node, id uint32) { n.answer(id+1000, "EVIL") }},
	{abuse{name: "data on a stream that nobody opened"}, func(n *h2Node, id uint32) { n.WriteData(id+2000, true, []byte("EVIL")) }},
	{abuse{name: "an answer on the connection itself"}, func(n *h2Node, _ uint32) { n.answer(0, "EVIL") }},
	{abuse{name: "data on a stream that has ended", want: "200 ok"}, func(n *h2Node, id uint32) { n.answer(id, "ok"); n.WriteData(id, true, []byte("EVIL")) }},
	{abuse{name: "a second answer", want: "200 ok"}, func(n *h2Node, id uint32) { n.answer(id, "ok"); n.answer(id, "EVIL") }},
	{abuse{name: "a second head"}, func(n *h2Node, id uint32) {
		n.half(id)
		n.head(id, false, ":status", "200", "x", "EVIL")
		n.WriteData(id, true, nil)
	}},
	{abuse{name: "data before the head"}, func(n *h2Node, id uint32) { n.WriteData(id, false, []byte("EVIL")); n.answer(id, "EVIL") }},
	{abuse{name: "no :status"}, func(n *h2Node, id uint32) { n.head(id, false, "x", "EVIL"); n.WriteData(id, true, []byte("EVIL")) }},
	{abuse{name: ":status 20"}, evilStatus("20")},
	{abuse{name: ":status 99999"}, evilStatus("99999")},
	{abuse{name: ":status 600"}, evilStatus("600")},
	{abuse{name: ":status 2 0"}, evilStatus("2 0")},
	{abuse{name: ":status 101"}, evilStatus("101")},
	{abuse{name: "an empty :status"}, evilStatus("")},
	{abuse{name: "two :status"}, evilHead(":status", "200")},
	{abuse{name: ":path in an answer"}, evilHead(":path", "/")},
	{abuse{name: "an unknown pseudo-field"}, evilHead(":evil", "x")},
	{abuse{name: ":status behind a field"}, func(n *h2Node, id uint32) {
		n.head(id, false, "x", "EVIL", ":status", "200")
		n.WriteData(id, true, []byte("EVIL"))
	}},
	{abuse{name: ":status in trailers"}, evilTrailer(":status", "200")},
	{abuse{name: "an upper-case name in trailers"}, evilTrailer("X-Evil", "EVIL")},
	{abuse{name: "Content-Length twice in trailers"}, evilTrailer("content-length", "4", "content-length", "4")},
	{abuse{name: "trailers without END_STREAM"}, func(n *h2Node, id uint32) { n.half(id); n.head(id, false, "x", "EVIL"); n.WriteData(id, true, nil) }},
	{abuse{name: "an upper-case name"}, evilHead("X-Evil", "x")},
	{abuse{name: "a name with a space"}, evilHead("x evil", "x")},
	{abuse{name: "an empty name"}, evilHead("", "x")},
	{abuse{name: "a line feed in a value"}, evilHead("x", "a\r\nset-cookie: EVIL")},
	{abuse{name: "a NUL in a value"}, evilHead("x", "a\x00")},
	{abuse{name: "connection"}, evilHead("connection", "close")},
	{abuse{name: "transfer-encoding"}, evilHead("transfer-encoding", "chunked")},
	{abuse{name: "upgrade"}, evilHead("upgrade", "h2c")},
	{abuse{name: "an HPACK bomb"}, hpackBomb},
	{abuse{name: "an index that HPACK's table has not"}, func(n *h2Node, id uint32) {
		n.WriteHeaders(http2.HeadersFrameParam{StreamID: id, BlockFragment: []byte{0x88, 0xff, 0x7f}, EndHeaders: true, EndStream: true})
	}},
	{abuse{name: "a table larger than allowed"}, func(n *h2Node, id uint32) {
		n.WriteHeaders(http2.HeadersFrameParam{StreamID: id, BlockFragment: []byte{0x3f, 0xff, 0xff, 0x7f, 0x88}, EndHeaders: true, EndStream: true})
	}},
	{abuse{name: "half a header block"}, func(n *h2Node, id uint32) {
		n.WriteHeaders(http2.HeadersFrameParam{StreamID: id, BlockFragment: []byte{0x88, 0x40, 0x05, 'E', 'V'}, EndHeaders: true, EndStream: true})
	}},
	{abuse{name: "more than 100 fields"}, evilHead(strings.Split(strings.Repeat("x,EVIL,", 200)+"x,x", ",")...)},
	{abuse{name: "CONTINUATION without end"}, func(n *h2Node, id uint32) {
		n.WriteHeaders(http2.HeadersFrameParam{StreamID: id, BlockFragment: n.encode(":status", "200")})
		for sent := 0; sent < 1<<30; sent += 16 << 10 {
			if n.WriteContinuation(id, false, bytes.Repeat([]byte{0x00, 0x01, 'x', 0x01, 'y', 0x88}, 16<<10/6)) != nil {
				return
			}
		}
	}},
	{abuse{name: "empty CONTINUATION without end"}, func(n *h2Node, id uint32) {
		n.WriteHeaders(http2.HeadersFrameParam{StreamID: id, BlockFragment: n.encode(":status", "200")})
		for range 1 << 20 {
			if n.WriteContinuation(id, false, nil) != nil {
				return
			}
		}
	}},
	{abuse{name: "CONTINUATION of another stream"}, func(n *h2Node, id uint32) {
		n.WriteHeaders(http2.HeadersFrameParam{StreamID: id, BlockFragment: n.encode(":status", "200")})
		n.WriteContinuation(id+2, true, n.encode("x", "EVIL"))
	}},
	{abuse{name: "CONTINUATION out of nowhere"}, func(n *h2Node, id uint32) { n.half(id); n.WriteContinuation(id, true, n.encode("x", "EVIL")) }},
	{abuse{name: "data amid a header block"}, func(n *h2Node, id uint32) {
		n.WriteHeaders(http2.HeadersFrameParam{StreamID: id, BlockFragment: n.encode(":status", "200")})
		n.WriteData(id, true, []byte("EVIL"))
	}},
	{abuse{name: "103 without end"}, func(n *h2Node, id uint32) {
		for range 1 << 20 {
			n.encode(":status", "103", "link", "</a>")
			if n.WriteHeaders(http2.HeadersFrameParam{StreamID: id, BlockFragment: n.block.Bytes(), EndHeaders: true}) != nil {
				return
			}
		}
	}},
	{abuse{name: "103 with END_STREAM"}, func(n *h2Node, id uint32) { n.head(id, true, ":status", "103") }},
	{abuse{name: "103 with a length"}, func(n *h2Node, id uint32) {
		n.head(id, false, ":status", "103", "content-length", "4")
		n.answer(id, "EVIL")
	}},
	{abuse{name: "a window beyond 2^31-1"}, func(n *h2Node, id uint32) { n.WriteWindowUpdate(id, 1<<31-1); n.answer(id, "EVIL") }},
	{abuse{name: "the connection's window beyond 2^31-1"}, func(n *h2Node, id uint32) { n.WriteWindowUpdate(0, 1<<31-1); n.answer(id, "EVIL") }},
	{abuse{name: "WINDOW_UPDATE 0"}, func(n *h2Node, id uint32) {
		n.WriteRawFrame(http2.FrameWindowUpdate, 0, id, make([]byte, 4))
		n.answer(id, "EVIL")
	}},
	{abuse{name: "WINDOW_UPDATE for a stream that nobody opened"}, func(n *h2Node, id uint32) { n.WriteWindowUpdate(id+1000, 1); n.answer(id, "EVIL") }},
	{abuse{name: "more data than the window"}, func(n *h2Node, id uint32) {
		n.head(id, false, ":status", "200")
		for range 64 { // all the window that the connection has, and more: nobody reads from here
			if n.WriteData(id, false, bytes.Repeat([]byte("EVIL"), 4<<10)) != nil {
				return
			}
		}
		n.WriteRSTStream(id, http2.ErrCodeInternal)
	}},
	{abuse{name: "a frame that is too large"}, func(n *h2Node, id uint32) { n.half(id); n.WriteRawFrame(http2.FrameData, 1, id, make([]byte, 16385)) }},
	{abuse{name: "more padding than frame"}, func(n *h2Node, id uint32) { n.half(id); n.WriteRawFrame(http2.FrameData, 9, id, []byte{200, 'E'}) }},
	{abuse{name: "HEAD with data", method: "HEAD", want: "200 ", or502: true}, func(n *h2Node, id uint32) { n.answer(id, "EVIL") }},
	{abuse{name: "204 with data", want: "204 ", or502: true}, func(n *h2Node, id uint32) { n.head(id, false, ":status", "204"); n.WriteData(id, true, []byte("EVIL")) }},
	{abuse{name: "304 with data", want: "304 ", or502: true}, func(n *h2Node, id uint32) { n.head(id, false, ":status", "304"); n.WriteData(id, true, []byte("EVIL")) }},
	{abuse{name: "an answer of HTTP/1.1"}, func(n *h2Node, id uint32) { n.Send("HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nEVIL") }},
	{abuse{name: "garbage"}, func(n *h2Node, id uint32) { n.Send(strings.Repeat("\xffEVIL", 1000)) }},
	{abuse{name: "an unknown kind of frame", want: "200 ok"}, func(n *h2Node, id uint32) { n.WriteRawFrame(0xfa, 0xff, id, []byte("EVIL")); n.answer(id, "ok") }},
	{abuse{name: "a gzip bomb", want: "200 " + bomb}, func(n *h2Node, id uint32) {
		n.head(id, false, ":status", "200", "content-encoding", "gzip")
		for rest := bomb; rest != ""; {
			k := min(len(rest), 16<<10)
			n.WriteData(id, k == len(rest), []byte(rest[:k]))
			rest = rest[k:]
		}
	}},
}

// half begins an answer.
func (n *h2Node) half(id uint32) {
	n.head(id, false, ":status", "200", "x", "EVIL")
	n.WriteData(id, false, []byte("EVIL"))
}

func evilStatus(s string) func(*h2Node, uint32) {
	return func(n *h2Node, id uint32) {
		n.head(id, false, ":status", s, "x", "EVIL")
		n.WriteData(id, true, []byte("EVIL"))
	}
}

func evilHead(fields ...string) func(*h2Node, uint32) {
	return func(n *h2Node, id uint32) {
		n.head(id, false, append([]string{":status", "200"}, fields...)...)
		n.WriteData(id, true, []byte("EVIL"))
	}
}

func evilTrailer(fields ...string) func(*h2Node, uint32) {
	return func(n *h2Node, id uint32) {
		n.half(id)
		n.head(id, true, fields...)
	}
}

// hpackBomb names a field of 4 KB in the dynamic table once and then 30,000 times by its index.
func hpackBomb(n *h2Node, id uint32) {
	n.encode(":status", "200")
	n.enc.WriteField(hpack.HeaderField{Name: "x", Value: strings.Repeat("EVIL", 1000)})
	b := append(bytes.Clone(n.block.Bytes()), bytes.Repeat([]byte{0xbe}, 30000)...)
	n.WriteHeaders(http2.HeadersFrameParam{StreamID: id, BlockFragment: b[:16<<10]})
	for b = b[16<<10:]; len(b) > 0; {
		k := min(len(b), 16<<10)
		n.WriteContinuation(id, k == len(b), b[:k])
		b = b[k:]
	}
	n.WriteData(id, true, []byte("EVIL"))
}

// held are requests that share a connection with one that is abused: each is answered when that is over.
type held struct {
	arrived, over chan struct{}
	once          sync.Once
}

// abuser serves connections of HTTP/2. A request for /held/N waits for the one of that number in rounds.
type abuser struct{ rounds sync.Map }

func (a *abuser) serve(c *testnet.Conn) {
	var writing sync.Mutex
	var waiting sync.WaitGroup
	defer waiting.Wait()
	serveH2(c, nil, func(n *h2Node, id uint32) {
		writing.Lock()
		defer writing.Unlock()
		if own := canaryOf(n.path); own != "" {
			n.answer(id, own)
			return
		}
		if v, ok := a.rounds.Load(n.path); ok {
			h := v.(*held)
			waiting.Go(func() {
				<-h.over
				writing.Lock()
				defer writing.Unlock()
				n.answer(id, "held")
			})
			h.once.Do(func() { close(h.arrived) })
			return
		}
		var i int
		fmt.Sscanf(n.path, "/abuse/%d", &i)
		nodesOfHTTP2[i].answer(n, id)
	})
}

// TestANodeOfHTTP2ThatMisbehavesHarmsNobody has each client ask, beside a request that shares the connection to the node, and
// then others.
func TestANodeOfHTTP2ThatMisbehavesHarmsNobody(t *testing.T) {
	t.Parallel()
	e := newEdge(t, withTLS(t, "a.test"), withHTTP3)
	e.speak(topology.ProtocolH2C)
	a := &abuser{}
	e.rawNode("n1", "web", a.serve)
	others := client(t)
	everyEngine(t, e, func(t *testing.T, c *http.Client, root string) {
		for i, k := range nodesOfHTTP2 {
			t.Run(k.name, func(t *testing.T) {
				method := k.method
				if method == "" {
					method = "GET"
				}
				h, path := &held{arrived: make(chan struct{}), over: make(chan struct{})}, fmt.Sprintf("/held/%d", canaries.Add(1))
				a.rounds.Store(path, h)
				var beside seen
				var waiting sync.WaitGroup
				waiting.Go(func() { beside = askAs(others, "POST", "http://"+e.addr+path) })
				<-h.arrived
				k.check(t, askAs(c, method, fmt.Sprintf("%s/abuse/%d", root, i)))
				close(h.over)
				waiting.Wait()
				abuse{want: "200 held", or502: true}.check(t, beside)
				canary(t, others, "http://"+e.addr)
				canary(t, c, root)
			})
		}
	})
	testnet.Wait(t, "the places to be given back", func() bool { return e.table.Load("n1").InFlight == 0 })
}

// TestANodeWhoseFirstSettingsAreWrongIsNotSpokenTo: no request reaches it.
func TestANodeWhoseFirstSettingsAreWrongIsNotSpokenTo(t *testing.T) {
	for name, s := range map[string]http2.Setting{
		"MAX_FRAME_SIZE=0":    {ID: http2.SettingMaxFrameSize},
		"a window of 2^31":    {ID: http2.SettingInitialWindowSize, Val: 1 << 31},
		"ENABLE_PUSH=2":       {ID: http2.SettingEnablePush, Val: 2},
		"MAX_FRAME_SIZE=2^24": {ID: http2.SettingMaxFrameSize, Val: 1 << 24},
	} {
		t.Run(name, func(t *testing.T) {
			e := newEdge(t)
			e.speak(topology.ProtocolH2C)
			e.rawNode("n1", "web", func(c *testnet.Conn) {
				serveH2(c, []http2.Setting{s}, func(n *h2Node, id uint32) { t.Error("the node got a request"); n.answer(id, "EVIL") })
			})
			if status, body, _ := e.ask("GET", "/", ""); status != 503 {
				t.Errorf("got %d %q", status, body)
			}
		})
	}
}
