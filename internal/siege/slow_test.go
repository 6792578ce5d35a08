// SPDX-License-Identifier: Apache-2.0

//go:build linux

package siege

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"
)

// Slow clients send or take a byte now and then.
var (
	dripEvery = size(300*time.Millisecond, 2*time.Second)
	slowMany  = size(200, 5000)
	// slowly are the limits that the slow meet: with SIEGE=full, those that an edge has by default.
	slowly = settings{limits: size("head_timeout: 1s, write_timeout: 1s", ""), timeouts: size("idle: 1s", "")}
)

// connect connects attacker n from an address that 100 share, with a small receive buffer.
func connect(addr string, n int) (net.Conn, error) {
	d := net.Dialer{
		Timeout:   5 * time.Second,
		LocalAddr: &net.TCPAddr{IP: net.IPv4(127, 1, byte(n/25000), byte(1+n/100%250))},
		Control: func(_, _ string, raw syscall.RawConn) error {
			return raw.Control(func(fd uintptr) { syscall.SetsockoptInt(int(fd), syscall.SOL_SOCKET, syscall.SO_RCVBUF, 4096) })
		},
	}
	return d.Dial("tcp", addr)
}

// connectTLS is connect with a handshake, for HTTP/1.1.
func connectTLS(addr string, n int) (net.Conn, error) {
	nc, err := connect(addr, n)
	if err != nil {
		return nil, err
	}
	c := tls.Client(nc, trusting)
	c.SetDeadline(time.Now().Add(10 * time.Second))
	if err := c.Handshake(); err != nil {
		nc.Close()
		return nil, fmt.Errorf("handshake: %w", err)
	}
	c.SetDeadline(time.Time{})
	return c, nil
}

// dripping sends start and then a byte of rest now and then, and returns what came until the other side closed.
func dripping(ctx context.Context, c net.Conn, start, rest string) (string, error) {
	defer c.Close()
	if _, err := io.WriteString(c, start); err != nil {
		return "", err
	}
	var got []byte
	buf := make([]byte, 512)
	for ctx.Err() == nil {
		c.SetReadDeadline(time.Now().Add(dripEvery))
		n, err := c.Read(buf)
		got = append(got, buf[:n]...)
		switch {
		case err == nil:
		case !errors.Is(err, os.ErrDeadlineExceeded):
			return string(got), nil
		case len(rest) > 0:
			if _, err := io.WriteString(c, rest[:1]); err != nil {
				return string(got), nil
			}
			rest = rest[1:]
		}
	}
	return string(got), fmt.Errorf("still connected, with %q", got)
}

// sends prepares an attacker that drips and must get an answer of that status.
func sends(secure bool, start, rest, want string) func(*edge, int) (attacker, error) {
	return func(e *edge, n int) (attacker, error) {
		c, err := dial(e, secure, n)
		if err != nil {
			return nil, err
		}
		return func(ctx context.Context) error {
			got, err := dripping(ctx, c, start, rest)
			if err == nil && !strings.HasPrefix(got, want) {
				err = fmt.Errorf("got %.40q, want %q", got, want)
			}
			return err
		}, nil
	}
}

func dial(e *edge, secure bool, n int) (net.Conn, error) {
	if secure {
		return connectTLS(e.secure, n)
	}
	return connect(e.clear, n)
}

