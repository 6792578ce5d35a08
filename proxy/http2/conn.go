// SPDX-License-Identifier: Apache-2.0

package http2

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"maps"
	"net"
	"os"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	xhttp2 "golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"

	"meridian/proxy/socket"
)

// Bounds of a connection. Ours.
const (
	readBytes    = 4 << 10
	tableBytes   = 4 << 10 // of the tables of header compression, ours and the client's: RFC 7541, section 4.2
	maxFragments = 32      // HEADERS and CONTINUATION frames of one block; two hold the largest that is taken
	lingerTime   = time.Second
	lingerBytes  = 256 << 10
)

// conn is a client's connection. The goroutine of serve reads from it and owns what is not said to be guarded.
type conn struct {
	s    *Server
	nc   net.Conn
	peer Peer
	ip   string

	br      *bufio.Reader
	fr      *xhttp2.Framer
	decoder *hpack.Decoder
	head    fields
	begun   block // the header block under way

	requests   int // that were taken
	glitches   int
	glitchSeen time.Time
	pings      uint64
	updates    uint64
	wellEnded  atomic.Int64 // streams, since the last glitch

	writers  sync.WaitGroup // the goroutine that writes, if there is one
	handling sync.WaitGroup // the streams'

	mu         sync.Mutex // guards the fields below, and the streams'
	streams    map[uint32]*stream
	blocked    map[*stream]struct{} // writes of theirs wait
	handlers   int
	lastID     uint32 // the highest stream that the client has begun
	sendWindow int64
	peerWindow int64 // what a new stream may be sent
	recvWindow int64 // what the client may still send
	consumed   int   // bytes that were read and not granted anew
	encoder    *hpack.Encoder
	encoded    bytes.Buffer
	said       said
	out        []byte
	writing    bool
	writeErr   error
	writeBy    time.Time
	ending     bool   // writeBy is not moved any more
	ended      bool   // nothing is written any more
	answers    uint64 // HEADERS and DATA frames that were queued
	sentBytes  uint64 // of DATA frames
	resets     [32]uint32
	nResets    int
	lateBytes  int  // DATA for streams that are closed, or came too late
	lateHeads  int  // of streams that came after the last GOAWAY
	waiting    bool // for a frame
	phase      phase
	final      bool // streams above lastID are not served any more
	finalTimer *time.Timer

	promised       promises  // what the client was told last
	streamsMost    int       // that it may have at one time
	unacknowledged int       // SETTINGS of ours
	room           sync.Cond // len(out) has shrunk
	drained        sync.Cond // nothing is queued, or nothing can be written any more
}

// block is a header block of which the end has not come.
type block struct {
	id        uint32
	end       bool // of the stream
	fragments int
	bytes     int
	by        time.Time
}

func newConn(s *Server, nc net.Conn, read []byte, p Peer) *conn {
	nc = socket.Wrap(nc)
	c := &conn{
		s: s, nc: nc, peer: p, ip: p.Addr.Addr().String(), glitchSeen: time.Now(),
		streams: map[uint32]*stream{}, blocked: map[*stream]struct{}{},
		sendWindow: 65535, peerWindow: 65535, recvWindow: connectionWindow, // RFC 9113, section 6.9.2
	}
	c.room.L, c.drained.L = &c.mu, &c.mu
	var src io.Reader = nc
	if len(read) > 0 {
		src = io.MultiReader(bytes.NewReader(read), nc)
	}
	c.br = bufio.NewReaderSize(src, readBytes)
	c.fr = xhttp2.NewFramer(io.Discard, c.br)
	c.fr.SetMaxReadFrameSize(frameBytes)
	c.fr.SetReuseFrames()
	c.decoder = hpack.NewDecoder(tableBytes, c.head.add)
	c.encoder = hpack.NewEncoder(&c.encoded)
	c.encoder.SetMaxDynamicTableSizeLimit(tableBytes)
	return c
}

