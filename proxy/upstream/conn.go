// SPDX-License-Identifier: Apache-2.0

package upstream

import (
	"bytes"
	"errors"
	"net"
	"sync"
	"syscall"
	"time"

	"meridian/proxy/http1"
	"meridian/proxy/socket"
)

// maxReadBytes bounds what is buffered of an answer beyond its head.
const maxReadBytes = 12 << 10

// Conn is a connection to a node. One goroutine reads, another may write; Close may be called by any.
type Conn struct {
	// set once, never changed
	pool   *Pool
	limits http1.Limits // as when it was made
	addr   string
	nc     net.Conn
	raw    syscall.RawConn // nil where there is none
	peek   peeker
	sock   socket.Socket // reads and writes nc

	r       *http1.Reader
	msg     http1.Message
	resp    http1.Response
	reused  bool
	uploads bool          // the request's body follows its head
	taken   time.Time     // when Get or Dial returned it
	until   time.Time     // when a connection that is kept has been idle for too long
	idle    time.Duration // bounds the silence within an answer's body
	pause   func() error  // c.wait, made once
	writeBy time.Time     // the write deadline in force
	chunked bool          // the request's body is
	chunk   []byte        // of it, being sent
	partial bool          // a write has failed, so that the node may wait for the rest of a request

	deadline sync.Mutex // guards the fields below with the read deadline, which the goroutine that writes moves too
	readBy   time.Time  // the read deadline in force
	headed   bool       // the head has been read
	firstBy  time.Duration
	sending  bool // the request is not all out: the time for the answer has not begun
}

func newConn(p *Pool, addr string, nc net.Conn) *Conn {
	c := &Conn{pool: p, addr: addr, nc: nc, limits: *p.limits.Load(), taken: time.Now()}
	c.sock.Reset(nc)
	c.r = http1.NewReader(&c.sock, c.limits.HeadBytes+maxReadBytes)
	c.pause = c.wait
	if sc, ok := nc.(syscall.Conn); ok {
		c.raw, _ = sc.SyscallConn()
	}
	c.peek.init()
	return c
}

// Reused reports whether the connection has carried another request before.
func (c *Conn) Reused() bool { return c.reused }

// ErrStale says that the node has closed a connection that was kept unused, or has sent something on it: nothing was sent, and
// another connection may do.
var ErrStale = errors.New("the connection to the node was closed or written to while it was unused")

// quiet reports whether an unused connection can be used: nothing has come in on it, its end included. It does not wait.
func (c *Conn) quiet() bool {
	return len(c.r.Buffered()) == 0 && (c.raw == nil || c.peek.quiet(c.raw))
}

// Write sends b within the time.
func (c *Conn) Write(b []byte, timeout time.Duration) (int, error) {
	return c.writeBoth(b, nil, timeout)
}

// writeBoth sends a and then b within the time.
func (c *Conn) writeBoth(a, b []byte, timeout time.Duration) (n int, err error) {
	if len(a)+len(b) == 0 {
		return 0, nil
	}
	n, err = c.sock.WriteNow(a, b) // mostly there is room, and no deadline to be set
	if a, b = socket.Cut(a, b, n); err != nil || len(a)+len(b) == 0 {
		c.partial = c.partial || err != nil
		return n, err
	}
	now := time.Now()
	if left := c.writeBy.Sub(now); left < timeout*3/4 || left > timeout { // a timer is not moved for each write
		c.writeBy = now.Add(timeout)
		c.nc.SetWriteDeadline(c.writeBy)
	}
	more, err := c.sock.WriteBoth(a, b)
	c.partial = c.partial || err != nil
	return n + more, err
}

// Begin prepares for an answer, whose head must come within firstByte of the request's end. If the request is still being
// sent, RequestSent says when that is; ReadHead may be called before.
func (c *Conn) Begin(firstByte time.Duration, sending bool) {
	c.uploads = sending
	c.deadline.Lock()
	defer c.deadline.Unlock()
	c.headed, c.sending, c.firstBy = false, sending, firstByte
	if sending {
		c.readBy = time.Time{}
		c.nc.SetReadDeadline(c.readBy)
		return
	}
	c.readWithin(firstByte, c.taken)
}

// readWithin sets the read deadline, but not anew for each read: it may be late by a 32nd of the time.
func (c *Conn) readWithin(d time.Duration, now time.Time) {
	if left := c.readBy.Sub(now); left < d || left > d+d/32 {
		c.readBy = now.Add(d + d/32)
		c.nc.SetReadDeadline(c.readBy)
	}
}

// RequestSent starts the time for the answer's head.
func (c *Conn) RequestSent() {
	c.deadline.Lock()
	defer c.deadline.Unlock()
	c.sending = false
	if !c.headed {
		c.readWithin(c.firstBy, time.Now())
	}
}

// ReadHead reads the head of the final answer to a request. It belongs to the connection, and is valid, with its strings,
// until the next one or Release. started says whether the node has sent any byte of an answer. idle bounds the silence
// within the body.
func (c *Conn) ReadHead(q http1.Sent, idle time.Duration) (resp *http1.Response, started bool, err error) {
	if c.uploads && len(c.r.Buffered()) == 0 { // it may take as long as the client does; a whole request has waited already, in Send
		if err := c.r.FillLazily(); err != nil {
			return nil, false, err
		}
	}
	started, err = http1.ReadResponse(c.r, q, &c.resp, c.limits)
	if err != nil {
		return nil, started, err
	}
	c.deadline.Lock()
	c.headed, c.idle = true, idle
	c.deadline.Unlock()
	c.msg.ResetResponse(c.r, &c.resp, c.pause)
	return &c.resp, true, nil
}

// Hijack returns the socket and what was read from it behind the answer's head, for both sides to speak another protocol
// from here on. Close and nothing else may be called afterwards.
func (c *Conn) Hijack() (nc net.Conn, read []byte) {
	read = bytes.Clone(c.r.Buffered())
	c.r.Release()
	return c.nc, read
}

// Body reads the answer's body.
func (c *Conn) Body() Body { return &c.msg }

// wait is called before a read of the body waits for the node.
func (c *Conn) wait() error {
	c.deadline.Lock()
	defer c.deadline.Unlock()
	c.readWithin(c.idle, time.Now())
	return nil
}

// Release gives the connection back after an exchange, to be kept unused for that time; zero: Config.IdleTimeout. It ends
// the life of the answer's strings. It is kept only if the answer was read to its end, both sides want it, the request was
// sent whole and nothing came behind the answer: such bytes would be read as the answer to another client's request, as its
// head would be read as the rest of this one's body.
func (c *Conn) Release(idle time.Duration) {
	if idle <= 0 {
		idle = c.pool.cfg.IdleTimeout
	}
	idle = keepFor(c.resp.Header, idle)
	keep := idle > 0 && c.resp.Keep && c.msg.Done() && len(c.r.Buffered()) == 0 && !c.partial
	c.resp.Release()
	if !keep {
		c.Close()
		return
	}
	c.r.Release()
	c.until = time.Now().Add(idle)
	if !c.pool.put(c) {
		c.Close()
	}
}

// Close closes the connection at once: whoever reads or writes gets an error.
func (c *Conn) Close() { c.nc.Close() }
