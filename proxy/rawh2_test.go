// SPDX-License-Identifier: Apache-2.0

package proxy

import (
	"bytes"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"strconv"
	"testing"
	"time"

	xhttp2 "golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"

	"meridian/internal/probes"
	"meridian/internal/testnet"
)

// rawH2 is a client of HTTP/2 that sends any frame and any field.
type rawH2 struct {
	net.Conn
	*xhttp2.Framer
	block   bytes.Buffer
	encoder *hpack.Encoder
	decoder *hpack.Decoder
	next    uint32 // stream
	got     map[uint32]probes.Outcome
	ended   map[uint32]bool
}

// dialH2 connects to the edge, over TLS or with prior knowledge.
func dialH2(t testing.TB, e *edge, secure bool) *rawH2 {
	t.Helper()
	nc, err := net.DialTimeout("tcp", map[bool]string{false: e.addr, true: e.s.Addrs()[len(e.s.Addrs())-1].String()}[secure], testnet.Patience)
	if err != nil {
		t.Fatal(err)
	}
	if secure {
		nc = tls.Client(nc, &tls.Config{InsecureSkipVerify: true, ServerName: "a.test", NextProtos: []string{"h2"}})
	}
	nc.SetDeadline(time.Now().Add(testnet.Patience))
	t.Cleanup(func() { nc.Close() })
	c := newRawH2(nc)
	io.WriteString(nc, xhttp2.ClientPreface)
	c.WriteSettings()
	return c
}

// newRawH2 leaves the preface to the caller.
func newRawH2(nc net.Conn) *rawH2 {
	c := &rawH2{Conn: nc, Framer: xhttp2.NewFramer(nc, nc), next: 1, got: map[uint32]probes.Outcome{}, ended: map[uint32]bool{}}
	c.AllowIllegalWrites = true
	c.encoder = hpack.NewEncoder(&c.block)
	c.decoder = hpack.NewDecoder(4096, nil)
	return c
}

// encode makes a header block, which is valid until the next one.
func (c *rawH2) encode(fields []probes.Field) []byte {
	c.block.Reset()
	for _, f := range fields {
		c.encoder.WriteField(hpack.HeaderField{Name: f.Name, Value: f.Value})
	}
	return c.block.Bytes()
}

// writeBlock sends fields as HEADERS and as many CONTINUATION frames as they need.
func (c *rawH2) writeBlock(id uint32, fields []probes.Field, end bool) {
	b := c.encode(fields)
	n := min(len(b), 16384)
	c.WriteHeaders(xhttp2.HeadersFrameParam{StreamID: id, BlockFragment: b[:n], EndStream: end, EndHeaders: n == len(b)})
	for b = b[n:]; len(b) > 0; b = b[n:] {
		n = min(len(b), 16384)
		c.WriteContinuation(id, n == len(b), b[:n])
	}
}

// send sends a message on the next stream, and returns the stream.
func (c *rawH2) send(m *probes.Message) uint32 {
	id := c.next
	c.next += 2
	c.writeBlock(id, m.Fields, len(m.Body) == 0 && m.Trailer == nil)
	for i, b := range m.Body {
		if m.Late {
			c.pause()
		}
		c.WriteData(id, i == len(m.Body)-1 && m.Trailer == nil, []byte(b))
	}
	if m.Late {
		c.pause()
	}
	if m.Trailer != nil {
		c.writeBlock(id, m.Trailer, true)
	}
	return id
}

// get asks for a path on the next stream, with further fields, and returns the stream.
func (c *rawH2) get(path string, more ...string) uint32 {
	return c.send(&probes.Message{Fields: probes.Head("GET", path, more...)})
}

// pause has the edge and the node act on what was sent before what is sent next, by a request that goes all the way.
func (c *rawH2) pause() {
	id := c.next
	c.next += 2
	c.writeBlock(id, probes.Canary.Fields, true)
	c.outcome(id)
}

// outcome reads until the stream ends, or the connection. What belongs to others is kept for them.
func (c *rawH2) outcome(id uint32) probes.Outcome {
	for !c.ended[id] {
		if err := c.step(); err != nil {
			o := c.got[id]
			o.Else = err.Error()
			return o
		}
	}
	return c.got[id]
}

// step takes a frame.
func (c *rawH2) step() error {
	f, err := c.ReadFrame()
	if err != nil {
		return err
	}
	id := f.Header().StreamID
	o := c.got[id]
	switch f := f.(type) {
	case *xhttp2.HeadersFrame:
		fields, err := c.decoder.DecodeFull(f.HeaderBlockFragment())
		if err != nil {
			return err
		}
		if len(fields) > 0 && fields[0].Name == ":status" {
			o.Status, _ = strconv.Atoi(fields[0].Value)
		}
		c.ended[id] = f.StreamEnded()
	case *xhttp2.DataFrame:
		o.Body += string(f.Data())
		c.ended[id] = f.StreamEnded()
	case *xhttp2.RSTStreamFrame:
		if c.ended[id] {
			return nil // of what is left of the request
		}
		c.ended[id] = true
		if o.Malformed = f.ErrCode == xhttp2.ErrCodeProtocol; !o.Malformed {
			o.Else = "reset " + f.ErrCode.String()
		}
	case *xhttp2.GoAwayFrame:
		if f.ErrCode != xhttp2.ErrCodeNo {
			return fmt.Errorf("goaway %v", f.ErrCode)
		}
	}
	c.got[id] = o
	return nil
}

// messagesOfOneConnection is after how many messages a client of the tables takes a new connection: resets count as glitches, of
// which a connection may have some.
const messagesOfOneConnection = 40

// askH2 makes an engine of HTTP/2.
func askH2(t testing.TB, e *edge, secure bool) func(*probes.Message) probes.Outcome {
	var c *rawH2
	t.Cleanup(func() {
		if c != nil {
			c.Close()
		}
	})
	return func(m *probes.Message) probes.Outcome {
		if c != nil && c.next > 2*messagesOfOneConnection {
			c.Close()
			c = nil
		}
		if c == nil {
			c = dialH2(t, e, secure)
		}
		c.SetDeadline(time.Now().Add(testnet.Patience))
		o := c.outcome(c.send(m))
		if o.Else != "" {
			o.Else = fmt.Sprintf("%s, on stream %d", o.Else, c.next-2)
			c.Close()
			c = nil
		}
		return o
	}
}
