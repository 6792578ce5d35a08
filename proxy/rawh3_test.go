// SPDX-License-Identifier: Apache-2.0

package proxy

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"strconv"
	"testing"

	"github.com/quic-go/quic-go"
	"github.com/quic-go/quic-go/quicvarint"
	"golang.org/x/net/http2/hpack"

	"meridian/internal/h3raw"
	"meridian/internal/probes"
)

// Frame types of HTTP/3 and stream types: RFC 9114, sections 7.2 and 6.2; RFC 9204, section 4.2.
const (
	h3Data, h3Headers, h3CancelPush, h3Settings, h3PushPromise, h3GoAway, h3MaxPushID = 0, 1, 3, 4, 5, 7, 13

	h3Control, h3Push, h3Encoder, h3Decoder = 0, 1, 2, 3
)

// Error codes of RFC 9114, section 8.1 and RFC 9204, section 6.
const (
	h3StreamCreation  = 0x103
	h3ClosedCritical  = 0x104
	h3FrameUnexpected = 0x105
	h3FrameError      = 0x106
	h3SettingsError   = 0x109
	h3MissingSettings = 0x10a
	h3Incomplete      = 0x10d
	h3MessageError    = 0x10e
	h3QPACKFailed     = 0x200
	h3EncoderError    = 0x201
	h3DecoderError    = 0x202
)

// rawH3 is a client of HTTP/3 that sends any frame and any field.
type rawH3 struct {
	*h3raw.Client
	asked int
}

// dialH3 connects to the edge. Without settings, it opens no control stream.
func dialH3(t testing.TB, e *edge, settings bool) *rawH3 {
	t.Helper()
	if settings {
		return &rawH3{Client: h3raw.Dial(t, e.secureAddr(), "a.test")}
	}
	return &rawH3{Client: h3raw.DialSilent(t, e.secureAddr(), "a.test")}
}

// prefixInt is an integer of RFC 9204, section 4.1.1, with the bits above its prefix.
func prefixInt(b []byte, above byte, prefix, n int) []byte {
	most := 1<<prefix - 1
	if n < most {
		return append(b, above|byte(n))
	}
	b = append(b, above|byte(most))
	for n -= most; n >= 128; n >>= 7 {
		b = append(b, byte(n)|128)
	}
	return append(b, byte(n))
}

// qpackBlock writes fields as literals with literal names: RFC 9204, section 4.5.6.
func qpackBlock(fields []probes.Field) []byte {
	b := []byte{0, 0}
	for _, f := range fields {
		b = append(prefixInt(b, 0x20, 3, len(f.Name)), f.Name...)
		b = append(prefixInt(b, 0, 7, len(f.Value)), f.Value...)
	}
	return b
}

// h3Frames is a message as the frames of its stream.
func h3Frames(m *probes.Message) [][]byte {
	out := [][]byte{h3raw.Frame(h3Headers, qpackBlock(m.Fields))}
	for _, d := range m.Body {
		out = append(out, h3raw.Frame(h3Data, []byte(d)))
	}
	if m.Trailer != nil {
		out = append(out, h3raw.Frame(h3Headers, qpackBlock(m.Trailer)))
	}
	return out
}

// ask sends a request and returns how it ended. The edge may refuse it before it has read all.
func (c *rawH3) ask(t testing.TB, m *probes.Message) probes.Outcome {
	s := c.open()
	for _, f := range h3Frames(m) {
		s.Write(f)
		if m.Late {
			c.ask(t, &probes.Canary) // what was sent is acted on, and the node may get it, before what is sent next
		}
	}
	s.Close()
	o := h3Outcome(s)
	if o.Else != "" {
		o.Else = fmt.Sprintf("%s, on stream %d", o.Else, s.StreamID())
	}
	return o
}

// open opens a request stream.
func (c *rawH3) open() *quic.Stream {
	c.asked++
	return c.Open(nil)
}

// h3Outcome reads a stream to its end.
func h3Outcome(s *quic.Stream) (o probes.Outcome) {
	r := bufio.NewReader(s)
	for {
		kind, err := quicvarint.Read(r)
		if err == io.EOF && o.Status != 0 {
			return o
		}
		var payload []byte
		if err == nil {
			payload, err = readPayload(r)
		}
		if err != nil {
			var reset *quic.StreamError
			if errors.As(err, &reset) && reset.Remote {
				o.Reset = uint64(reset.ErrorCode)
			}
			if o.Malformed = o.Reset == h3MessageError; !o.Malformed {
				o.Else = err.Error()
			}
			return o
		}
		switch {
		case kind == h3Headers && o.Status < 200:
			o.Status = h3Status(payload)
		case kind == h3Data:
			o.Body += string(payload)
		}
	}
}

func readPayload(r *bufio.Reader) ([]byte, error) {
	n, err := quicvarint.Read(r)
	if err != nil {
		return nil, err
	}
	b := make([]byte, n)
	_, err = io.ReadFull(r, b)
	return b, err
}

// h3Statuses are those of the static table: RFC 9204, appendix A.
var h3Statuses = map[byte]int{24: 103, 25: 200, 26: 304, 27: 404, 28: 503, 63: 100, 64: 204, 65: 206, 66: 302, 67: 400, 68: 403, 69: 421, 70: 425, 71: 500}

// h3Status reads the first field of a block without references to the dynamic table, which must be the status.
func h3Status(b []byte) int {
	if len(b) < 4 {
		return -1
	}
	switch b = b[2:]; {
	case b[0] >= 0xc0 && b[0] < 0xff:
		return h3Statuses[b[0]&0x3f]
	case b[0] == 0xff:
		return h3Statuses[b[1]+63]
	case b[0] == 0x5f: // a name of the static table with index 15 and more
		text := string(b[3 : 3+b[2]&0x7f])
		if b[2] >= 0x80 {
			text, _ = hpack.HuffmanDecodeToString([]byte(text))
		}
		n, _ := strconv.Atoi(text)
		return n
	}
	return -1
}

// askH3 makes an engine of HTTP/3.
func askH3(t testing.TB, e *edge) func(*probes.Message) probes.Outcome {
	var c *rawH3
	return func(m *probes.Message) probes.Outcome {
		if c != nil && (c.Conn.Context().Err() != nil || c.asked > messagesOfOneConnection) {
			c.Conn.CloseWithError(0x100, "")
			c = nil
		}
		if c == nil {
			c = dialH3(t, e, true)
		}
		return c.ask(t, m)
	}
}
