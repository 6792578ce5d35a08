// SPDX-License-Identifier: Apache-2.0

package h2

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"sync"
	"time"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"
)

// ErrUnprocessed says that the node has not acted on the request and will not: RFC 9113, section 8.7. Any request may be
// sent again, to any node.
var ErrUnprocessed = errors.New("the node did not take the request")

// ErrGreeting says that what listens there does not speak HTTP/2.
var ErrGreeting = errors.New("it does not speak HTTP/2")

var (
	errPoolClosed  = errors.New("the edge is closing its connections")
	errNoPlace     = errors.New("it takes no requests, or the edge is closing its connections")
	errClosed      = errors.New("the request was given up")
	errIdle        = errors.New("the connection was not used for too long")
	errSilent      = errors.New("the node did not answer a PING")
	errDialTimeout = os.ErrDeadlineExceeded
)

// Bounds. Ours.
const (
	// streamWindow bounds what is buffered of one answer; connWindow is given back as bytes come, so that a client which
	// doesn't read holds up nobody else.
	streamWindow = 128 << 10
	connWindow   = 1 << 20
	// writeTimeout is how long a node may take to read from its socket: flow control has it say beforehand what it takes.
	writeTimeout = 10 * time.Second
	// maxControl bounds the control frames that wait to be sent: a node that has us answer but doesn't read loses the connection.
	maxControl = 64 << 10
	// maxStreamID is the last one used; 2^31-1 is RFC 9113's, and a connection hardly lives so long.
	maxStreamID = 1 << 30
)

// conn is a connection to a node.
type conn struct {
	// set once, never changed
	pool *Pool
	addr string
	nc   net.Conn
	in   *http2.Framer
	more chan struct{} // control frames wait

	wmu  sync.Mutex // guards writing to nc with the fields below; taken before mu
	out  bytes.Buffer
	fr   *http2.Framer // to out
	henc *hpack.Encoder
	hbuf bytes.Buffer

	mu         sync.Mutex // guards the fields below and the calls' own
	calls      map[uint32]*Call
	places     int // calls that have a place, those without an id included
	nextID     uint32
	ctl        bytes.Buffer // control frames to be sent
	ctlFr      *http2.Framer
	maxCalls   int
	maxFrame   int
	initial    int64 // of what may be sent on a new stream
	window     int64 // what may be sent on the connection
	tableSize  uint32
	newTable   bool // tableSize changed
	refuses    bool // no new stream: GOAWAY, or ids are spent
	err        error
	ended      chan struct{} // closed with err
	heard      time.Time     // when the node last sent something
	pinged     bool
	idleSince  time.Time
	idle       time.Duration
	unreturned int64 // bytes of DATA that the node has not been given back
	abandoned  int   // calls that left before their answer had come
	strays     int   // heads that came for calls that have left
}

func newConn(p *Pool, addr string, nc net.Conn) *conn {
	c := &conn{
		pool: p, addr: addr, nc: nc, more: make(chan struct{}, 1), ended: make(chan struct{}),
		calls: map[uint32]*Call{}, nextID: 1, maxCalls: p.cfg.Streams, maxFrame: 16384, initial: 65535, window: 65535,
		idle: p.cfg.IdleTimeout, idleSince: time.Now(), heard: time.Now(),
	}
	c.fr = http2.NewFramer(&c.out, nil)
	c.ctlFr = http2.NewFramer(&c.ctl, nil)
	c.henc = hpack.NewEncoder(&c.hbuf)
	c.in = http2.NewFramer(io.Discard, &blockReader{src: nc})
	c.in.SetMaxReadFrameSize(16384)
	c.in.ReadMetaHeaders = hpack.NewDecoder(4096, nil)
	c.in.MaxHeaderListSize = uint32(p.limits.Load().HeadBytes)
	return c
}

