// SPDX-License-Identifier: Apache-2.0

package http2

import (
	"encoding/binary"
	"fmt"
	"net"
	"runtime"
	"sync"
	"time"

	xhttp2 "golang.org/x/net/http2"
)

// Bounds of what waits to be written. Ours.
const (
	outBytes    = 64 << 10     // handlers wait while more than this is queued
	outMost     = 4 * outBytes // the reader waits, too: a peer that asks and does not read is not read either
	frameBytes  = 16 << 10     // of a frame's payload: the least that every peer takes
	headerBytes = 9            // of a frame's header: RFC 9113, section 4.1
)

// outPool holds the buffers of what is to be written; a connection that waits owns none.
var outPool = sync.Pool{New: func() any { b := make([]byte, 0, 8<<10); return &b }}

// appendHeader appends a frame's header.
func appendHeader(b []byte, length int, t xhttp2.FrameType, flags xhttp2.Flags, id uint32) []byte {
	return append(b, byte(length>>16), byte(length>>8), byte(length), byte(t), byte(flags), byte(id>>24), byte(id>>16), byte(id>>8), byte(id))
}

// The methods below need c.mu. What they append is written soon.

func (c *conn) frame(t xhttp2.FrameType, flags xhttp2.Flags, id uint32, payload ...byte) {
	c.borrowOut()
	c.out = appendHeader(c.out, len(payload), t, flags, id)
	c.out = append(c.out, payload...)
	c.kick()
}

func (c *conn) number(t xhttp2.FrameType, id, n uint32) {
	c.frame(t, 0, id, byte(n>>24), byte(n>>16), byte(n>>8), byte(n))
}

func (c *conn) reset(id uint32, code xhttp2.ErrCode) {
	c.resets[c.nResets%len(c.resets)] = id
	c.nResets++
	c.number(xhttp2.FrameRSTStream, id, uint32(code))
}

func (c *conn) goAway(last uint32, code xhttp2.ErrCode, reason string) {
	b := binary.BigEndian.AppendUint32(nil, last)
	b = binary.BigEndian.AppendUint32(b, uint32(code))
	c.frame(xhttp2.FrameGoAway, 0, 0, append(b, reason...)...)
}

func (c *conn) settings(list ...xhttp2.Setting) {
	var b []byte
	for _, s := range list {
		b = binary.BigEndian.AppendUint16(b, uint16(s.ID))
		b = binary.BigEndian.AppendUint32(b, s.Val)
	}
	c.frame(xhttp2.FrameSettings, 0, 0, b...)
}

// block appends a header block as one HEADERS frame and as many CONTINUATION frames as it takes.
func (c *conn) block(id uint32, b []byte, end bool) {
	c.borrowOut()
	t, flags := xhttp2.FrameHeaders, xhttp2.Flags(0)
	if end {
		flags = xhttp2.FlagHeadersEndStream
	}
	for {
		n := min(len(b), frameBytes)
		if n == len(b) {
			flags |= xhttp2.FlagHeadersEndHeaders
		}
		c.out = appendHeader(c.out, n, t, flags, id)
		c.out = append(c.out, b[:n]...)
		if b = b[n:]; len(b) == 0 {
			c.kick()
			return
		}
		t, flags = xhttp2.FrameContinuation, 0
	}
}

func (c *conn) data(id uint32, b []byte, end bool) {
	c.borrowOut()
	var flags xhttp2.Flags
	if end {
		flags = xhttp2.FlagDataEndStream
	}
	c.out = appendHeader(c.out, len(b), xhttp2.FrameData, flags, id)
	c.out = append(c.out, b...)
	c.answers++
	c.sentBytes += uint64(len(b))
	c.kick()
}

func (c *conn) borrowOut() {
	if c.out == nil {
		c.out = (*outPool.Get().(*[]byte))[:0]
	}
}

// kick has a goroutine write what is queued. By the time it runs, other streams have often added to it.
func (c *conn) kick() {
	if !c.writing && c.writeErr == nil && !c.ended {
		c.writing = true
		c.writers.Go(c.write)
	}
}

// write is the goroutine. It ends when nothing is queued. It lets those run first that are ready to: of the streams whose nodes
// have just answered, most then add to the one write, which costs more than all else of an answer.
func (c *conn) write() {
	runtime.Gosched()
	c.mu.Lock()
	defer c.mu.Unlock()
	for len(c.out) > 0 && c.writeErr == nil {
		b := c.out
		c.out = nil
		c.wakeBlocked()
		c.extendWrite()
		c.mu.Unlock()
		_, err := c.nc.Write(b)
		if cap(b) <= 2*outBytes {
			outPool.Put(&b)
		}
		c.mu.Lock()
		if err != nil {
			c.writeErr = fmt.Errorf("write to the client: %w", err)
			c.out = nil
			if tcp, ok := kernelConn(c.nc).(*net.TCPConn); ok {
				tcp.SetLinger(0) // the kernel would go on trying for minutes
			}
			kernelConn(c.nc).Close() // the reader notices and ends all streams
		}
	}
	c.writing = false
	c.wakeBlocked()
	c.drained.Broadcast()
}

// extendWrite sets the time by which the client must have taken what is written. It is moved only when a quarter of the
// time has passed, since most writes are done at once.
func (c *conn) extendWrite() {
	now := time.Now()
	if !c.ending && c.writeBy.Sub(now) < c.s.config().WriteTimeout*3/4 {
		c.writeBy = now.Add(c.s.config().WriteTimeout)
		c.nc.SetWriteDeadline(c.writeBy)
	}
}

// wakeBlocked lets the streams that wait for room or for the connection's window look again.
func (c *conn) wakeBlocked() {
	for s := range c.blocked {
		s.writable.cond.Signal()
	}
	c.room.Broadcast()
}
