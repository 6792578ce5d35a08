// SPDX-License-Identifier: Apache-2.0

package h2

import (
	"errors"
	"fmt"
	"io"
	"time"

	"golang.org/x/net/http2"

	"meridian/proxy/http1"
)

// connError is a breach of the protocol by the node that ends the connection: RFC 9113, section 5.4.1.
func connError(format string, args ...any) error {
	return &http1.Refusal{Status: 502, Reason: fmt.Sprintf(format, args...)}
}

// readLoop is the goroutine that reads what the node sends.
func (c *conn) readLoop() {
	defer c.pool.forget(c)
	for {
		f, err := c.in.ReadFrame()
		var broken http2.StreamError
		if errors.As(err, &broken) {
			c.mu.Lock()
			c.resetLocked(broken.StreamID, broken.Code, connError("its head is malformed (%v)", broken.Cause))
			c.mu.Unlock()
			continue
		}
		if err == nil {
			err = c.take(f)
		}
		if err != nil {
			if errors.Is(err, io.EOF) {
				err = io.ErrUnexpectedEOF
			}
			c.fail(err)
			return
		}
	}
}

// take acts on a frame.
func (c *conn) take(f http2.Frame) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.heard, c.pinged = time.Now(), false
	switch f := f.(type) {
	case *http2.MetaHeadersFrame:
		return c.onHeaders(f)
	case *http2.DataFrame:
		return c.onData(f)
	case *http2.SettingsFrame:
		if f.IsAck() {
			return nil
		}
		return c.settings(f)
	case *http2.WindowUpdateFrame:
		return c.onWindow(f)
	case *http2.RSTStreamFrame:
		c.onReset(f)
	case *http2.GoAwayFrame:
		c.onGoAway(f)
	case *http2.PingFrame:
		if !f.IsAck() {
			c.ctlFr.WritePing(true, f.Data)
			c.wakeControl()
		}
	case *http2.PushPromiseFrame:
		return connError("a push that was not allowed")
	}
	return nil
}

func (c *conn) onSettings(f *http2.SettingsFrame) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.settings(f)
}

// settings takes the node's settings: RFC 9113, section 6.5.2.
func (c *conn) settings(f *http2.SettingsFrame) error {
	err := f.ForeachSetting(func(s http2.Setting) error {
		if err := s.Valid(); err != nil {
			return err
		}
		switch s.ID {
		case http2.SettingMaxConcurrentStreams:
			c.maxCalls = int(min(uint32(c.pool.cfg.Streams), s.Val))
		case http2.SettingMaxFrameSize:
			c.maxFrame = int(min(s.Val, 64<<10)) // larger ones would only hold up the others
		case http2.SettingHeaderTableSize:
			c.tableSize, c.newTable = min(s.Val, 4096), true
		case http2.SettingInitialWindowSize:
			for _, call := range c.calls {
				if call.window += int64(s.Val) - c.initial; call.window > 1<<31-1 {
					return connError("a window larger than 2^31-1")
				}
				notify(call.sendable)
			}
			c.initial = int64(s.Val)
		}
		return nil
	})
	if err == nil {
		c.ctlFr.WriteSettingsAck()
		c.wakeControl()
	}
	return err
}

func (c *conn) onWindow(f *http2.WindowUpdateFrame) error {
	if f.StreamID == 0 {
		if c.window += int64(f.Increment); c.window > 1<<31-1 {
			return connError("a window larger than 2^31-1")
		}
		for _, call := range c.calls {
			notify(call.sendable)
		}
		return nil
	}
	if call := c.calls[f.StreamID]; call != nil {
		if call.window += int64(f.Increment); call.window > 1<<31-1 {
			c.resetLocked(f.StreamID, http2.ErrCodeFlowControl, connError("a window larger than 2^31-1"))
			return nil
		}
		notify(call.sendable)
		return nil
	}
	return c.known(f.StreamID)
}

// known reports an id that was never used as what it is: a breach. Others may still come for what we have ended.
func (c *conn) known(id uint32) error {
	if id%2 == 0 || id >= c.nextID {
		return connError("a frame on stream %d, which is idle", id)
	}
	return nil
}

func (c *conn) onData(f *http2.DataFrame) error {
	size := int64(f.Length) // with padding
	if c.unreturned += size; c.unreturned >= connWindow/4 {
		c.ctlFr.WriteWindowUpdate(0, uint32(c.unreturned))
		c.unreturned = 0
		c.wakeControl()
	}
	call := c.calls[f.StreamID]
	if call == nil {
		return c.known(f.StreamID)
	}
	return call.onData(f.Data(), size, f.StreamEnded())
}

func (c *conn) onHeaders(f *http2.MetaHeadersFrame) error {
	call := c.calls[f.StreamID]
	if call != nil {
		call.onHeaders(f)
		return nil
	}
	// One that we gave up may still have a whole answer on its way here, but no more than that.
	if c.strays++; c.strays > c.abandoned*(maxInterim+2) {
		return connError("a head on stream %d, which has ended", f.StreamID)
	}
	return c.known(f.StreamID)
}

func (c *conn) onReset(f *http2.RSTStreamFrame) {
	call := c.calls[f.StreamID]
	switch {
	case call == nil:
	case f.ErrCode == http2.ErrCodeRefusedStream:
		call.refused = true
		call.failLocked(ErrUnprocessed)
	case call.ended && f.ErrCode == http2.ErrCodeNo:
		call.noMore = true // its answer is whole, and it wants no more of the request: RFC 9113, section 8.1
		notify(call.sendable)
	default:
		call.failLocked(fmt.Errorf("the node ended the stream with %s: %w", f.ErrCode, io.ErrUnexpectedEOF))
	}
}

func (c *conn) onGoAway(f *http2.GoAwayFrame) {
	c.refuses = true
	for id, call := range c.calls {
		if id > f.LastStreamID {
			call.failLocked(ErrUnprocessed)
		}
	}
	if c.places == 0 {
		c.failLocked(errIdle)
	}
}

// resetLocked ends a stream from our side.
func (c *conn) resetLocked(id uint32, code http2.ErrCode, err error) {
	call := c.calls[id]
	if call == nil {
		return
	}
	call.failLocked(err)
	call.resetLocked(code)
}
