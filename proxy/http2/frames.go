// SPDX-License-Identifier: Apache-2.0

package http2

import (
	"slices"
	"time"

	xhttp2 "golang.org/x/net/http2"

	"meridian/proxy/exchange"
)

// on acts on a frame. The Framer has checked its form and that CONTINUATION follows where it must.
func (c *conn) on(f xhttp2.Frame) error {
	switch f := f.(type) {
	case *xhttp2.DataFrame:
		return c.onData(f)
	case *xhttp2.HeadersFrame:
		return c.onHeaders(f)
	case *xhttp2.ContinuationFrame:
		return c.onBlock(f.HeaderBlockFragment(), f.HeadersEnded())
	case *xhttp2.SettingsFrame:
		if f.IsAck() {
			c.onAcknowledged()
			return nil
		}
		if err := c.onSettings(f); err != nil {
			return err
		}
		return c.glitch()
	case *xhttp2.WindowUpdateFrame:
		return c.onWindowUpdate(f)
	case *xhttp2.RSTStreamFrame:
		return c.onReset(f)
	case *xhttp2.PingFrame:
		if f.IsAck() {
			return c.glitch() // we have sent none
		}
		c.mu.Lock()
		c.frame(xhttp2.FramePing, xhttp2.FlagPingAck, 0, f.Data[:]...)
		earned := c.answers + 2
		c.mu.Unlock()
		return c.prompted(&c.pings, earned)
	case *xhttp2.PriorityFrame:
		if f.StreamDep == f.StreamID {
			return xhttp2.StreamError{StreamID: f.StreamID, Code: xhttp2.ErrCodeProtocol}
		}
		return c.glitch()
	case *xhttp2.PushPromiseFrame:
		return xhttp2.ConnectionError(xhttp2.ErrCodeProtocol) // RFC 9113, section 8.4
	case *xhttp2.GoAwayFrame:
		return nil // it opens no streams any more; those under way go on
	}
	return c.glitch() // unknown types are passed over: RFC 9113, section 5.5
}

// onSettings takes the client's settings: RFC 9113, section 6.5.2.
func (c *conn) onSettings(f *xhttp2.SettingsFrame) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if f.NumSettings() > 64 {
		return xhttp2.ConnectionError(xhttp2.ErrCodeEnhanceYourCalm)
	}
	err := f.ForeachSetting(func(set xhttp2.Setting) error {
		if err := set.Valid(); err != nil {
			return err
		}
		switch set.ID {
		case xhttp2.SettingHeaderTableSize:
			c.encoder.SetMaxDynamicTableSize(set.Val)
		case xhttp2.SettingInitialWindowSize:
			return c.setPeerWindow(int64(set.Val))
		}
		return nil
	})
	if err == nil {
		c.frame(xhttp2.FrameSettings, xhttp2.FlagSettingsAck, 0)
	}
	return err
}

// maxWindow is the largest window: RFC 9113, section 6.9.1.
const maxWindow = 1<<31 - 1

// setPeerWindow changes what streams may be sent, of those under way, too: RFC 9113, section 6.9.2. It needs c.mu.
func (c *conn) setPeerWindow(n int64) error {
	change := n - c.peerWindow
	c.peerWindow = n
	for _, s := range c.streams {
		if s.sendWindow += change; s.sendWindow > maxWindow {
			return xhttp2.ConnectionError(xhttp2.ErrCodeFlowControl)
		}
		s.writable.cond.Signal()
	}
	return nil
}

func (c *conn) onWindowUpdate(f *xhttp2.WindowUpdateFrame) error {
	c.mu.Lock()
	s, idle := c.streams[f.StreamID], f.StreamID > c.lastID
	over := false
	switch {
	case f.StreamID == 0:
		c.sendWindow += int64(f.Increment)
		over = c.sendWindow > maxWindow
		c.wakeBlocked()
	case s != nil:
		s.sendWindow += int64(f.Increment)
		over = s.sendWindow > maxWindow
		s.writable.cond.Signal()
	}
	earned := 2*c.answers + c.sentBytes/512 + 4*uint64(c.lastID) // clients open windows wide for each stream, and in steps of KiBs
	idle = idle && !c.final
	c.mu.Unlock()
	switch {
	case f.StreamID == 0 && over:
		return xhttp2.ConnectionError(xhttp2.ErrCodeFlowControl)
	case over:
		return xhttp2.StreamError{StreamID: f.StreamID, Code: xhttp2.ErrCodeFlowControl}
	case idle:
		return xhttp2.ConnectionError(xhttp2.ErrCodeProtocol)
	}
	return c.prompted(&c.updates, earned+16)
}

