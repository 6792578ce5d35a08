// SPDX-License-Identifier: Apache-2.0

package http2

import (
	"bytes"
	"encoding/binary"
	"io"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	xhttp2 "golang.org/x/net/http2"

	"meridian/internal/testnet"
	"meridian/proxy/exchange"
)

// floods are what a peer may send one after the other without end, each as the n-th piece of it.
var floods = []struct {
	name string
	send func(r *raw, n int) error
}{
	{"rapid reset", func(r *raw, n int) error {
		r.headers(uint32(2*n+1), true, get()...)
		return r.WriteRSTStream(uint32(2*n+1), xhttp2.ErrCodeCancel)
	}},
	{"made you reset: window update of 0", func(r *raw, n int) error {
		r.headers(uint32(2*n+1), false, get()...)
		return r.WriteWindowUpdate(uint32(2*n+1), 0)
	}},
	{"made you reset: window overflow", func(r *raw, n int) error {
		r.headers(uint32(2*n+1), false, get()...)
		return r.WriteWindowUpdate(uint32(2*n+1), 1<<31-1)
	}},
	{"made you reset: depends on itself", func(r *raw, n int) error {
		r.headers(uint32(2*n+1), false, get()...)
		return r.WritePriority(uint32(2*n+1), xhttp2.PriorityParam{StreamDep: uint32(2*n + 1)})
	}},
	{"made you reset: priority of 4 bytes", func(r *raw, n int) error {
		r.headers(uint32(2*n+1), false, get()...)
		return r.WriteRawFrame(xhttp2.FramePriority, 0, uint32(2*n+1), make([]byte, 4))
	}},
	{"made you reset: data after the end", func(r *raw, n int) error {
		r.headers(uint32(2*n+1), true, get()...)
		return r.WriteData(uint32(2*n+1), false, []byte("x"))
	}},
	{"made you reset: headers again", func(r *raw, n int) error {
		r.headers(uint32(2*n+1), false, get()...)
		return r.headers(uint32(2*n+1), false, get()...)
	}},
	{"malformed heads", func(r *raw, n int) error { return r.headers(uint32(2*n+1), true, get("connection", "x")...) }},
	{"settings", func(r *raw, n int) error {
		return r.WriteSettings(xhttp2.Setting{ID: xhttp2.SettingHeaderTableSize, Val: uint32(n)})
	}},
	{"ping", func(r *raw, n int) error { return r.WritePing(false, [8]byte{}) }},
	{"ping acks", func(r *raw, n int) error { return r.WritePing(true, [8]byte{}) }},
	{"priority", func(r *raw, n int) error { return r.WritePriority(1, xhttp2.PriorityParam{StreamDep: 3}) }},
	{"empty data", func(r *raw, n int) error {
		if n == 0 {
			r.headers(1, false, post()...)
		}
		return r.WriteData(1, false, nil)
	}},
	{"empty data after an answer", func(r *raw, n int) error {
		if n == 0 {
			r.headers(3, false, append(get()[:6], ":path", "*")...) // refused, and so answered at once
		}
		return r.WriteData(3, false, nil)
	}},
	{"data after an answer", func(r *raw, n int) error {
		if n == 0 {
			r.headers(3, false, append(get()[:6], ":path", "*")...)
		}
		return r.WriteData(3, false, make([]byte, 1024))
	}},
	{"window updates", func(r *raw, n int) error { return r.WriteWindowUpdate(0, 1) }},
	{"unknown frames", func(r *raw, n int) error { return r.WriteRawFrame(0xa, 0, 0, nil) }},
	{"resets of what is closed", func(r *raw, n int) error {
		if n == 0 {
			r.headers(1, true, get()...)
		}
		return r.WriteRSTStream(1, xhttp2.ErrCodeCancel)
	}},
	{"continuation", func(r *raw, n int) error {
		if n == 0 {
			return r.WriteHeaders(headersParam(1, nil, true, false))
		}
		return r.WriteContinuation(1, false, bytes.Repeat([]byte{0, 1, 'x', 1, 'y'}, 16384/5))
	}},
	{"empty continuation", func(r *raw, n int) error {
		if n == 0 {
			return r.WriteHeaders(headersParam(1, nil, true, false))
		}
		return r.WriteContinuation(1, false, nil)
	}},
}

