// SPDX-License-Identifier: Apache-2.0

package proxy

import (
	"bytes"
	"crypto/tls"
	"net"
	"testing"
	"time"

	xhttp2 "golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"

	"github.com/quic-go/quic-go"

	"meridian/internal/probes"
	"meridian/internal/testnet"
)

// splitStreams are how many streams or connections take the pieces of a message at a time.
const splitStreams = 50

func TestWhatMustBeTakenIsAlsoInTwoPieces(t *testing.T) {
	t.Parallel()
	overEach(t, func(t *testing.T, e *edge, dial func() *testnet.Conn) {
		node := probes.NewRecorder(t)
		e.node("n1", "web", node.Addr)
		probes.RunTaken(t, func() net.Conn { return dial() }, node)
	})
}

// segmented is a connection whose writes go out as two, split at another byte each time.
type segmented struct {
	net.Conn
	at int
}

func (s *segmented) Write(b []byte) (int, error) {
	s.at++
	n, err := s.Conn.Write(b[:s.at%len(b)])
	if err != nil {
		return n, err
	}
	m, err := s.Conn.Write(b[n:])
	return n + m, err
}

func TestATLSRecordMayComeInTwoPieces(t *testing.T) {
	t.Parallel()
	e, node := probesEdge(t)
	probes.RunTaken(t, func() net.Conn {
		c := testnet.Dial(t, e.secureAddr())
		c.Conn = tls.Client(&segmented{Conn: c.Conn}, &tls.Config{InsecureSkipVerify: true, ServerName: "a.test"})
		return c
	}, node)
}

// TestABytestreamOfHTTP2MayBeSplitAnywhere sends preface, SETTINGS and all frames of a message in two pieces, and byte by byte.
func TestABytestreamOfHTTP2MayBeSplitAnywhere(t *testing.T) {
	t.Parallel()
	e, node := probesEdge(t)
	pace := dialH2(t, e, false)
	defer pace.Close()
	for _, m := range probes.TakenMessages() {
		stream := h2Stream(&m.Message)
		for at := 0; at < len(stream) && !t.Failed(); at += splitStreams {
			node.Take()
			pace.SetDeadline(time.Now().Add(testnet.Patience))
			open := make([]*rawH2, min(splitStreams, len(stream)-at))
			for i := range open {
				nc := testnet.Dial(t, e.addr)
				nc.Write(stream[:at+i])
				open[i] = newRawH2(nc)
			}
			pace.pause()
			for i, c := range open {
				for at := at + i; at < len(stream); {
					n := len(stream)
					if i == 0 {
						n = at + 1
					}
					c.Conn.Write(stream[at:n])
					at = n
				}
			}
			for i, c := range open {
				if o := c.outcome(1); o.Status != 200 || o.Else != "" {
					t.Errorf("%s: split at %d of %d: got %+v", m.Name, at+i, len(stream), o)
				}
				c.Close()
			}
			m.CheckTaken(t, node, len(open))
		}
	}
}

// h2Stream is a message as the bytes of a connection, with its heads in two frames.
func h2Stream(m *probes.Message) []byte {
	var b bytes.Buffer
	fr := xhttp2.NewFramer(&b, nil)
	b.WriteString(xhttp2.ClientPreface)
	fr.WriteSettings()
	block := func(fields []probes.Field, end bool) {
		p := hpackBlock(fields)
		fr.WriteHeaders(xhttp2.HeadersFrameParam{StreamID: 1, BlockFragment: p[:len(p)/2], EndStream: end})
		fr.WriteContinuation(1, true, p[len(p)/2:])
	}
	block(m.Fields, m.Body == nil)
	for i, d := range m.Body {
		fr.WriteData(1, i == len(m.Body)-1 && m.Trailer == nil, []byte(d))
	}
	if m.Trailer != nil {
		block(m.Trailer, true)
	}
	return b.Bytes()
}

// hpackBlock writes literals that leave the table alone.
func hpackBlock(fields []probes.Field) []byte {
	var b bytes.Buffer
	e := hpack.NewEncoder(&b)
	for _, f := range fields {
		e.WriteField(hpack.HeaderField{Name: f.Name, Value: f.Value, Sensitive: true})
	}
	return b.Bytes()
}

// TestAHeaderBlockOfHTTP2MayBeSplitAnywhere sends heads and trailers as HEADERS and CONTINUATION.
func TestAHeaderBlockOfHTTP2MayBeSplitAnywhere(t *testing.T) {
	t.Parallel()
	e, node := probesEdge(t)
	for _, secure := range []bool{false, true} {
		c := dialH2(t, e, secure)
		for _, m := range probes.TakenMessages() {
			c.SetDeadline(time.Now().Add(testnet.Patience))
			head, trailer := hpackBlock(m.Fields), hpackBlock(m.Trailer)
			for at := range max(len(head), len(trailer)) {
				id := c.next
				c.next += 2
				c.writeSplit(id, head, at, m.Body == nil)
				for i, d := range m.Body {
					c.WriteData(id, i == len(m.Body)-1 && m.Trailer == nil, []byte(d))
				}
				if m.Trailer != nil {
					c.writeSplit(id, trailer, at, true)
				}
				if o := c.outcome(id); o.Status != 200 || o.Else != "" {
					t.Fatalf("%s: split at %d of %d: got %+v", m.Name, at, len(head), o)
				}
			}
			m.CheckTaken(t, node, max(len(head), len(trailer)))
		}
		c.Close()
	}
}

// writeSplit sends a block in two fragments.
func (c *rawH2) writeSplit(id uint32, block []byte, at int, end bool) {
	at = min(at, len(block))
	c.WriteHeaders(xhttp2.HeadersFrameParam{StreamID: id, BlockFragment: block[:at], EndStream: end})
	c.WriteContinuation(id, true, block[at:])
}

// TestAStreamOfHTTP3MayBeSplitAnywhere sends the frames of a message in two pieces, of which the edge has seen the first before the
// second comes.
func TestAStreamOfHTTP3MayBeSplitAnywhere(t *testing.T) {
	t.Parallel()
	e, node := probesEdge(t)
	c := dialH3(t, e, true)
	for _, m := range probes.TakenMessages() {
		stream := bytes.Join(h3Frames(&m.Message), nil)
		for at := 0; at < len(stream) && !t.Failed(); at += splitStreams {
			node.Take()
			open := make([]*quic.Stream, min(splitStreams, len(stream)-at))
			for i := range open {
				open[i] = c.open()
				open[i].Write(stream[:at+i])
			}
			c.ask(t, &probes.Canary)
			for i, s := range open {
				s.SetDeadline(time.Now().Add(testnet.Patience))
				s.Write(stream[at+i:])
				s.Close()
			}
			for i, s := range open {
				if o := h3Outcome(s); o.Status != 200 || o.Else != "" {
					t.Errorf("%s: split at %d of %d: got %+v", m.Name, at+i, len(stream), o)
				}
			}
			m.CheckTaken(t, node, len(open))
		}
	}
}
