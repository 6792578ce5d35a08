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