// reads prepares an attacker that asks for much and takes a byte now and then. At the end it takes what there is: if the
// edge has not given up, that is all.
func reads(secure bool) func(*edge, int) (attacker, error) {
	stall := size(2500*time.Millisecond, 35*time.Second) // longer than the edge's write timeout
	return func(e *edge, n int) (attacker, error) {
		c, err := dial(e, secure, n)
		if err != nil {
			return nil, err
		}
		return func(ctx context.Context) error {
			defer c.Close()
			if _, err := io.WriteString(c, "GET /big HTTP/1.1\r\nHost: a.test\r\n\r\n"); err != nil {
				return err
			}
			var one [1]byte
			for end := time.Now().Add(stall); time.Now().Before(end); {
				if _, err := c.Read(one[:]); err != nil {
					return nil // it was reset
				}
				select {
				case <-time.After(dripEvery):
				case <-ctx.Done():
				}
			}
			c.SetReadDeadline(time.Now().Add(10 * time.Second))
			n, err := io.Copy(io.Discard, c)
			if n >= bigBytes || errors.Is(err, os.ErrDeadlineExceeded) {
				return fmt.Errorf("the edge has not given up: %d bytes came, %v", n, err)
			}
			return nil
		}, nil
	}
}

const (
	halfHead = "GET / HTTP/1.1\r\nHost: a.test\r\nX-Slow: "
	halfBody = "POST / HTTP/1.1\r\nHost: a.test\r\nContent-Length: 1000000\r\n\r\nx"
)

// TestSlowClientsAreCutOff is slow heads, bodies and reads: security advice of 2.6.
func TestSlowClientsAreCutOff(t *testing.T) {
	rest := strings.Repeat("x", 1000)
	body := size("", rest) // bytes would hold off the idle timeout, which is what cuts the small attack's short
	for _, a := range []attack{
		{name: "slow head, clear", prepare: sends(false, halfHead, rest, "HTTP/1.1 408 "), memory: 16 << 10},
		{name: "slow head, TLS", prepare: sends(true, halfHead, rest, "HTTP/1.1 408 "), memory: 28 << 10},
		{name: "slow body, clear", prepare: sends(false, halfBody, body, "HTTP/1.1 408 "), memory: 16 << 10},
		{name: "slow body, TLS", prepare: sends(true, halfBody, body, "HTTP/1.1 408 "), memory: 28 << 10},
		{name: "slow read, clear", prepare: reads(false), memory: 16 << 10},
		{name: "slow read, TLS", prepare: reads(true), memory: 28 << 10},
		{name: "nothing, clear", prepare: sends(false, "", "", ""), memory: 16 << 10},
		{name: "ClientHello byte by byte", prepare: slowHello, memory: 28 << 10},
		{name: "ServerHello not read", prepare: deafHello, memory: 28 << 10},
	} {
		a.attackers, a.each, a.latency = slowMany, true, true
		t.Run(a.name, func(t *testing.T) {
			alone(t)
			a.run(t, start(t, slowly))
		})
	}
}

// hello is a ClientHello as crypto/tls writes it.
func hello() []byte {
	a, b := net.Pipe()
	go func() {
		tls.Client(a, trusting).Handshake()
	}()
	buf := make([]byte, 16<<10)
	n, _ := b.Read(buf)
	b.Close()
	a.Close()
	return buf[:n]
}

// slowHello prepares an attacker that drips its ClientHello.
func slowHello(e *edge, n int) (attacker, error) {
	c, err := connect(e.secure, n)
	if err != nil {
		return nil, err
	}
	h := string(hello())
	return func(ctx context.Context) error {
		_, err := dripping(ctx, c, h[:1], h[1:])
		return err
	}, nil
}

// deafHello prepares an attacker that sends its ClientHello and takes no answer, nor goes on.
func deafHello(e *edge, n int) (attacker, error) {
	c, err := connect(e.secure, n)
	if err != nil {
		return nil, err
	}
	h := hello()
	return func(ctx context.Context) error {
		defer c.Close()
		if _, err := c.Write(h); err != nil {
			return err
		}
		select {
		case <-time.After(size(2500*time.Millisecond, 12*time.Second)): // longer than the edge waits
		case <-ctx.Done():
		}
		c.SetReadDeadline(time.Now().Add(5 * time.Second))
		if _, err := io.Copy(io.Discard, c); errors.Is(err, os.ErrDeadlineExceeded) {
			return errors.New("still connected")
		}
		return nil
	}, nil
}
