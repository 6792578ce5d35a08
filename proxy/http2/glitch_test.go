// SPDX-License-Identifier: Apache-2.0

package http2

import (
	"bytes"
	"testing"
)

// TestAHeadThatIsLargeWhenDecodedCountsForMany sends blocks of 30 kB that stand for 1 MB of fields.
func TestAHeadThatIsLargeWhenDecodedCountsForMany(t *testing.T) {
	block := append([]byte("\x82\x84\x87\x01\x06a.test\x40\x01a\x00"), bytes.Repeat([]byte{0xbe}, 30000)...)
	s := start(t, Config{Handler: echo})
	r := dial(t, s.addr)
	ended := make(chan string, 1)
	go func() { ended <- r.outcome(1<<31 - 1) }()
	for n := range 200 {
		id := uint32(2*n + 1)
		if r.WriteHeaders(headersParam(id, block[:16000], true, false)) != nil || r.WriteContinuation(id, true, block[16000:]) != nil {
			break
		}
	}
	if got := <-ended; got != "goaway ENHANCE_YOUR_CALM" && got != "closed" {
		t.Errorf("got %q", got)
	}
	if n := s.Stats().Streams; n > 10 {
		t.Errorf("%d such heads were decoded on one connection", n)
	}
}

// TestOneHeadThatIsTooLargeIsAnsweredAndTheConnectionGoesOn is a browser with too many cookies.
func TestOneHeadThatIsTooLargeIsAnsweredAndTheConnectionGoesOn(t *testing.T) {
	s := start(t, Config{Handler: echo})
	r := dial(t, s.addr)
	var many []string
	for range 120 {
		many = append(many, "x-filler", string(bytes.Repeat([]byte("y"), 300)))
	}
	for n := range 5 {
		r.headers(uint32(4*n+1), true, get(many...)...)
		if got := r.outcome(uint32(4*n + 1)); got[:4] != "431 " {
			t.Fatalf("got %q", got)
		}
		r.headers(uint32(4*n+3), true, get()...)
		if got := r.outcome(uint32(4*n + 3)); got[:4] != "200 " {
			t.Fatalf("got %q", got)
		}
	}
}
