// SPDX-License-Identifier: Apache-2.0

// Package tunnel relays a connection that a client and a node have switched to another protocol, WebSocket or any other,
// and says which requests may ask for that and which answers agree.
//
// It leaves the HTTP around it to others: no byte may be given to it before the node's own 101 was checked. Run uses its
// caller's goroutine and one more, and returns when both directions have ended. A tunnel in which nothing moves owns no
// buffer where the system lets a goroutine wait for a socket without one.
//
//	if token := tunnel.Asked(request); token != "" { … }
//	if wrong := tunnel.Agreed(token, request, answer); wrong != "" { … }
//	t := tunnel.New(client, node, tunnel.Config{Idle: time.Minute, WebSocket: tunnel.IsWebSocket(token)})
//	end := t.Run(fromClient, fromNode)
package tunnel

import (
	"errors"
	"io"
	"net"
	"os"
	"sync"
	"sync/atomic"
	"time"
)

// copyBytes is the size of the pooled buffers. Ours: most messages fit one.
const copyBytes = 16 << 10

var copyPool = sync.Pool{New: func() any { return new([copyBytes]byte) }}

// lingerTime is how long a WebSocket's client has to close after its node has: nothing that it sends is of use then, but
// closing while it sends could cost it what it has not read. Ours.
const lingerTime = time.Second

// goingAway is a close frame with status 1001: RFC 6455, sections 5.5.1 and 7.4.1.
var goingAway = []byte{0x80 | opClose, 2, 1001 >> 8, 1001 & 0xff}

// errAway wakes a direction that waits when GoAway was called.
var errAway = errors.New("the tunnel was told to end")

// errIdle ends a tunnel in which nothing has moved for too long.
var errIdle = errors.New("nothing was sent in either direction for too long")

// Config is what a Tunnel needs.
type Config struct {
	// Idle bounds the time in which nothing moves in either direction, and in which a side takes what is written to it.
	Idle time.Duration
	// WebSocket says that both directions carry the frames of RFC 6455.
	WebSocket bool
}

// End says how a tunnel ended.
type End struct {
	// FromClient and FromNode are the bytes that were relayed.
	FromClient, FromNode int64
	// Err is nil where both sides ended their direction.
	Err error
}

// Tunnel joins two connections. It does not own them: Run's caller closes both.
type Tunnel struct {
	cfg          Config
	client, node side
	down         frames       // from the node to the client, where it is a WebSocket
	moved        atomic.Int64 // when something was read last, in Unix nanoseconds
	said         bool         // 1001 was sent

	mu   sync.Mutex // guards the fields below, with the read deadlines
	away bool
	kill *time.Timer // cuts the tunnel
	over bool        // cut was called
	err  error       // what it was called with first

	killAt time.Time
}

// New joins the two. Their deadlines are the tunnel's from here on.
func New(client, node net.Conn, c Config) *Tunnel {
	t := &Tunnel{cfg: c}
	t.client.init(client)
	t.node.init(node)
	return t
}

// Run relays both directions until both have ended. What was read of either side before goes first.
func (t *Tunnel) Run(fromClient, fromNode []byte) End {
	t.start()
	var e End
	var up sync.WaitGroup
	up.Go(func() {
		e.FromClient = t.pump(&t.client, &t.node, fromClient, t.node.write)
		if t.endOf(&t.client, &t.node); t.cfg.WebSocket && t.sawAway() {
			t.cut(nil) // the client has seen the end, too
		}
	})
	e.FromNode = t.pump(&t.node, &t.client, fromNode, t.writeDown)
	if t.endOf(&t.node, &t.client); t.cfg.WebSocket {
		t.cutAfter(lingerTime)
	}
	up.Wait()
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.kill != nil {
		t.kill.Stop()
	}
	e.Err = t.err
	return e
}

// start sets the first deadlines.
func (t *Tunnel) start() {
	now := time.Now()
	t.moved.Store(now.UnixNano())
	t.mu.Lock()
	defer t.mu.Unlock()
	t.client.nc.SetWriteDeadline(time.Time{})
	t.node.nc.SetWriteDeadline(time.Time{})
	t.client.nc.SetReadDeadline(now.Add(t.cfg.Idle))
	if !t.away {
		t.node.nc.SetReadDeadline(now.Add(t.cfg.Idle))
	}
}

