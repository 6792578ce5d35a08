// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bufio"
	"crypto/sha1"
	"encoding/base64"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// event is what a stream of events is made of: 64 bytes of data.
var event = []byte("data: " + strings.Repeat("x", 64) + "\n\n")

// streams is the node for events and WebSockets. It runs here, so that whoever waits for an event can have it sent.
type streams struct {
	addr   string
	server *http.Server
	served chan struct{}
	last   atomic.Int64
	open   sync.Map // of events: chan struct{} by the id of the stream, as text

	mu      sync.Mutex // guards what follows: WebSockets, which the server knows no more
	ended   bool
	sockets map[net.Conn]bool
	echoes  sync.WaitGroup
}

func startStreams() (*streams, error) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	s := &streams{addr: ln.Addr().String(), served: make(chan struct{}), sockets: map[net.Conn]bool{}}
	mux := http.NewServeMux()
	mux.HandleFunc("/events", s.events)
	mux.HandleFunc("/ws", s.echo)
	s.server = &http.Server{Handler: mux, ReadHeaderTimeout: 10 * time.Second}
	go func() { defer close(s.served); s.server.Serve(ln) }()
	return s, nil
}

func (s *streams) stop() {
	s.server.Close()
	<-s.served
	s.mu.Lock()
	s.ended = true
	for c := range s.sockets {
		c.Close()
	}
	s.mu.Unlock()
	s.echoes.Wait()
}

// hold keeps a socket until it is let go, and reports whether it may still be served.
func (s *streams) hold(c net.Conn) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.ended {
		return false
	}
	s.sockets[c] = true
	s.echoes.Add(1)
	return true
}

func (s *streams) letGo(c net.Conn) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.sockets, c)
	s.echoes.Done()
}

// newStream returns a path for a stream of events of its own, and what sends an event to it.
func (s *streams) newStream() (path string, publish func() error) {
	id := fmt.Sprint(s.last.Add(1))
	return "/events?id=" + id, func() error {
		events, ok := s.open.Load(id)
		if !ok {
			return fmt.Errorf("nobody reads stream %s", id)
		}
		events.(chan struct{}) <- struct{}{} // one exchange at a time: there is room
		return nil
	}
}

func (s *streams) events(w http.ResponseWriter, r *http.Request) {
	id, events, out := r.FormValue("id"), make(chan struct{}, 1), http.NewResponseController(w)
	s.open.Store(id, events)
	defer s.open.Delete(id)
	w.Header().Set("Content-Type", "text/event-stream")
	for {
		if out.Flush() != nil { // the head at once
			return
		}
		select {
		case <-r.Context().Done():
			return
		case <-events:
			w.Write(event)
		}
	}
}

// echo is a WebSocket that sends each message back, as far as loadgen's client speaks the protocol.
func (s *streams) echo(w http.ResponseWriter, r *http.Request) {
	sum := sha1.Sum([]byte(r.Header.Get("Sec-WebSocket-Key") + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"))
	conn, rw, err := http.NewResponseController(w).Hijack()
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	defer conn.Close()
	if !s.hold(conn) {
		return
	}
	defer s.letGo(conn)
	fmt.Fprintf(conn, "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Accept: %s\r\n\r\n",
		base64.StdEncoding.EncodeToString(sum[:]))
	for echoFrame(conn, rw.Reader) == nil {
	}
}

// echoFrame sends one short frame back: read masked, written unmasked.
func echoFrame(w io.Writer, r *bufio.Reader) error {
	var frame [2 + 4 + 125]byte
	if _, err := io.ReadFull(r, frame[:6]); err != nil {
		return err
	}
	n := int(frame[1] & 0x7f)
	if frame[0] != 0x81 || n > 125 {
		return fmt.Errorf("not a short message of text, but % x", frame[:2])
	}
	out := frame[4 : 6+n] // the two bytes before the data, in the place of the mask's end
	mask := [4]byte(frame[2:6])
	if _, err := io.ReadFull(r, out[2:]); err != nil {
		return err
	}
	for i := range out[2:] {
		out[2+i] ^= mask[i%4]
	}
	out[0], out[1] = 0x81, byte(n)
	_, err := w.Write(out)
	return err
}
