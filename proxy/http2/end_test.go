// SPDX-License-Identifier: Apache-2.0

package http2

import (
	"io"
	"testing"
	"time"

	xhttp2 "golang.org/x/net/http2"

	"meridian/internal/testnet"
	"meridian/proxy/exchange"
)

// goAway reads up to the next GOAWAY and returns its last stream.
func (r *raw) goAway() uint32 {
	for {
		f, err := r.ReadFrame()
		if err != nil {
			r.t.Fatalf("no GOAWAY: %v", err)
		}
		if g, ok := f.(*xhttp2.GoAwayFrame); ok {
			if g.ErrCode != xhttp2.ErrCodeNo {
				r.t.Fatalf("GOAWAY %s", g.ErrCode)
			}
			return g.LastStreamID
		}
	}
}

func TestTheEndIsToldTwiceAndWhatIsUnderWayIsAnswered(t *testing.T) {
	finish := make(chan struct{})
	s := start(t, Config{Handler: func(x *exchange.Exchange) {
		<-finish
		x.Reply.WriteHead(&exchange.Head{Status: 200, Length: 4})
		io.WriteString(x.Reply, "done")
		x.Reply.End(nil)
	}})
	r, idle := dial(t, s.addr), dial(t, s.addr)
	r.headers(1, true, get()...)
	testnet.Wait(t, "both connections", func() bool { return s.Stats().Streams == 1 && s.Stats().Open == 2 })
	s.enter(leaving, 0)
	if got := r.goAway(); got != 1<<31-1 {
		t.Errorf("the first GOAWAY names %d", got)
	}
	r.headers(3, true, get()...) // was on its way
	testnet.Wait(t, "the second request", func() bool { return s.Stats().Streams == 2 })
	s.Stop(time.Millisecond)
	if got := r.goAway(); got != 3 {
		t.Errorf("the second GOAWAY names %d", got)
	}
	r.headers(5, true, get()...) // too late
	close(finish)
	ended := map[uint32]string{}
	for {
		f, err := r.ReadFrame()
		if err != nil {
			break
		}
		if d, ok := f.(*xhttp2.DataFrame); ok && d.StreamEnded() {
			ended[d.StreamID] = string(d.Data())
		}
	}
	if len(ended) != 2 || ended[1] != "done" || ended[3] != "done" {
		t.Errorf("got %v", ended)
	}
	if got := idle.goAway(); got != 1<<31-1 {
		t.Errorf("the idle one's first GOAWAY names %d", got)
	}
	if _, err := io.ReadAll(idle.Conn); err != nil {
		t.Errorf("the idle one did not end by itself: %v", err)
	}
	if n := s.Stats().Streams; n != 2 {
		t.Errorf("%d streams were served", n)
	}
}

// TestWhatWasOnItsWayAsTheEndWasToldCostsTheOthersNothing has a client go on with a stream that it began before it had GOAWAY.
func TestWhatWasOnItsWayAsTheEndWasToldCostsTheOthersNothing(t *testing.T) {
	for name, frame := range map[string]func(*raw) error{
		"a body":          func(r *raw) error { return r.WriteData(3, true, make([]byte, 1000)) },
		"the end":         func(r *raw) error { return r.WriteData(3, true, nil) },
		"a trailer":       func(r *raw) error { return r.headers(3, true, "x-sum", "1") },
		"a reset":         func(r *raw) error { return r.WriteRSTStream(3, xhttp2.ErrCodeCancel) },
		"a window opened": func(r *raw) error { return r.WriteWindowUpdate(3, 1000) },
	} {
		t.Run(name, func(t *testing.T) {
			finish := make(chan struct{})
			s := start(t, Config{MaxRequests: 1, Handler: func(x *exchange.Exchange) {
				<-finish
				answer(200, "done")(x)
			}})
			r := dial(t, s.addr)
			r.headers(1, true, get()...)
			if got := r.goAway(); got != 1 {
				t.Fatalf("GOAWAY names %d", got)
			}
			r.headers(3, false, post()...)
			if err := frame(r); err != nil {
				t.Fatal(err)
			}
			r.WritePing(false, [8]byte{1})
			for {
				f, err := r.ReadFrame()
				if err != nil {
					t.Fatal(err)
				}
				if g, ok := f.(*xhttp2.GoAwayFrame); ok && g.ErrCode != xhttp2.ErrCodeNo {
					close(finish)
					t.Fatalf("GOAWAY %s", g.ErrCode)
				}
				if _, ok := f.(*xhttp2.PingFrame); ok {
					break // all before it was heeded
				}
			}
			close(finish)
			if got := r.outcome(1); got != "200 done\n" {
				t.Errorf("the request under way: %s", got)
			}
		})
	}
}

// TestStreamsWithoutEndAfterTheEndWasTold is a client that passes over GOAWAY.
func TestStreamsWithoutEndAfterTheEndWasTold(t *testing.T) {
	finish := make(chan struct{})
	s := start(t, Config{MaxRequests: 1, MaxStreams: 10, Handler: func(x *exchange.Exchange) { <-finish }})
	defer close(finish)
	r := dial(t, s.addr)
	r.headers(1, true, get()...)
	r.goAway()
	go func() {
		for id := uint32(3); id < 2000; id += 2 {
			if r.headers(id, true, get()...) != nil {
				return
			}
		}
	}()
	for {
		f, err := r.ReadFrame()
		if err != nil {
			t.Fatal(err)
		}
		if g, ok := f.(*xhttp2.GoAwayFrame); ok && g.ErrCode == xhttp2.ErrCodeEnhanceYourCalm {
			return
		}
	}
}

// TestTheBoundOfRequestsIsToldBeforeItIsReached: a client that heeds the first GOAWAY has no request refused by the second.
func TestTheBoundOfRequestsIsToldBeforeItIsReached(t *testing.T) {
	s := start(t, Config{MaxRequests: 16, MaxStreams: 20, Handler: answer(200, "ok")})
	r := dial(t, s.addr)
	for id := uint32(1); id <= 27; id += 2 {
		r.headers(id, true, get()...)
	}
	if got := r.goAway(); got != 1<<31-1 {
		t.Fatalf("after 14 of 16 requests GOAWAY names %d", got)
	}
	r.headers(29, true, get()...) // is on its way
	r.headers(31, true, get()...)
	if got := r.goAway(); got != 31 {
		t.Errorf("the last GOAWAY names %d", got)
	}
	if n := s.Stats().Streams; n != 16 {
		t.Errorf("%d streams were served", n)
	}
}
