// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"sync"
	"time"
)

// settle is how long a proxy is left alone before its memory is read.
const settle = 2 * time.Second

// idle opens connections to one proxy after the other, has each make a request, and prints what they cost while nothing
// happens on them.
func (l *lab) idle(ctx context.Context, w io.Writer, n int) error {
	fmt.Fprintf(w, "\n### %d idle connections, each after one request\n\n| proxy | connections | bytes per connection | RSS before, MiB | RSS with them, MiB |\n| --- | --- | --- | --- | --- |\n", n)
	for _, p := range l.peers {
		k := n
		if p.name == "haproxy" {
			k = min(n, 9000) // it wants two file descriptors for each connection that it may have
		}
		if err := l.idleOf(ctx, w, p, k); err != nil {
			return fmt.Errorf("idle connections to %s: %w", p.name, err)
		}
	}
	return nil
}

func (l *lab) idleOf(ctx context.Context, w io.Writer, p *peer, n int) error {
	if err := pause(ctx, settle); err != nil {
		return err
	}
	before := p.proc.rss()
	conns, err := openAll(p.addr, n)
	defer func() {
		for _, c := range conns {
			c.Close()
		}
	}()
	if err != nil {
		return err
	}
	if err := pause(ctx, settle); err != nil {
		return err
	}
	after := p.proc.rss()
	fmt.Fprintf(w, "| %s | %d | %d | %.1f | %.1f |\n", p.name, n, (after-before)/int64(n), float64(before)/(1<<20), float64(after)/(1<<20))
	return nil
}

func pause(ctx context.Context, d time.Duration) error {
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(d):
		return nil
	}
}

// openAll opens n connections from 8 goroutines, each of which has one request answered.
func openAll(addr string, n int) ([]net.Conn, error) {
	const workers = 8
	var mu sync.Mutex
	var conns []net.Conn
	var errs []error
	var wg sync.WaitGroup
	for i := range workers {
		wg.Go(func() {
			for k := i; k < n; k += workers {
				c, err := openOne(addr, fmt.Sprintf("127.0.0.%d", 2+k%200))
				mu.Lock()
				if err != nil {
					errs = append(errs, err)
				} else {
					conns = append(conns, c)
				}
				mu.Unlock()
				if err != nil {
					return
				}
			}
		})
	}
	wg.Wait()
	return conns, errors.Join(errs...)
}

// openOne connects from a loopback address of its own, so that no two proxies see the same ports in TIME-WAIT.
func openOne(addr, from string) (net.Conn, error) {
	d := net.Dialer{Timeout: 5 * time.Second, LocalAddr: &net.TCPAddr{IP: net.ParseIP(from)}}
	c, err := d.Dial("tcp", addr)
	if err != nil {
		return nil, err
	}
	c.SetDeadline(time.Now().Add(10 * time.Second))
	if _, err = io.WriteString(c, "GET /small HTTP/1.1\r\nHost: bench.test\r\n\r\n"); err == nil {
		var buf [1024]byte
		_, err = c.Read(buf[:])
	}
	if err != nil {
		c.Close()
		return nil, err
	}
	return c, nil
}