// greet sends the preface and waits for the node's: what speaks no HTTP/2 is found here, before a request is sent.
func (c *conn) greet(until time.Time) error {
	c.nc.SetDeadline(until)
	c.out.WriteString(http2.ClientPreface)
	c.fr.WriteSettings(
		http2.Setting{ID: http2.SettingEnablePush, Val: 0},
		http2.Setting{ID: http2.SettingInitialWindowSize, Val: streamWindow},
		http2.Setting{ID: http2.SettingMaxHeaderListSize, Val: c.in.MaxHeaderListSize},
	)
	c.fr.WriteWindowUpdate(0, connWindow-65535)
	if _, err := c.nc.Write(c.out.Bytes()); err != nil {
		return err
	}
	c.out.Reset()
	f, err := c.in.ReadFrame()
	if err != nil {
		return fmt.Errorf("%w: %w", ErrGreeting, err)
	}
	s, ok := f.(*http2.SettingsFrame)
	if !ok || s.IsAck() {
		return fmt.Errorf("%w: it began with %s, not with SETTINGS", ErrGreeting, f.Header().Type)
	}
	if err := c.onSettings(s); err != nil {
		return err
	}
	c.nc.SetDeadline(time.Time{})
	return nil
}

// reserve returns a place for a request, or nil where there is none.
func (c *conn) reserve() *Call {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.err != nil || c.refuses || c.places >= c.maxCalls {
		return nil
	}
	c.places++
	return &Call{c: c, ready: make(chan struct{}, 1), sendable: make(chan struct{}, 1), room: streamWindow}
}

// leave gives a place back. mu is held.
func (c *conn) leave(idle time.Duration) {
	if c.places--; c.places > 0 {
		return
	}
	c.idleSince, c.idle = time.Now(), idle
	if c.refuses {
		c.failLocked(errIdle)
	}
}

// look ends a connection that has been idle for too long and one whose node says nothing more.
func (c *conn) look(now time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	silent := now.Sub(c.heard)
	switch {
	case c.err != nil:
	case c.places == 0 && now.Sub(c.idleSince) > c.idle:
		c.failLocked(errIdle)
	case len(c.calls) == 0:
	case silent > 2*c.pool.cfg.PingAfter && c.pinged:
		c.failLocked(errSilent)
	case silent > c.pool.cfg.PingAfter && !c.pinged:
		c.pinged = true
		c.ctlFr.WritePing(false, [8]byte{'m', 'e', 'r', 'i', 'd', 'i', 'a', 'n'})
		c.wakeControl()
	}
}

// fail ends the connection with all that is on it.
func (c *conn) fail(err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.failLocked(err)
}

func (c *conn) failLocked(err error) {
	if c.err != nil {
		return
	}
	c.err = err
	close(c.ended)
	for _, call := range c.calls {
		call.failLocked(err)
	}
	c.nc.Close()
}

// wakeControl has the control frames sent. mu is held.
func (c *conn) wakeControl() {
	if c.ctl.Len() > maxControl {
		c.failLocked(errors.New("the node does not read"))
	}
	notify(c.more)
}

// controlLoop is the goroutine that sends control frames, so that neither the reader nor Close ever waits for the node.
func (c *conn) controlLoop() {
	for {
		select {
		case <-c.ended:
			return
		case <-c.more:
		}
		c.wmu.Lock()
		err := c.flush()
		c.wmu.Unlock()
		if err != nil {
			c.fail(err)
		}
	}
}

// flush sends what is in out, and the control frames first. wmu is held.
func (c *conn) flush() error {
	c.mu.Lock()
	control := bytes.Clone(c.ctl.Bytes())
	c.ctl.Reset()
	c.mu.Unlock()
	c.nc.SetWriteDeadline(time.Now().Add(writeTimeout))
	if len(control) > 0 {
		if _, err := c.nc.Write(control); err != nil {
			return err
		}
	}
	if c.out.Len() == 0 {
		return nil
	}
	_, err := c.nc.Write(c.out.Bytes())
	c.out.Reset()
	return err
}

// notify wakes who waits on a channel of one place.
func notify(ch chan struct{}) {
	select {
	case ch <- struct{}{}:
	default:
	}
}
