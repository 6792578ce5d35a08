// SPDX-License-Identifier: Apache-2.0

package http2

import (
	"errors"
	"io"
	"strings"
	"sync"
	"testing"

	"meridian/proxy/exchange"
)

func TestRequestsOfARealClientAreAnswered(t *testing.T) {
	s := start(t, Config{Handler: echo})
	c := h2client(t)
	resp, body := ask(t, c, request(t, "GET", "http://"+s.addr+"/a?b", nil))
	if resp.ProtoMajor != 2 || resp.Header.Get("X-Test") != "1" || !strings.HasPrefix(body, "GET /a?b host="+s.addr+` length=-2 body=""`) {
		t.Errorf("got %v %q", resp, body)
	}
	req := request(t, "POST", "http://"+s.addr+"/", strings.NewReader("hello"))
	if _, body = ask(t, c, req); !strings.Contains(body, `length=5 body="hello"`) {
		t.Errorf("got %q", body)
	}
	req = request(t, "POST", "http://"+s.addr+"/", io.MultiReader(strings.NewReader("hel"), strings.NewReader("lo")))
	req.Trailer = map[string][]string{"X-Sum": {"7"}}
	req.Header["Cookie"] = []string{"a=1; b=2"}
	if _, body = ask(t, c, req); !strings.Contains(body, `length=-1 body="hello"`) || !strings.Contains(body, "trailer=[{x-sum 7}]") || !strings.Contains(body, "{cookie a=1; b=2}") {
		t.Errorf("got %q", body)
	}
	if resp, body = ask(t, c, request(t, "HEAD", "http://"+s.addr+"/", nil)); resp.ContentLength < 10 || body != "" {
		t.Errorf("HEAD: got %v %q", resp, body)
	}
	if got := s.Stats(); got.Served != 1 || got.Streams != 4 || got.Open != 1 {
		t.Errorf("got %+v", got)
	}
}

func TestManyStreamsShareAConnection(t *testing.T) {
	s := start(t, Config{Handler: echo})
	c := h2client(t)
	var wg sync.WaitGroup
	for range 100 {
		wg.Go(func() {
			for range 10 {
				if _, body := ask(t, c, request(t, "POST", "http://"+s.addr+"/", strings.NewReader(strings.Repeat("x", 1000)))); !strings.Contains(body, strings.Repeat("x", 1000)) {
					t.Errorf("got %q", body)
				}
			}
		})
	}
	wg.Wait()
}

// zeros is a reader of n bytes.
func zeros(n int64) io.Reader { return io.LimitReader(zero{}, n) }

type zero struct{}

func (zero) Read(p []byte) (int, error) { clear(p); return len(p), nil }

func TestLargeBodiesStreamBothWays(t *testing.T) {
	const size = 64 << 20
	s := start(t, Config{Handler: func(x *exchange.Exchange) {
		n, err := io.Copy(io.Discard, x.Body)
		if n != size || err != nil {
			t.Errorf("up: %d bytes, %v", n, err)
		}
		x.Reply.WriteHead(&exchange.Head{Status: 200, Length: exchange.LengthUnknown})
		io.Copy(x.Reply, zeros(size))
		x.Reply.End(exchange.Header{{Name: "X-Sum", Value: "7"}})
	}})
	resp, err := h2client(t).Do(request(t, "POST", "http://"+s.addr+"/", zeros(size)))
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if n, err := io.Copy(io.Discard, resp.Body); n != size || err != nil || resp.Trailer.Get("X-Sum") != "7" {
		t.Errorf("down: %d bytes, %v, trailer %v", n, err, resp.Trailer)
	}
}

func TestABrokenAnswerIsReset(t *testing.T) {
	for _, handler := range []exchange.Handler{
		func(x *exchange.Exchange) {
			x.Reply.WriteHead(&exchange.Head{Status: 200, Length: exchange.LengthUnknown})
			io.WriteString(x.Reply, "half")
			x.Reply.Flush()
		},
		func(x *exchange.Exchange) {
			x.Reply.WriteHead(&exchange.Head{Status: 200, Length: 5})
			io.WriteString(x.Reply, "half")
			x.Reply.Flush()
			if x.Reply.End(nil) == nil {
				t.Error("an answer that is too short was ended")
			}
		},
		func(x *exchange.Exchange) {
			x.Reply.WriteHead(&exchange.Head{Status: 200, Length: exchange.LengthUnknown})
			io.WriteString(x.Reply, "half")
			x.Reply.Flush()
			panic("on purpose")
		},
	} {
		s := start(t, Config{Handler: handler})
		r := dial(t, s.addr)
		r.headers(1, true, get()...)
		if got := r.outcome(1); got != "reset INTERNAL_ERROR" {
			t.Errorf("got %q", got)
		}
	}
}

func TestAPanicBeforeTheAnswerIs500(t *testing.T) {
	s := start(t, Config{Handler: func(*exchange.Exchange) { panic("on purpose") }})
	r := dial(t, s.addr)
	r.headers(1, true, get()...)
	if got := r.outcome(1); !strings.HasPrefix(got, "500 ") {
		t.Errorf("got %q", got)
	}
}

// signal is a Canceler.
type signal chan struct{}

func (s signal) ClientGone() { close(s) }

func TestACancelledRequestEndsItsHandler(t *testing.T) {
	ended := make(chan error, 1)
	begun := make(chan struct{})
	s := start(t, Config{Handler: func(x *exchange.Exchange) {
		gone := make(signal)
		x.Reply.Watch(gone)
		close(begun)
		<-gone
		x.Reply.WriteHead(&exchange.Head{Status: 200, Length: 1})
		io.WriteString(x.Reply, "x")
		ended <- x.Reply.End(nil)
	}})
	r := dial(t, s.addr)
	r.headers(1, true, get()...)
	<-begun
	r.WriteRSTStream(1, 8)
	if err := <-ended; !errors.Is(err, errGone) {
		t.Errorf("got %v", err)
	}
}
