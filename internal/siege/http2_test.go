// SPDX-License-Identifier: Apache-2.0

//go:build linux

package siege

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	xhttp2 "golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"

	"meridian/internal/testnet"
)

// flood is what a client of HTTP/2 sends one after the other without end.
type flood struct {
	name     string
	settings []xhttp2.Setting
	send     func(c *h2client, n int) error // piece n
	deaf     bool                           // it reads nothing
	want     string                         // the code of the GOAWAY that ends it
	counted  bool                           // piece by piece, so that it is told to go elsewhere at three quarters of the way
}

var (
	getHead  = block("GET", "/")
	postHead = block("POST", "/")
	noWindow = []xhttp2.Setting{{ID: xhttp2.SettingInitialWindowSize, Val: 0}}
)

// block is a header block without state.
func block(method, path string) []byte {
	var b bytes.Buffer
	e := hpack.NewEncoder(&b)
	e.SetMaxDynamicTableSize(0)
	for _, f := range []hpack.HeaderField{{Name: ":method", Value: method}, {Name: ":scheme", Value: "https"}, {Name: ":authority", Value: "a.test"}, {Name: ":path", Value: path}} {
		e.WriteField(f)
	}
	return b.Bytes()
}

// bombs are header blocks that are small on the wire and large when they are decoded: security advice of 2.4.
var bombs = map[string][]byte{
	"fields": append([]byte("\x82\x84\x87\x01\x06a.test\x40\x01a\x00"), bytes.Repeat([]byte{0xbe}, 30000)...),
	"cookie crumbs": append(append([]byte("\x82\x84\x87\x01\x06a.test\x40\x06cookie\x7f\xdb\x1e"), bytes.Repeat([]byte("x"), 4058)...),
		bytes.Repeat([]byte{0xbe}, 32768)...),
}

func bomb(b []byte) func(*h2client, int) error {
	return func(c *h2client, n int) error {
		const part = 16 << 10
		err := c.head(n, b[:part], true, false)
		for b := b[part:]; len(b) > 0 && err == nil; {
			k := min(part, len(b))
			err = c.WriteContinuation(id(n), k == len(b), b[:k])
			b = b[k:]
		}
		return err
	}
}

// id is that of the client's stream n.
func id(n int) uint32 { return uint32(2*n + 1) }

// thenReset begins a request and then has the edge reset it: MadeYouReset.
func thenReset(end bool, with func(c *h2client, id uint32) error) func(*h2client, int) error {
	return func(c *h2client, n int) error {
		if err := c.head(n, getHead, end, true); err != nil {
			return err
		}
		return with(c, id(n))
	}
}

var floods = []flood{
	{name: "rapid reset", counted: true, want: "ENHANCE_YOUR_CALM", send: thenReset(true, func(c *h2client, id uint32) error { return c.WriteRSTStream(id, xhttp2.ErrCodeCancel) })},
	{name: "made you reset: window update of 0", want: "ENHANCE_YOUR_CALM", send: thenReset(false, func(c *h2client, id uint32) error { return c.WriteWindowUpdate(id, 0) })},
	{name: "made you reset: window overflow", want: "ENHANCE_YOUR_CALM", send: thenReset(false, func(c *h2client, id uint32) error { return c.WriteWindowUpdate(id, 1<<31-1) })},
	{name: "made you reset: depends on itself", want: "ENHANCE_YOUR_CALM", send: thenReset(false, func(c *h2client, id uint32) error {
		return c.WritePriority(id, xhttp2.PriorityParam{StreamDep: id})
	})},
	{name: "made you reset: priority of 4 bytes", want: "FRAME_SIZE_ERROR", send: thenReset(false, func(c *h2client, id uint32) error {
		return c.WriteRawFrame(xhttp2.FramePriority, 0, id, make([]byte, 4))
	})},
	{name: "made you reset: data after the end", want: "ENHANCE_YOUR_CALM", send: thenReset(true, func(c *h2client, id uint32) error { return c.WriteData(id, false, []byte("x")) })},
	{name: "made you reset: headers again", want: "ENHANCE_YOUR_CALM", send: func(c *h2client, n int) error {
		if err := c.head(n, getHead, false, true); err != nil {
			return err
		}
		return c.head(n, getHead, false, true)
	}},
	{name: "continuation", want: "ENHANCE_YOUR_CALM", send: func(c *h2client, n int) error {
		if n == 0 {
			return c.head(0, nil, true, false)
		}
		return c.WriteContinuation(1, false, continuation)
	}},
	{name: "hpack bomb: fields", settings: noWindow, want: "ENHANCE_YOUR_CALM", send: bomb(bombs["fields"])},
	{name: "hpack bomb: cookie crumbs", settings: noWindow, want: "ENHANCE_YOUR_CALM", send: bomb(bombs["cookie crumbs"])},
	{name: "settings", counted: true, want: "ENHANCE_YOUR_CALM", send: func(c *h2client, n int) error {
		return c.WriteSettings(xhttp2.Setting{ID: xhttp2.SettingHeaderTableSize, Val: uint32(n)})
	}},
	{name: "ping", counted: true, want: "ENHANCE_YOUR_CALM", send: func(c *h2client, _ int) error { return c.WritePing(false, [8]byte{}) }},
	{name: "acks that nobody reads", want: "", deaf: true, send: func(c *h2client, n int) error {
		if n%2 == 0 {
			return c.WritePing(false, [8]byte{})
		}
		return c.WriteSettings()
	}},
	{name: "empty data", want: "ENHANCE_YOUR_CALM", send: func(c *h2client, n int) error {
		if n == 0 {
			c.head(0, postHead, false, true)
		}
		return c.WriteData(1, false, nil)
	}},
}