// TestFloodsEndTheirConnection sends each flood to a server whose handlers are slow to notice that they are not wanted.
func TestFloodsEndTheirConnection(t *testing.T) {
	const most = 5000
	for _, f := range floods {
		t.Run(f.name, func(t *testing.T) {
			var running, peak atomic.Int64
			s := start(t, Config{Handler: func(x *exchange.Exchange) {
				peak.Store(max(peak.Load(), running.Add(1)))
				<-time.After(20 * time.Millisecond)
				running.Add(-1)
			}})
			r := dial(t, s.addr)
			var reading sync.WaitGroup
			ended := make(chan string, 1)
			reading.Go(func() { ended <- r.outcome(1<<31 - 1) })
			defer reading.Wait()
			n := 0
			for ; n < most; n++ {
				if f.send(r, n) != nil {
					break
				}
				r.encoder.SetMaxDynamicTableSize(0) // blocks must not build on lost ones
			}
			if got := <-ended; got == "closed" && n == most || !strings.HasPrefix(got, "goaway ") && got != "closed" {
				t.Errorf("after %d: %q", n, got)
			}
			if p := peak.Load(); p > 200 {
				t.Errorf("%d handlers ran at once", p)
			}
		})
	}
}

// heap returns the bytes in use.
func heap() uint64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}

// grown returns how many bytes more are in use than before.
func grown(before uint64) uint64 {
	now := heap()
	return now - min(before, now)
}

// TestBombsTakeLittleMemory sends heads that are small on the wire and large when they are decoded.
func TestBombsTakeLittleMemory(t *testing.T) {
	for name, block := range map[string][]byte{
		"indexed fields": append([]byte("\x82\x84\x87\x01\x01x\x40\x01a\x00"), bytes.Repeat([]byte{0xbe}, 30000)...),
		"cookie crumbs": append(append([]byte("\x82\x84\x87\x01\x01x\x40\x06cookie\x7f\xdb\x1e"), bytes.Repeat([]byte("x"), 4058-68)...),
			bytes.Repeat([]byte{0xbe}, 30000)...),
		"a field without end": append([]byte("\x82\x84\x87\x01\x01x\x40\x01a\x7f\x80\xff\xff\xff\x07"), bytes.Repeat([]byte{'x'}, 30000)...),
	} {
		t.Run(name, func(t *testing.T) {
			s := start(t, Config{Handler: echo})
			before, most := heap(), uint64(0)
			for range 4 {
				r := dial(t, s.addr, xhttp2.Setting{ID: xhttp2.SettingInitialWindowSize, Val: 0})
				var reading sync.WaitGroup
				reading.Go(func() { io.Copy(io.Discard, r.Conn) })
				for n := range 250 {
					id, rest := uint32(2*n+1), block
					if r.WriteHeaders(headersParam(id, rest[:16000], true, false)) != nil || r.WriteContinuation(id, true, rest[16000:]) != nil {
						break
					}
				}
				most = max(most, grown(before))
				r.Close()
				reading.Wait()
			}
			if most > 32<<20 {
				t.Errorf("%d MiB more", most>>20)
			}
		})
	}
}

