// SPDX-License-Identifier: Apache-2.0

// Package testnet has what tests need of a network: nodes that do with a connection exactly what a test says, clients that
// send exact bytes, and waiting for a condition. All of it is on loopback, has deadlines and ends with its test.
//
// It asserts nothing about what is sent and knows no protocol. Its goroutines end before the test does.
//
//	node := testnet.Listen(t, func(c *testnet.Conn) { c.ReadUntil("\r\n\r\n"); c.Send("HTTP/1.1 204 No Content\r\n\r\n") })
//	client := testnet.Dial(t, edge)
//	client.Send("GET / HTTP/1.1\r\nHost: a.test\r\n\r\n")
package testnet

import (
	"bytes"
	"errors"
	"io"
	"net"
	"net/netip"
	"os"
	"sync"
	"testing"
	"time"
)

// Patience is how long anything in a test may take. Long: it is reached only where a test fails.
const Patience = 20 * time.Second

// Conn is a connection with a deadline, whose failures fail the test where the name says Must or the direction is to the
// other side.
type Conn struct {
	net.Conn
	t testing.TB
}

// Send writes s. A failure is returned, not reported: the other side may have closed on purpose.
func (c *Conn) Send(s string) error {
	_, err := io.WriteString(c.Conn, s)
	return err
}

// ReadUntil reads up to and with the delimiter, one byte at a time so that nothing behind it is taken, and returns what was
// read, also if the connection ends before.
func (c *Conn) ReadUntil(delimiter string) string {
	var got []byte
	var b [1]byte
	for !bytes.HasSuffix(got, []byte(delimiter)) {
		if _, err := io.ReadFull(c.Conn, b[:]); err != nil {
			break
		}
		got = append(got, b[0])
	}
	return string(got)
}

// ReadAll reads to the connection's end and returns what came, and whether the end was a clean one.
func (c *Conn) ReadAll() (got string, clean bool) {
	b, err := io.ReadAll(c.Conn)
	if errors.Is(err, os.ErrDeadlineExceeded) {
		c.t.Errorf("the connection did not end within %s; it brought %q", Patience, b)
	}
	return string(b), err == nil
}

// CloseWrite ends the direction to the other side.
func (c *Conn) CloseWrite() { c.Conn.(*net.TCPConn).CloseWrite() }

// Reset closes the connection with a reset.
func (c *Conn) Reset() {
	c.Conn.(*net.TCPConn).SetLinger(0)
	c.Close()
}

// Dial connects to addr. The connection is closed with the test.
func Dial(t testing.TB, addr string) *Conn {
	t.Helper()
	nc, err := net.DialTimeout("tcp", addr, Patience)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { nc.Close() })
	nc.SetDeadline(time.Now().Add(Patience))
	return &Conn{nc, t}
}

// Node is a listener that hands each connection to a function.
type Node struct {
	// Addr is IP:PORT.
	Addr string

	ln net.Listener
	wg sync.WaitGroup

	mu       sync.Mutex // guards the fields below
	accepted int
	open     map[*Conn]struct{}
	closed   bool
}

// Listen starts a node. handle runs in a goroutine for each connection, which is closed when it returns.
func Listen(t testing.TB, handle func(*Conn)) *Node {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	n := &Node{Addr: ln.Addr().String(), ln: ln, open: map[*Conn]struct{}{}}
	n.wg.Go(func() { n.accept(t, handle) })
	t.Cleanup(n.Close)
	return n
}

func (n *Node) accept(t testing.TB, handle func(*Conn)) {
	for {
		nc, err := n.ln.Accept()
		if err != nil {
			return
		}
		nc.SetDeadline(time.Now().Add(Patience))
		c := &Conn{nc, t}
		if !n.add(c) {
			nc.Close()
			return
		}
		n.wg.Go(func() {
			defer n.remove(c)
			handle(c)
		})
	}
}

func (n *Node) add(c *Conn) bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.accepted++
	n.open[c] = struct{}{}
	return !n.closed
}

func (n *Node) remove(c *Conn) {
	n.mu.Lock()
	defer n.mu.Unlock()
	c.Close()
	delete(n.open, c)
}

// Accepted returns how many connections there have been.
func (n *Node) Accepted() int {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.accepted
}

// Close ends the listener and all connections and waits for their functions. Connections are reset, as those of a killed
// process with unread bytes are. It may be called more than once.
func (n *Node) Close() {
	n.ln.Close()
	n.mu.Lock()
	n.closed = true
	for c := range n.open {
		c.Reset()
	}
	n.mu.Unlock()
	n.wg.Wait()
}

// Unused returns an address on loopback at which nothing listens.
func Unused(t testing.TB) string {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	return netip.MustParseAddrPort(ln.Addr().String()).String()
}

// Wait waits until cond is true, and fails the test if that takes longer than Patience.
func Wait(t testing.TB, what string, cond func() bool) {
	t.Helper()
	tick := time.NewTicker(2 * time.Millisecond)
	defer tick.Stop()
	late := time.After(Patience)
	for !cond() {
		select {
		case <-tick.C:
		case <-late:
			t.Fatalf("%s: not within %s", what, Patience)
		}
	}
}