var continuation = bytes.Repeat([]byte{0, 1, 'x', 1, 'y'}, 16384/5)

// h2client speaks HTTP/2 as badly as it likes.
type h2client struct {
	net.Conn
	*xhttp2.Framer
}

func dialH2(e *edge, secure bool, n int, settings ...xhttp2.Setting) (*h2client, error) {
	nc, err := connect(map[bool]string{false: e.clear, true: e.secure}[secure], n)
	if err != nil {
		return nil, err
	}
	nc.SetDeadline(time.Now().Add(patience))
	if secure {
		conf := trusting.Clone()
		conf.NextProtos = []string{"h2"}
		nc = tls.Client(nc, conf)
	}
	c := &h2client{nc, xhttp2.NewFramer(nc, nc)}
	c.AllowIllegalWrites = true
	if _, err := io.WriteString(nc, xhttp2.ClientPreface); err != nil {
		nc.Close()
		return nil, err
	}
	return c, c.WriteSettings(settings...)
}

func (c *h2client) head(n int, block []byte, end, whole bool) error {
	return c.WriteHeaders(xhttp2.HeadersFrameParam{StreamID: id(n), BlockFragment: block, EndStream: end, EndHeaders: whole})
}

// outcome reads until the connection ends and returns the code of the GOAWAY that said why, or "". warned says that one without an
// error came before.
func (c *h2client) outcome() (code string, warned bool, err error) {
	for {
		f, err := c.ReadFrame()
		switch {
		case errors.Is(err, os.ErrDeadlineExceeded):
			return code, warned, errors.New("still connected")
		case err != nil && !errors.As(err, new(xhttp2.StreamError)):
			return code, warned, nil
		}
		switch g, ok := f.(*xhttp2.GoAwayFrame); {
		case !ok:
		case g.ErrCode != xhttp2.ErrCodeNo:
			code = g.ErrCode.String()
		case code == "":
			warned = true
		}
	}
}

// drip opens the streams' windows byte by byte until the connection has ended.
func (c *h2client) drip(every time.Duration, streams int, ended chan struct{}) {
	tick := time.NewTicker(every)
	defer tick.Stop()
	for {
		select {
		case <-ended:
			return
		case <-tick.C:
		}
		for n := range streams {
			c.WriteWindowUpdate(id(n), 1)
		}
	}
}

// once floods one connection until the edge ends it.
func (f *flood) once(c *h2client) (code string, warned bool, err error) {
	defer c.Close()
	var reading sync.WaitGroup
	if !f.deaf {
		reading.Go(func() { code, warned, err = c.outcome() })
	}
	const most = 100_000
	n := 0
	for ; n < most; n++ {
		if werr := f.send(c, n); werr != nil {
			if errors.Is(werr, os.ErrDeadlineExceeded) {
				err = errors.New("still connected, and not read")
			}
			break
		}
	}
	reading.Wait()
	if n == most {
		return "", warned, fmt.Errorf("%d pieces were taken", n)
	}
	return code, warned, err
}

// loudFor is how long a loud attack goes on, and loudEvery how soon an attacker connects again at the earliest.
var (
	loudFor   = size(time.Second, 10*time.Second)
	loudEvery = 250 * time.Millisecond
)

