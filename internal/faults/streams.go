// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// openStreams opens event streams, each of which has brought its first event, and begins uploads.
func openStreams(r *run, events, uploads int) (*streams, error) {
	s := &streams{}
	for range events {
		if err := s.openEvents(r.proxy.addr); err != nil {
			s.close()
			return nil, err
		}
	}
	for range uploads {
		s.uploads.Go(func() {
			if err := upload(r.proxy.addr); err != nil {
				s.mu.Lock()
				s.failed++
				s.mu.Unlock()
			}
		})
	}
	return s, nil
}

// openEvents opens an event stream and reads on.
func (s *streams) openEvents(addr string) error {
	nc, err := net.DialTimeout("tcp", addr, awaited)
	if err != nil {
		return err
	}
	c := &conn{nc, bufio.NewReaderSize(nc, 512)}
	s.conns = append(s.conns, c)
	nc.SetDeadline(time.Now().Add(awaited))
	fmt.Fprintf(c, "GET /events HTTP/1.1\r\nHost: a.test\r\nAccept: text/event-stream\r\n\r\n")
	resp, err := http.ReadResponse(c.r, nil)
	if err != nil {
		return fmt.Errorf("open an event stream: %w", err)
	}
	body := bufio.NewReaderSize(resp.Body, 128)
	first, err := body.ReadString('\n')
	name, ok := strings.CutPrefix(strings.TrimSpace(first), ": ")
	if err != nil || resp.StatusCode != 200 || !ok {
		return fmt.Errorf("an event stream begins with %d %q: %w", resp.StatusCode, first, err)
	}
	nc.SetDeadline(time.Time{})
	e := &eventStream{node: name}
	s.events = append(s.events, e)
	s.reading.Go(func() {
		io.Copy(io.Discard, body)
		s.mu.Lock()
		defer s.mu.Unlock()
		if !s.closed {
			e.ended = time.Now()
		}
	})
	return nil
}

// upload sends a body in pieces over two seconds.
func upload(addr string) error {
	nc, err := net.DialTimeout("tcp", addr, awaited)
	if err != nil {
		return err
	}
	defer nc.Close()
	nc.SetDeadline(time.Now().Add(awaited))
	const pieces, size = 20, 4096
	fmt.Fprintf(nc, "POST /upload HTTP/1.1\r\nHost: a.test\r\nContent-Length: %d\r\n\r\n", pieces*size)
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	for range pieces {
		if _, err := nc.Write(make([]byte, size)); err != nil {
			return err
		}
		<-tick.C
	}
	resp, err := http.ReadResponse(bufio.NewReader(nc), nil)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	got, err := io.ReadAll(resp.Body)
	if err == nil && (resp.StatusCode != 200 || string(got) != strconv.Itoa(pieces*size)) {
		err = fmt.Errorf("an upload got %d %q", resp.StatusCode, got)
	}
	return err
}

// await waits until the streams at a node have ended, and returns how many those were; fewer if it takes too long.
func (s *streams) await(node string) (ended int) {
	s.uploads.Wait()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for late := time.Now().Add(awaited); ; <-tick.C {
		there, over := 0, 0
		s.mu.Lock()
		for _, e := range s.events {
			if e.node == node {
				there++
				if !e.ended.IsZero() {
					over++
				}
			}
		}
		s.mu.Unlock()
		if over == there || time.Now().After(late) {
			return over
		}
	}
}

// judge counts the streams at a node that ended before the deadline, those elsewhere that ended, and the uploads that failed.
func (s *streams) judge(node string, deadline time.Time) (early, elsewhere, failed int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, e := range s.events {
		switch {
		case e.ended.IsZero():
		case e.node != node:
			elsewhere++
		case e.ended.Before(deadline):
			early++
		}
	}
	return early, elsewhere, s.failed
}

// close ends all from the client's side, and may be called more than once.
func (s *streams) close() {
	s.mu.Lock()
	s.closed = true
	s.mu.Unlock()
	s.uploads.Wait()
	for _, c := range s.conns {
		c.Close()
	}
	s.reading.Wait()
}