func (c *conn) onReset(f *xhttp2.RSTStreamFrame) error {
	c.mu.Lock()
	s, idle := c.streams[f.StreamID], f.StreamID > c.lastID
	if s != nil {
		s.end(errGone)
	} else {
		c.overdue(f.StreamID, true)
	}
	idle = idle && !c.final
	c.mu.Unlock()
	if idle {
		return xhttp2.ConnectionError(xhttp2.ErrCodeProtocol)
	}
	if s != nil {
		s.cancel()
	}
	return c.glitch()
}

// overdue reports whether a frame for a stream that is closed may have been sent before our reset of it came: those are
// passed over, RFC 9113, section 5.1. last says that the client can send no further one. It needs c.mu.
func (c *conn) overdue(id uint32, last bool) bool {
	i := slices.Index(c.resets[:], id)
	if i >= 0 && last {
		c.resets[i] = 0
	}
	return i >= 0
}

func (c *conn) onData(f *xhttp2.DataFrame) error {
	id, size, end := f.StreamID, int(f.Length), f.StreamEnded()
	c.mu.Lock()
	if int64(size) > c.recvWindow {
		c.mu.Unlock()
		return xhttp2.ConnectionError(xhttp2.ErrCodeFlowControl)
	}
	c.recvWindow -= int64(size)
	s := c.streams[id]
	if s == nil {
		c.grant(size) // it counts although nobody wants it: RFC 9113, section 6.9
		idle, ours := id > c.lastID, c.overdue(id, end)
		most := streamWindow * c.nResets // that can have been on its way
		if c.final {
			ours = ours || idle // it may have been sent before our GOAWAY came: RFC 9113, section 6.8
			idle = false
			most += 2 * connectionWindow
		}
		c.lateBytes += size
		tooMuch := size == 0 || c.lateBytes > most
		c.mu.Unlock()
		switch {
		case idle:
			return xhttp2.ConnectionError(xhttp2.ErrCodeProtocol)
		case ours && tooMuch:
			return c.glitch()
		case ours:
			return nil // it was on its way: RFC 9113, section 5.1
		}
		return xhttp2.StreamError{StreamID: id, Code: xhttp2.ErrCodeStreamClosed}
	}
	code := s.receive(f.Data(), size, end)
	if code != xhttp2.ErrCodeNo {
		c.grant(size)
	}
	c.mu.Unlock()
	switch {
	case code != xhttp2.ErrCodeNo:
		return xhttp2.StreamError{StreamID: id, Code: code}
	case len(f.Data()) == 0 && !end:
		return c.glitch()
	}
	return nil
}

// grant lets the client send n bytes more, many at a time. It needs c.mu.
func (c *conn) grant(n int) {
	if c.consumed += n; c.consumed >= connectionWindow/2 {
		c.recvWindow += int64(c.consumed)
		c.number(xhttp2.FrameWindowUpdate, 0, uint32(c.consumed))
		c.consumed = 0
	}
}

func (c *conn) onHeaders(f *xhttp2.HeadersFrame) error {
	if f.StreamID%2 == 0 {
		return xhttp2.ConnectionError(xhttp2.ErrCodeProtocol)
	}
	c.begun = block{id: f.StreamID, end: f.StreamEnded(), by: time.Now().Add(c.s.config().HeadTimeout)}
	c.head.reset(c.s.config().Limits)
	c.decoder.SetMaxStringLength(2 * c.s.config().HeadBytes) // one that is too long gets its answer
	err := c.onBlock(f.HeaderBlockFragment(), f.HeadersEnded())
	if err == nil && f.HasPriority() && f.Priority.StreamDep == f.StreamID {
		return xhttp2.StreamError{StreamID: f.StreamID, Code: xhttp2.ErrCodeProtocol}
	}
	return err
}

