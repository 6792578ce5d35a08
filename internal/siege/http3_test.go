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
	"net/http"
	"sync"
	"testing"
	"time"

	"github.com/quic-go/quic-go"
	xhttp3 "github.com/quic-go/quic-go/http3"

	"meridian/internal/testnet"
)

// h3client is a connection of HTTP/3.
type h3client struct {
	socket *net.UDPConn
	quic   *quic.Transport
	conn   *quic.Conn
	http   *xhttp3.ClientConn
}

// dialH3 connects attacker n from an address of its own.
func dialH3(e *edge, n int) (*h3client, error) {
	to, err := net.ResolveUDPAddr("udp", e.secure)
	if err != nil {
		return nil, err
	}
	s, err := net.ListenUDP("udp", &net.UDPAddr{IP: net.IPv4(127, 2, 0, byte(1+n%250))})
	if err != nil {
		return nil, err
	}
	c := &h3client{socket: s, quic: &quic.Transport{Conn: s}}
	conf := trusting.Clone()
	conf.NextProtos = []string{"h3"}
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	// A small window: what the edge sends and nobody reads waits at the edge.
	c.conn, err = c.quic.Dial(ctx, to, conf, &quic.Config{KeepAlivePeriod: time.Second, InitialStreamReceiveWindow: 1024, MaxStreamReceiveWindow: 1024})
	if err != nil {
		c.close()
		return nil, fmt.Errorf("handshake: %w", err)
	}
	c.http = (&xhttp3.Transport{}).NewClientConn(c.conn)
	return c, nil
}

func (c *h3client) close() {
	if c.conn != nil {
		c.conn.CloseWithError(0, "")
	}
	c.quic.Close()
	c.socket.Close()
}

// streams are how many requests an attacker of HTTP/3 has open at one time: what the edge lets it have.
const streams = 100

// eachStream runs f for as many streams as a client may have, and returns the first error.
func eachStream(ctx context.Context, f func(context.Context) error) error {
	var wg sync.WaitGroup
	errs := make(chan error, streams)
	for range streams {
		wg.Go(func() {
			if err := f(ctx); err != nil {
				errs <- err
			}
		})
	}
	wg.Wait()
	close(errs)
	return <-errs
}

func h3request(e *edge, method, path string) (*http.Request, error) {
	req, err := http.NewRequest(method, "https://"+e.secure+path, nil)
	if err == nil {
		req.Host = "a.test"
	}
	return req, err
}

// dripped is a request's body that comes byte by byte, until ctx ends.
type dripped struct {
	ctx   context.Context
	begun bool
}

// Read implements io.Reader.
func (d *dripped) Read(b []byte) (int, error) {
	if d.begun {
		select {
		case <-time.After(size(time.Hour, dripEvery)): // bytes would hold off the idle timeout
		case <-d.ctx.Done():
			return 0, d.ctx.Err()
		}
	}
	d.begun = true
	b[0] = 'x'
	return 1, nil
}

// slowBodyH3 sends the head of a POST and then a byte now and then; it must be answered 408 or cut off.
func slowBodyH3(e *edge, c *h3client) func(context.Context) error {
	return func(ctx context.Context) error {
		sending, stop := context.WithCancel(ctx)
		defer stop()
		req, err := h3request(e, "POST", "/")
		if err != nil {
			return err
		}
		req.Body, req.ContentLength = io.NopCloser(&dripped{ctx: sending}), 1_000_000
		resp, err := c.http.RoundTrip(req.WithContext(ctx))
		switch {
		case ctx.Err() != nil:
			return errors.New("a stream with a slow body is still open")
		case errors.As(err, new(*xhttp3.Error)):
			return nil // it was reset
		case err != nil:
			return err
		}
		defer resp.Body.Close()
		if resp.StatusCode != 408 {
			return fmt.Errorf("a slow body was answered %d", resp.StatusCode)
		}
		return nil
	}
}

// slowReadH3 asks for much and reads nothing until the edge must have given up.
func slowReadH3(e *edge, c *h3client) func(context.Context) error {
	return func(ctx context.Context) error {
		s, err := c.http.OpenRequestStream(ctx)
		if err != nil {
			return fmt.Errorf("open a stream: %w", err)
		}
		req, err := h3request(e, "GET", "/big")
		if err != nil {
			return err
		}
		if err := s.SendRequestHeader(req); err != nil {
			return err
		}
		s.Close()
		select {
		case <-time.After(size(2500*time.Millisecond, 35*time.Second)):
		case <-ctx.Done():
		}
		s.SetReadDeadline(time.Now().Add(10 * time.Second))
		if _, err := s.ReadResponse(); err != nil {
			return nil
		}
		if n, err := io.Copy(io.Discard, s); err == nil || n >= bigBytes {
			return fmt.Errorf("the edge has not given up: %d bytes came, %v", n, err)
		}
		return nil
	}
}

