// SPDX-License-Identifier: Apache-2.0

package probe

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"strconv"
	"strings"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"

	"meridian/topology"
)

// Ours: bounds of what a gRPC node can make us read. An answer that says SERVING is some 300 bytes in five frames.
const (
	maxGRPCBytes   = 64 << 10
	maxGRPCFrames  = 64
	maxGRPCHead    = 16 << 10
	maxGRPCMessage = 4 << 10
)

var (
	errLongGRPC = errors.New("the gRPC answer is longer than 64 KiB or 64 frames")
	errGoAway   = errors.New("the node ends its connection (GOAWAY)")
	errNotHTTP2 = errors.New("no HTTP/2 is spoken there")
	errNoStatus = errors.New("the gRPC answer has no status")
	errGRPCForm = errors.New("malformed gRPC message")
)

// servingStatus are the values of grpc.health.v1.HealthCheckResponse.ServingStatus.
var servingStatus = [...]string{"UNKNOWN", "SERVING", "NOT_SERVING", "SERVICE_UNKNOWN"}

// askServing makes the one call grpc.health.v1.Health/Check and passes if the answer is SERVING.
func askServing(conn net.Conn, address string, how topology.HealthCheck) error {
	limited := &io.LimitedReader{R: conn, N: maxGRPCBytes}
	fr := http2.NewFramer(conn, limited)
	fr.ReadMetaHeaders = hpack.NewDecoder(4096, nil)
	fr.MaxHeaderListSize = maxGRPCHead
	fr.SetMaxReadFrameSize(16 << 10) // the least that a peer may send without being asked (RFC 9113, section 4.2)
	if err := sendCheck(conn, hostOf(how, address), how); err != nil {
		return err
	}
	c := grpcCall{fr: fr}
	for range maxGRPCFrames {
		f, err := fr.ReadFrame()
		switch {
		case err != nil && limited.N == 0:
			return errLongGRPC
		case errors.Is(err, http2.ErrFrameTooLarge): // what text looks like as a frame
			return errNotHTTP2
		case err != nil:
			return err
		}
		if err := c.take(f); err != nil {
			return err
		}
		if c.ended {
			return c.verdict()
		}
	}
	return errLongGRPC
}

// sendCheck writes the connection's start and the call in one piece.
func sendCheck(conn net.Conn, authority string, how topology.HealthCheck) error {
	var head, out bytes.Buffer
	enc := hpack.NewEncoder(&head)
	scheme := "http"
	if how.TLS {
		scheme = "https"
	}
	fields := [][2]string{
		{":method", "POST"}, {":scheme", scheme}, {":path", "/grpc.health.v1.Health/Check"}, {":authority", authority},
	}
	own := [][2]string{
		{"Content-Type", "application/grpc"}, {"TE", "trailers"}, {"Grpc-Timeout", fmt.Sprintf("%dm", how.Timeout.Std().Milliseconds())}, userAgent,
	}
	for _, f := range append(fields, fieldsOf(how, own...)...) {
		enc.WriteField(hpack.HeaderField{Name: strings.ToLower(f[0]), Value: f[1]})
	}
	message := append([]byte{0x0a}, binary.AppendUvarint(nil, uint64(len(how.Service)))...) // field 1, length-delimited
	message = append(message, how.Service...)
	data := append([]byte{0}, binary.BigEndian.AppendUint32(nil, uint32(len(message)))...)

	out.WriteString(http2.ClientPreface)
	fr := http2.NewFramer(&out, nil)
	fr.WriteSettings(http2.Setting{ID: http2.SettingEnablePush, Val: 0}, http2.Setting{ID: http2.SettingMaxHeaderListSize, Val: maxGRPCHead})
	writeHead(fr, head.Bytes())
	fr.WriteData(1, true, append(data, message...))
	_, err := conn.Write(out.Bytes())
	return err
}

// writeHead writes a header block, which headers of a pool may make larger than one frame.
func writeHead(fr *http2.Framer, block []byte) {
	const most = 16384
	part := block[:min(len(block), most)]
	block = block[len(part):]
	fr.WriteHeaders(http2.HeadersFrameParam{StreamID: 1, BlockFragment: part, EndHeaders: len(block) == 0})
	for len(block) > 0 {
		part = block[:min(len(block), most)]
		block = block[len(part):]
		fr.WriteContinuation(1, len(block) == 0, part)
	}
}

// grpcCall is what has come of the answer.
type grpcCall struct {
	fr      *http2.Framer
	status  string // :status
	code    string // grpc-status
	text    string // grpc-message
	message []byte
	ended   bool
}

func (c *grpcCall) take(f http2.Frame) error {
	switch f := f.(type) {
	case *http2.SettingsFrame:
		if !f.IsAck() {
			return c.fr.WriteSettingsAck()
		}
	case *http2.PingFrame:
		if !f.IsAck() {
			return c.fr.WritePing(true, f.Data)
		}
	case *http2.GoAwayFrame:
		if f.LastStreamID < 1 {
			return errGoAway
		}
	case *http2.RSTStreamFrame:
		return fmt.Errorf("the node ended the call: %s", f.ErrCode)
	case *http2.MetaHeadersFrame:
		c.takeHead(f)
	case *http2.DataFrame:
		if len(c.message)+len(f.Data()) > maxGRPCMessage {
			return errLongGRPC
		}
		c.message = append(c.message, f.Data()...)
		c.ended = f.StreamEnded()
	}
	return nil
}

func (c *grpcCall) takeHead(f *http2.MetaHeadersFrame) {
	for _, h := range f.Fields {
		switch h.Name {
		case ":status":
			c.status = h.Value
		case "grpc-status":
			c.code = h.Value
		case "grpc-message":
			c.text = h.Value
		}
	}
	c.ended = f.StreamEnded()
}

// verdict judges a whole answer.
func (c *grpcCall) verdict() error {
	if c.status != "200" {
		if code, err := strconv.Atoi(c.status); err == nil {
			return statusError(code)
		}
		return errNoStatus
	}
	switch c.code {
	case "0":
		return serving(c.message)
	case "":
		return errNoStatus
	case "5":
		return errors.New("gRPC status 5: the service is not known to the node")
	case "12":
		return errors.New("gRPC status 12: the node has no grpc.health.v1")
	}
	return fmt.Errorf("gRPC status %s: %s", c.code, c.text)
}

// serving reads a message with its prefix: HealthCheckResponse has one field, the status.
func serving(b []byte) error {
	if len(b) < 5 || b[0] != 0 || int(binary.BigEndian.Uint32(b[1:5])) != len(b)-5 {
		return errGRPCForm
	}
	status := uint64(0)
	for b = b[5:]; len(b) > 0; {
		key, n := binary.Uvarint(b)
		if n <= 0 || key&7 != 0 { // only varints are known; what a later version adds may be more, and fails loudly
			return errGRPCForm
		}
		v, m := binary.Uvarint(b[n:])
		if m <= 0 {
			return errGRPCForm
		}
		if key>>3 == 1 {
			status = v
		}
		b = b[n+m:]
	}
	switch {
	case status == 1:
		return nil
	case status < uint64(len(servingStatus)):
		return fmt.Errorf("gRPC health: %s", servingStatus[status])
	}
	return fmt.Errorf("gRPC health: status %d", status)
}