// GoAway ends the tunnel: a WebSocket's client gets a close frame with 1001 behind the frame that is on its way, and both
// sides have until the time to close; anything else is cut. It returns at once, may be called by any goroutine, before Run
// too, and more than once.
func (t *Tunnel) GoAway(within time.Duration) {
	if !t.cfg.WebSocket {
		t.cut(errAway)
		return
	}
	t.mu.Lock()
	t.away = true
	t.node.nc.SetReadDeadline(past)
	t.mu.Unlock()
	t.cutAfter(within)
}

// past is a deadline that makes a waiting read return.
var past = time.Unix(1, 0)

// pump copies one direction, first what was read before, and returns how many bytes it gave to write.
func (t *Tunnel) pump(from, to *side, first []byte, write func([]byte, time.Duration) error) (n int64) {
	if len(first) > 0 {
		if err := write(first, t.cfg.Idle); err != nil {
			t.cut(err)
			return 0
		}
		n = int64(len(first))
	}
	for {
		b, err := t.read(from)
		if b.n > 0 {
			err = write(b.bytes(), t.cfg.Idle)
			n += int64(b.n)
		}
		b.free()
		switch {
		case err == nil:
		case err == errAway:
			if err := t.sayGoodbye(nil); err != nil {
				t.cut(err)
				return n
			}
		case err == io.EOF:
			return n
		default:
			t.cut(err)
			return n
		}
	}
}

// read waits for bytes of a side. What moves the other way keeps this one alive.
func (t *Tunnel) read(s *side) (chunk, error) {
	for {
		b, err := s.read()
		if b.n > 0 {
			t.moved.Store(time.Now().UnixNano())
			return b, nil
		}
		b.free()
		if !errors.Is(err, os.ErrDeadlineExceeded) {
			return chunk{}, err
		}
		if err := t.arm(s); err != nil {
			return chunk{}, err
		}
	}
}

// arm sets a side's read deadline: to when the tunnel will have been idle for too long, as far as is known now. So a timer
// is moved once in Idle and not for each message.
func (t *Tunnel) arm(s *side) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.away {
		s.nc.SetReadDeadline(time.Time{}) // the tunnel has an end already
		if s == &t.node && !s.told {
			s.told = true
			return errAway
		}
		return nil
	}
	until := time.Unix(0, t.moved.Load()).Add(t.cfg.Idle)
	if !time.Now().Before(until) {
		return errIdle
	}
	return s.nc.SetReadDeadline(until)
}

// writeDown relays bytes of the node to the client, and follows their frames. After GoAway it stops at the next boundary,
// says so there and drops the rest.
func (t *Tunnel) writeDown(b []byte, timeout time.Duration) error {
	if !t.cfg.WebSocket {
		return t.client.write(b, timeout)
	}
	if t.sawAway() {
		return t.sayGoodbye(b)
	}
	for rest := b; len(rest) > 0; {
		rest = rest[t.down.step(rest):]
	}
	return t.client.write(b, timeout)
}

// sayGoodbye relays b up to the frame's end, sends 1001 there and drops what is behind. A node that has closed by itself, or
// does not send frames, is left to end what it began.
func (t *Tunnel) sayGoodbye(b []byte) error {
	if t.said {
		return nil
	}
	n := 0
	for !t.down.boundary() && n < len(b) {
		n += t.down.step(b[n:])
	}
	if n > 0 {
		if err := t.client.write(b[:n], t.cfg.Idle); err != nil {
			return err
		}
	}
	if !t.down.boundary() || t.down.closed {
		return nil
	}
	t.said = true
	return t.client.write(goingAway, t.cfg.Idle)
}

func (t *Tunnel) sawAway() bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.away
}

// halfCloser is a connection whose directions can end one by one.
type halfCloser interface{ CloseWrite() error }

// endOf tells a side that nothing more comes from the other. Where either knows only a whole close, that is what it was.
func (t *Tunnel) endOf(from, to *side) {
	_, half := from.nc.(halfCloser)
	h, ok := to.nc.(halfCloser)
	if !half || !ok || h.CloseWrite() != nil {
		t.cut(nil)
	}
}

// cut ends both directions at once. Only the first reason is kept.
func (t *Tunnel) cut(err error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if !t.over {
		t.over, t.err = true, err
	}
	t.client.nc.Close()
	t.node.nc.Close()
}

// cutAfter cuts the tunnel after that time, or the shorter one that runs already, unless it has ended by then.
func (t *Tunnel) cutAfter(d time.Duration) {
	t.mu.Lock()
	defer t.mu.Unlock()
	at := time.Now().Add(d)
	if t.kill != nil && !at.Before(t.killAt) {
		return
	}
	if t.kill != nil {
		t.kill.Stop()
	}
	t.killAt = at
	t.kill = time.AfterFunc(d, func() { t.cut(nil) })
}