// serve serves the connection until it ends. begun is called when the settings are on their way.
func (c *conn) serve(begun func()) {
	if c.begin() {
		begun()
		for c.next() {
		}
	}
	c.finish()
}

// begin sends our settings and reads the client's preface: RFC 9113, section 3.4.
func (c *conn) begin() bool {
	c.mu.Lock()
	c.promise()
	c.number(xhttp2.FrameWindowUpdate, 0, connectionWindow-65535)
	c.mu.Unlock()
	c.nc.SetReadDeadline(time.Now().Add(c.s.config().HeadTimeout))
	var preface [len(xhttp2.ClientPreface)]byte
	if _, err := io.ReadFull(c.br, preface[:]); err != nil {
		return false
	}
	if string(preface[:]) != xhttp2.ClientPreface {
		c.die(xhttp2.ErrCodeProtocol)
		return false
	}
	f, err := c.fr.ReadFrame()
	if err == nil {
		if sf, ok := f.(*xhttp2.SettingsFrame); !ok || sf.IsAck() {
			err = xhttp2.ConnectionError(xhttp2.ErrCodeProtocol)
		} else {
			err = c.onSettings(sf)
		}
	}
	return c.went(err)
}

// next reads a frame and acts on it. It reports whether the connection goes on.
func (c *conn) next() bool {
	if err := c.await(); err != nil {
		return c.timedOut(err)
	}
	f, err := c.fr.ReadFrame()
	if err == nil {
		err = c.on(f)
	}
	return c.went(err)
}

// await waits for the next frame's first byte, and sets the time for the whole of it where it is not there yet.
func (c *conn) await() error {
	if c.br.Buffered() == 0 {
		c.mu.Lock()
		c.waiting = true
		switch {
		case c.begun.id != 0:
			c.nc.SetReadDeadline(c.begun.by)
		case c.final && c.handlers == 0:
			c.nc.SetReadDeadline(past)
		case c.handlers == 0:
			c.nc.SetReadDeadline(time.Now().Add(c.s.config().IdleTimeout))
		default:
			c.nc.SetReadDeadline(time.Time{})
		}
		c.mu.Unlock()
		_, err := c.br.Peek(1)
		c.mu.Lock()
		c.waiting = false
		c.mu.Unlock()
		if err != nil {
			return err
		}
	}
	if n := c.br.Buffered(); n >= headerBytes {
		if h, _ := c.br.Peek(3); n >= headerBytes+(int(h[0])<<16|int(h[1])<<8|int(h[2])) {
			return nil
		}
	}
	by := time.Now().Add(c.s.config().HeadTimeout)
	if c.begun.id != 0 && c.begun.by.Before(by) {
		by = c.begun.by
	}
	c.nc.SetReadDeadline(by)
	return nil
}

// past is a deadline that makes waiting reads return.
var past = time.Unix(1, 0)

// timedOut decides what the end of a wait means. It reports whether the connection goes on.
func (c *conn) timedOut(err error) bool {
	if !errors.Is(err, os.ErrDeadlineExceeded) {
		return false
	}
	if c.begun.id != 0 {
		c.die(xhttp2.ErrCodeEnhanceYourCalm) // a head that does not end
		return false
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.handlers > 0 {
		return true // a stream has begun since the deadline was set
	}
	if !c.final {
		c.goAway(c.lastID, xhttp2.ErrCodeNo, "idle")
	}
	return false
}

// quietened lets a connection without streams end, or give up when it is idle for long. It needs c.mu.
func (c *conn) quietened() {
	if c.handlers > 0 || !c.waiting || c.begun.id != 0 {
		return
	}
	if c.final {
		c.nc.SetReadDeadline(past)
		return
	}
	c.nc.SetReadDeadline(time.Now().Add(c.s.config().IdleTimeout))
}

// handlerEnded is told by a stream's goroutine as its last.
func (c *conn) handlerEnded(s *stream) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.streams[s.id] == s { // its end could not be written
		c.reset(s.id, xhttp2.ErrCodeInternal)
		s.end(errGone)
	}
	c.handlers--
	c.quietened()
}