// onBlock takes a piece of a header block. All of it is decoded, whatever becomes of the stream, since later blocks build
// on it.
func (c *conn) onBlock(piece []byte, last bool) error {
	b := &c.begun
	b.fragments++
	b.bytes += len(piece)
	if b.fragments > maxFragments || b.bytes > 2*c.s.config().HeadBytes {
		return xhttp2.ConnectionError(xhttp2.ErrCodeEnhanceYourCalm)
	}
	if _, err := c.decoder.Write(piece); err != nil {
		return xhttp2.ConnectionError(xhttp2.ErrCodeCompression)
	}
	if !last {
		return nil
	}
	if err := c.decoder.Close(); err != nil {
		return xhttp2.ConnectionError(xhttp2.ErrCodeCompression)
	}
	id, end := b.id, b.end
	*b = block{}
	if err := c.onHead(id, end); err != nil {
		return err
	}
	if n := c.head.bytes / c.s.config().HeadBytes; n > 0 {
		return c.waste(n) // decoding it has cost as much as that many heads: an indexed field of 4 KiB is one byte on the wire
	}
	return nil
}

// onHead takes a whole header block: of a new stream, or a trailer.
func (c *conn) onHead(id uint32, end bool) error {
	c.mu.Lock()
	if id <= c.lastID {
		s, ours := c.streams[id], c.streams[id] == nil && c.overdue(id, end)
		c.mu.Unlock()
		switch {
		case s != nil:
			return c.onTrailer(s, end)
		case ours:
			return c.glitch()
		}
		return xhttp2.ConnectionError(xhttp2.ErrCodeStreamClosed)
	}
	if c.final { // GOAWAY has said so
		c.lateHeads++
		tooMany := c.lateHeads > c.streamsMost // than can have been on their way
		c.mu.Unlock()
		if tooMany {
			return c.glitch()
		}
		return nil
	}
	c.lastID = id
	full := len(c.streams) >= c.streamsMost || c.handlers >= 2*c.streamsMost // handlers end a little after their streams
	c.mu.Unlock()
	if full {
		return xhttp2.StreamError{StreamID: id, Code: xhttp2.ErrCodeRefusedStream}
	}
	head, ok, refused := c.head.request(end)
	if !ok {
		return xhttp2.StreamError{StreamID: id, Code: xhttp2.ErrCodeProtocol}
	}
	handler := c.s.config().Handler
	switch {
	case refused != nil:
		c.s.config().Refused(c.peer.Addr, refused)
		handler = refusal(refused)
	case head.Length == 0 && !end:
		handler = ended(handler)
	}
	c.start(id, &head, end, handler)
	c.countRequest()
	return nil
}

// countRequest ends the connection with its last request. Shortly before, the client is told to begin nothing new here, so that nothing
// is on its way when the end is said: RFC 9113, section 6.8.
func (c *conn) countRequest() {
	c.requests++
	most := c.s.config().MaxRequests
	switch {
	case c.requests >= most:
		c.stop()
	case c.requests >= most-min(c.streamsMost, most/8):
		c.enter(leaving, 0)
	}
}

// start begins a stream.
func (c *conn) start(id uint32, head *requestHead, end bool, handler exchange.Handler) {
	c.s.streams.Add(1)
	c.mu.Lock()
	s := newStream(c, id)
	s.remoteEnded = end
	s.awaits = head.expects && !end
	s.x = exchange.Exchange{
		Request: head.Request, Body: (*requestBody)(s), Reply: (*reply)(s),
		Client: c.peer.Addr, ClientIP: c.ip, ServerName: c.peer.ServerName, Received: time.Now(),
	}
	s.x.Scheme, s.x.Protocol, s.x.Listener = c.peer.Scheme, "2", c.peer.Listener
	c.streams[id] = s
	c.handlers++
	c.mu.Unlock()
	c.handling.Go(func() { s.run(handler) })
}

// onTrailer takes the header block behind a body, which must end the stream: RFC 9113, section 8.1.
func (c *conn) onTrailer(s *stream, end bool) error {
	trailer, ok := c.head.trailer()
	c.mu.Lock()
	code := xhttp2.ErrCodeNo
	switch {
	case s.remoteEnded:
		code = xhttp2.ErrCodeStreamClosed
	case !end || !ok:
		code = xhttp2.ErrCodeProtocol
	default:
		s.trailer = trailer
		code = s.receive(nil, 0, true)
	}
	c.mu.Unlock()
	if code != xhttp2.ErrCodeNo {
		return xhttp2.StreamError{StreamID: s.id, Code: code}
	}
	return nil
}