// TestHTTP3HoldsSlowClientsWithinItsLimits is clients of HTTP/3 with as many slow requests as a connection may have.
func TestHTTP3HoldsSlowClientsWithinItsLimits(t *testing.T) {
	for _, k := range []struct {
		name string
		f    func(*edge, *h3client) func(context.Context) error
	}{{"slow body", slowBodyH3}, {"slow read", slowReadH3}} {
		t.Run(k.name, func(t *testing.T) {
			alone(t)
			many := size(2, 20)
			a := attack{name: "HTTP/3, " + k.name, attackers: many, memory: int64(many) * streams * (96 << 10), latency: true, prepare: func(e *edge, n int) (attacker, error) {
				c, err := dialH3(e, n)
				if err != nil {
					return nil, err
				}
				return func(ctx context.Context) error {
					defer c.close()
					return eachStream(ctx, k.f(e, c))
				}, nil
			}}
			e := start(t, slowly)
			a.run(t, e)
			testnet.Wait(t, "the connections to be gone", func() bool { return e.metric(t, "meridian_http3_connections") == 0 })
		})
	}
}

// recorder is a socket that keeps the first datagram that is written to it, and sends none.
type recorder struct {
	*net.UDPConn
	once  sync.Once
	first chan []byte
}

// WriteTo implements net.PacketConn.
func (r *recorder) WriteTo(b []byte, _ net.Addr) (int, error) {
	r.once.Do(func() { r.first <- append([]byte(nil), b...) })
	return len(b), nil
}

// initial returns a client's first datagram, made by quic-go.
func initial(t *testing.T) []byte {
	t.Helper()
	s, err := net.ListenUDP("udp", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	r := &recorder{UDPConn: s, first: make(chan []byte, 1)}
	tr := &quic.Transport{Conn: hidden{r}}
	defer tr.Close()
	ctx, cancel := context.WithCancel(t.Context())
	dialed := make(chan struct{})
	go func() {
		defer close(dialed)
		conf := trusting.Clone()
		conf.NextProtos = []string{"h3"}
		conf.CurvePreferences = []tls.CurveID{tls.X25519} // a hybrid key would take a second datagram
		tr.Dial(ctx, s.LocalAddr(), conf, nil)
	}()
	defer func() { cancel(); <-dialed }()
	select {
	case b := <-r.first:
		return b
	case <-time.After(testnet.Patience):
		t.Fatal("quic-go sent nothing")
		return nil
	}
}

// hidden shows quic-go only what a net.PacketConn has, so that it writes by WriteTo.
type hidden struct{ net.PacketConn }

// answers sends a datagram from an address of its own and returns how many bytes come back within d.
func answers(t *testing.T, e *edge, n int, b []byte, d time.Duration) (got int) {
	t.Helper()
	to, err := net.ResolveUDPAddr("udp", e.secure)
	if err != nil {
		t.Fatal(err)
	}
	s, err := net.DialUDP("udp", &net.UDPAddr{IP: net.IPv4(127, 3, byte(n/250), byte(1+n%250))}, to)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	if _, err := s.Write(b); err != nil {
		t.Fatal(err)
	}
	s.SetReadDeadline(time.Now().Add(d))
	buf := make([]byte, 2048)
	for {
		k, err := s.Read(buf)
		if err != nil {
			return got
		}
		got += k
	}
}

// TestAnInitialIsAnsweredWithinAmplificationLimits sends first datagrams and never anything more: RFC 9000, section 8.1.
func TestAnInitialIsAnsweredWithinAmplificationLimits(t *testing.T) {
	alone(t)
	e := start(t, settings{})
	wait := size(800*time.Millisecond, 4*time.Second)
	whole := initial(t)
	if len(whole) < 1200 {
		t.Fatalf("quic-go's first datagram has %d bytes", len(whole))
	}
	if got := answers(t, e, 0, whole, wait); got == 0 || got > 3*len(whole) {
		t.Errorf("%d bytes were answered with %d", len(whole), got)
	} else {
		t.Logf("%d bytes were answered with %d: %.2f times", len(whole), got, float64(got)/float64(len(whole)))
	}
	if got := answers(t, e, 1, initial(t)[:1100], wait/4); got != 0 {
		t.Errorf("an Initial of 1100 bytes was answered with %d", got)
	}
	unknown := initial(t)
	copy(unknown[1:5], "\x1a\x2a\x3a\x4a")
	if got := answers(t, e, 2, unknown, wait/4); got == 0 || got >= len(unknown) {
		t.Errorf("an unknown version was answered with %d bytes", got)
	}
	noise := make([]byte, 1200)
	for i := range noise {
		noise[i] = byte(i*7) & 0x3f
	}
	if got := answers(t, e, 3, noise, wait/4); got >= len(noise) {
		t.Errorf("noise was answered with %d bytes", got)
	}
}

// TestAHandshakeFloodIsHeld begins handshakes from many addresses and ends none.
func TestAHandshakeFloodIsHeld(t *testing.T) {
	alone(t)
	e := start(t, settings{})
	many := size(100, 3000)
	firsts := make([][]byte, many)
	for i := range firsts {
		firsts[i] = initial(t)
	}
	a := attack{name: "HTTP/3, handshakes begun", attackers: many, memory: size[int64](16<<20, 64<<20), prepare: func(e *edge, n int) (attacker, error) {
		return func(context.Context) error {
			if got := answers(t, e, n, firsts[n], size(500*time.Millisecond, 5*time.Second)); got > 3*len(firsts[n]) {
				return fmt.Errorf("%d bytes were answered with %d", len(firsts[n]), got)
			}
			return nil
		}, nil
	}}
	a.run(t, e)
}
