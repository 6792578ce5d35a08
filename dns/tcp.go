// SPDX-License-Identifier: Apache-2.0

package dns

import (
	"bufio"
	"context"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"net/netip"
	"sync"
	"time"

	"meridian/dns/wire"
)

// serveTCP takes connections until the listener is closed. It adds each one's goroutine to wg.
func (s *Server) serveTCP(ctx context.Context, wg *sync.WaitGroup, sock *socket) {
	for faults := 0; ; {
		c, err := sock.tcp.AcceptTCP()
		if errors.Is(err, net.ErrClosed) {
			return
		}
		if err != nil { // as when the process has no file descriptor left
			if faults++; !s.pause(ctx, faults, "accept TCP", err) {
				return
			}
			continue
		}
		faults = 0
		if !s.conns.add(c) {
			_ = c.Close() // nothing was sent, nothing can be lost
			continue
		}
		wg.Go(func() {
			defer s.conns.remove(c)
			s.serveConn(ctx, c)
			_ = c.Close() // all that was to be sent has been, or could not be
		})
	}
}

// serveConn answers the queries of one connection in order. Pipelined ones wait their turn in the socket: no answer takes
// long enough to overtake another (RFC 7766, section 6.2.1.1).
func (s *Server) serveConn(ctx context.Context, c *net.TCPConn) {
	from := c.RemoteAddr().(*net.TCPAddr).AddrPort().Addr().Unmap()
	t := tcpTurn{server: s, conn: c, from: from, in: bufio.NewReaderSize(c, 1024)}
	wait := s.cfg.ReadTimeout
	for range s.cfg.QueriesPerConnection {
		if !t.serveOne(ctx, wait) {
			return
		}
		wait = s.cfg.IdleTimeout
	}
	t.linger(ctx)
}

// tcpTurn is one connection's state.
type tcpTurn struct {
	server *Server
	conn   *net.TCPConn
	from   netip.Addr
	in     *bufio.Reader
	query  []byte
	out    []byte
}

// serveOne reads one query and writes its answer. It returns false when the connection is to be closed.
func (t *tcpTurn) serveOne(ctx context.Context, wait time.Duration) bool {
	var length [2]byte
	if !t.read(ctx, length[:], wait) {
		return false
	}
	n := int(binary.BigEndian.Uint16(length[:]))
	if n > wire.MaxQueryBytes {
		t.server.stats.tooLong.Inc()
		return false
	}
	if cap(t.query) < n {
		t.query = make([]byte, max(n, 512))
	}
	if !t.read(ctx, t.query[:n], t.server.cfg.ReadTimeout) {
		return false
	}
	t.out = append(t.out[:0], 0, 0)
	b := t.server.answer(t.out, t.query[:n], t.from, overTCP)
	if b == nil {
		return false // what is no query is no DNS client either
	}
	t.out = b
	binary.BigEndian.PutUint16(b, uint16(len(b)-2))
	_ = t.conn.SetWriteDeadline(time.Now().Add(t.server.cfg.ReadTimeout)) // fails only on a closed connection, as Write will
	if _, err := t.conn.Write(b); err != nil {
		t.server.stats.unsent.Inc()
		return false
	}
	return true
}

// read fills b within wait, counted for all of b, so that a byte now and then gains no time.
func (t *tcpTurn) read(ctx context.Context, b []byte, wait time.Duration) bool {
	_ = t.conn.SetReadDeadline(time.Now().Add(wait)) // fails only on a closed connection, as reading will
	// Run sets a deadline in the past after ctx is done. One of the two comes last, and either ends the wait.
	if ctx.Err() != nil {
		return false
	}
	_, err := io.ReadFull(t.in, b)
	return err == nil
}

// linger ends a connection that has had its share of queries. Closing it at once would, if more queries have come, reset it
// and take answers away from the client that it hasn't read.
func (t *tcpTurn) linger(ctx context.Context) {
	_ = t.conn.CloseWrite() // fails if the client is gone; then there is nothing to wait for
	_ = t.conn.SetReadDeadline(time.Now().Add(t.server.cfg.ReadTimeout))
	if ctx.Err() == nil {
		_, _ = io.CopyN(io.Discard, t.in, 64<<10)
	}
}