func TestASlowReaderIsCutOffAndTakesLittleMemory(t *testing.T) {
	ended := make(chan error, 100)
	s := start(t, Config{WriteTimeout: 300 * time.Millisecond, Handler: func(x *exchange.Exchange) {
		x.Reply.WriteHead(&exchange.Head{Status: 200, Length: exchange.LengthUnknown})
		_, err := io.Copy(x.Reply, zeros(10<<20))
		ended <- err
	}})
	for _, c := range []struct {
		name   string
		window uint32
		drip   bool
	}{{"no window", 0, false}, {"a byte now and then", 0, true}, {"a window and nothing read", 1<<31 - 1, false}} {
		t.Run(c.name, func(t *testing.T) {
			before := heap()
			r := dial(t, s.addr, xhttp2.Setting{ID: xhttp2.SettingInitialWindowSize, Val: c.window})
			const streams = 50
			for n := range streams {
				r.headers(uint32(2*n+1), true, get()...)
			}
			if c.window > 0 {
				r.WriteWindowUpdate(0, 1<<30)
			}
			stop := make(chan struct{})
			var dripping sync.WaitGroup
			if c.drip {
				dripping.Go(func() {
					for {
						select {
						case <-stop:
							return
						case <-time.After(50 * time.Millisecond):
							r.WriteWindowUpdate(1, 1)
						}
					}
				})
			}
			more := uint64(0)
			for range streams {
				select {
				case err := <-ended:
					if err == nil {
						t.Error("an answer that nobody reads was written")
					}
				case <-time.After(testnet.Patience):
					t.Fatal("a handler still waits")
				}
				more = max(more, grown(before))
			}
			close(stop)
			dripping.Wait()
			if more > 8<<20 {
				t.Errorf("%d KiB more", more>>10)
			}
		})
	}
}

func TestSlowHeadsAndSilenceEndTheConnection(t *testing.T) {
	s := start(t, Config{Handler: echo, HeadTimeout: 50 * time.Millisecond, IdleTimeout: 100 * time.Millisecond})
	for name, send := range map[string]func(r *raw){
		"no preface":       nil,
		"half a preface":   nil,
		"no request":       func(*raw) {},
		"half a frame":     func(r *raw) { r.Write([]byte{0, 0, 9, 1}) },
		"half a block":     func(r *raw) { r.WriteHeaders(headersParam(1, r.encode(get()...), true, false)) },
		"idle after a one": func(r *raw) { r.headers(1, true, get()...) },
	} {
		t.Run(name, func(t *testing.T) {
			if send == nil {
				c := testnet.Dial(t, s.addr)
				if name == "half a preface" {
					c.Send(xhttp2.ClientPreface[:10])
				}
				c.ReadAll()
				return
			}
			r := dial(t, s.addr)
			send(r)
			io.Copy(io.Discard, r.Conn) // ends within testnet.Patience or fails
			if _, err := r.Conn.Read(make([]byte, 1)); err != io.EOF && !strings.Contains(err.Error(), "reset") {
				t.Errorf("the connection did not end: %v", err)
			}
		})
	}
}

func TestASlowBodyIsAnswered408(t *testing.T) {
	got := make(chan error, 1)
	s := start(t, Config{BodyTimeout: 50 * time.Millisecond, Handler: func(x *exchange.Exchange) {
		_, err := io.ReadAll(x.Body)
		got <- err
	}})
	r := dial(t, s.addr)
	r.headers(1, false, post()...)
	r.WriteData(1, false, []byte("x"))
	if err := <-got; err == nil || !strings.Contains(err.Error(), "nothing for 50ms") {
		t.Errorf("got %v", err)
	}
}

func TestAHandlerThatDoesNotReadStopsItsClientAtTheWindow(t *testing.T) {
	read := make(chan struct{})
	s := start(t, Config{Handler: func(x *exchange.Exchange) {
		<-read
		echo(x)
	}})
	r := dial(t, s.addr)
	r.headers(1, false, post()...)
	sent := 0
	for ; sent < streamWindow; sent += 16384 {
		r.WriteData(1, false, make([]byte, 16384))
	}
	r.WriteData(1, false, []byte("x")) // one more than it may
	if got := r.outcome(1); got != "reset FLOW_CONTROL_ERROR" {
		t.Errorf("got %q", got)
	}
	close(read)
}

func TestAFrameThatIsTooLargeEndsTheConnection(t *testing.T) {
	s := start(t, Config{Handler: echo})
	r := dial(t, s.addr)
	b := binary.BigEndian.AppendUint32(nil, 16385<<8)
	r.Write(append(b[:3], 0, 0, 0, 0, 0, 1))
	r.Write(make([]byte, 16385))
	if got := r.outcome(1); got != "goaway FRAME_SIZE_ERROR" && got != "closed" {
		t.Errorf("got %q", got)
	}
}