// TestFloodsAreEnded is the loud attacks on HTTP/2 of security advice of 2.4: half of the attackers in the clear, half over
// TLS, each on one connection after the other.
func TestFloodsAreEnded(t *testing.T) {
	for _, f := range floods {
		t.Run(f.name, func(t *testing.T) {
			alone(t)
			var told, warned, all atomic.Int64
			a := attack{name: f.name, attackers: size(4, 20), memory: 32 << 20, latency: true, prepare: func(e *edge, n int) (attacker, error) {
				return func(context.Context) error {
					for end := time.Now().Add(loudFor); time.Now().Before(end); {
						next := time.NewTimer(loudEvery)
						c, err := dialH2(e, n%2 == 1, n*1000, f.settings...)
						if err != nil {
							return err
						}
						code, first, err := f.once(c)
						all.Add(1)
						if first {
							warned.Add(1)
						}
						if code == f.want {
							told.Add(1)
						}
						if err != nil || code != f.want && code != "" {
							return fmt.Errorf("GOAWAY %q, want %q: %w", code, f.want, err)
						}
						<-next.C
					}
					return nil
				}, nil
			}}
			a.run(t, start(t, settings{timeouts: "connect: 10s"})) // a starved node must not hold up what was reset
			if told.Load() == 0 {
				t.Errorf("none of %d connections was told %q", all.Load(), f.want)
			}
			if f.counted && warned.Load() == 0 {
				t.Errorf("none of %d connections was told to go elsewhere before it was ended", all.Load())
			}
			t.Logf("%d connections, %d of them were told %q, %d to go elsewhere before", all.Load(), told.Load(), f.want, warned.Load())
		})
	}
}

// TestStalledStreamsAreReset is clients of HTTP/2 that ask on 50 streams and take nothing, or a byte now and then.
func TestStalledStreamsAreReset(t *testing.T) {
	const streams = 50
	big := block("GET", "/big")
	stalled := settings{limits: size("write_timeout: 1s, idle_timeout: 1s", "idle_timeout: 5s")}
	for name, every := range map[string]time.Duration{"no window": 0, "a byte now and then": dripEvery} {
		t.Run(name, func(t *testing.T) {
			alone(t)
			a := attack{name: name, attackers: size(4, 20), memory: 32 << 20, latency: true, prepare: func(e *edge, n int) (attacker, error) {
				c, err := dialH2(e, n%2 == 1, n*1000, noWindow...)
				if err != nil {
					return nil, err
				}
				return func(ctx context.Context) error {
					defer c.Close()
					var reading sync.WaitGroup
					var err error
					ended := make(chan struct{})
					reading.Go(func() {
						defer close(ended)
						_, _, err = c.outcome()
					})
					for n := range streams {
						c.head(n, big, true, true)
					}
					if every > 0 {
						c.drip(every, streams, ended)
					}
					reading.Wait()
					return err
				}, nil
			}}
			a.run(t, start(t, stalled))
		})
	}
}

// TestConnectionsAboveTheLimitsAreShed has one address take all that it may, and more; others are served on.
func TestConnectionsAboveTheLimitsAreShed(t *testing.T) {
	alone(t)
	e := start(t, settings{limits: "max_connections: 60, max_connections_per_address: 20, head_timeout: 1m"})
	during := e.canaryUntil(t)
	var held []net.Conn
	defer func() {
		for _, c := range held {
			c.Close()
		}
	}()
	for range 60 {
		c, err := connect(e.clear, 0)
		if err != nil {
			t.Fatal(err)
		}
		held = append(held, c)
		io.WriteString(c, halfHead) // fails where it was closed meanwhile
	}
	shed := map[net.Conn]bool{}
	testnet.Wait(t, "40 of 60 connections of one address to be shed", func() bool {
		for _, c := range held {
			c.SetReadDeadline(time.Now().Add(time.Millisecond))
			b := make([]byte, 64)
			n, err := c.Read(b)
			switch {
			case shed[c] || errors.Is(err, os.ErrDeadlineExceeded):
			case n == 0 || strings.HasPrefix(string(b[:n]), "HTTP/1.1 503 "):
				shed[c] = true
			default:
				t.Fatalf("got %q, %v", b[:n], err)
			}
		}
		return len(shed) >= 40
	})
	if got := e.metric(t, "meridian_http_connections_shed_total"); got < 40 {
		t.Errorf("the edge counted %v", got)
	}
	if r := during(); r.Failed > 0 {
		t.Errorf("others: %s", r)
	}
}