// went acts on the error of a frame. It reports whether the connection goes on.
func (c *conn) went(err error) bool {
	var conn xhttp2.ConnectionError
	var one xhttp2.StreamError
	switch {
	case err == nil:
		return c.heeded()
	case errors.As(err, &one):
		return c.went(c.streamError(one.StreamID, one.Code))
	case errors.As(err, &conn):
		c.die(xhttp2.ErrCode(conn))
	case errors.Is(err, xhttp2.ErrFrameTooLarge):
		c.die(xhttp2.ErrCodeFrameSize)
	case errors.Is(err, os.ErrDeadlineExceeded):
		c.die(xhttp2.ErrCodeEnhanceYourCalm) // a frame that does not end
	}
	return false
}

// heeded waits until the client has taken enough of what is queued for it.
func (c *conn) heeded() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	for len(c.out) > outMost && c.writeErr == nil {
		c.room.Wait()
	}
	return c.writeErr == nil
}

// streamError resets a stream for a mistake of the client.
func (c *conn) streamError(id uint32, code xhttp2.ErrCode) error {
	c.mu.Lock()
	s, idle := c.streams[id], id > c.lastID
	if s == nil && !idle {
		c.reset(id, code)
	}
	c.mu.Unlock()
	switch {
	case idle:
		return xhttp2.ConnectionError(code) // there is nothing to reset: RFC 9113, section 5.1
	case s != nil:
		s.resetBy(code)
	}
	return c.glitch()
}

// die tells the client why the connection ends.
func (c *conn) die(code xhttp2.ErrCode) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.goAway(c.lastID, code, "")
}

// enter tells the client what phase the server is in.
func (c *conn) enter(p phase, quiet time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if p >= leaving && c.phase < leaving {
		c.phase = leaving
		c.goAway(1<<31-1, xhttp2.ErrCodeNo, "")
	}
	if p == stopping && c.phase < stopping {
		c.phase = stopping
		c.finalTimer = time.AfterFunc(quiet, c.stop)
	}
}

// stop takes no further stream.
func (c *conn) stop() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.final {
		return
	}
	c.final = true
	c.goAway(c.lastID, xhttp2.ErrCodeNo, "")
	c.quietened()
}

// finish ends the connection: streams that are left are cancelled, what is queued is written, and the client is given
// time to read it.
func (c *conn) finish() {
	c.mu.Lock()
	if c.finalTimer != nil {
		c.finalTimer.Stop()
	}
	c.final = true
	left := slices.Collect(maps.Values(c.streams))
	for _, s := range left {
		s.end(errGone)
	}
	c.mu.Unlock()
	for _, s := range left {
		s.cancel()
	}
	c.handling.Wait()
	c.mu.Lock()
	c.ending = true
	c.nc.SetWriteDeadline(time.Now().Add(lingerTime))
	for c.writing {
		c.drained.Wait()
	}
	c.ended = true
	broken := c.writeErr != nil
	c.mu.Unlock()
	c.writers.Wait()
	if !broken {
		c.linger()
	}
	c.nc.Close()
}

// linger waits, within bounds, for the client to close: closing while its bytes come in would make the kernel send a
// reset, which can overtake what we have sent.
func (c *conn) linger() {
	half, ok := c.nc.(interface{ CloseWrite() error })
	if !ok || half.CloseWrite() != nil {
		return
	}
	c.nc.SetReadDeadline(time.Now().Add(lingerTime))
	io.CopyN(io.Discard, c.nc, lingerBytes)
}

// kernelConn returns the connection below TLS.
func kernelConn(nc net.Conn) net.Conn { return socket.Kernel(nc) }
