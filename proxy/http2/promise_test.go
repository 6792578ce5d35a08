// SPDX-License-Identifier: Apache-2.0

package http2

import (
	"strings"
	"testing"

	xhttp2 "golang.org/x/net/http2"

	"meridian/proxy/exchange"
)

// settings reads until SETTINGS of the server's and returns what they say of streams and heads.
func (r *raw) settings() (streams, head uint32) {
	for {
		f, err := r.ReadFrame()
		if err != nil {
			r.t.Fatal(err)
		}
		if sf, ok := f.(*xhttp2.SettingsFrame); ok && !sf.IsAck() {
			streams, _ = sf.Value(xhttp2.SettingMaxConcurrentStreams)
			head, _ = sf.Value(xhttp2.SettingMaxHeaderListSize)
			return streams, head
		}
	}
}

// TestAnotherConfigurationIsToldAndHoldsForOpenConnections is a reload: of streams, heads and requests.
func TestAnotherConfigurationIsToldAndHoldsForOpenConnections(t *testing.T) {
	finish := make(chan struct{})
	c := Config{MaxStreams: 1, Handler: func(x *exchange.Exchange) {
		if x.Target == "/wait" {
			<-finish
		}
		answer(200, "ok")(x)
	}}
	c.HeadBytes = 2048
	s := start(t, c)
	r := dial(t, s.addr)
	if streams, head := r.settings(); streams != 1 || head != 2048 {
		t.Fatalf("told %d streams, heads of %d bytes", streams, head)
	}
	r.WriteSettingsAck()
	wait := get()
	wait[len(wait)-1] = "/wait"
	r.headers(1, true, wait...)
	r.headers(3, true, get()...)
	if got := r.outcome(3); got != "reset REFUSED_STREAM" {
		t.Errorf("above the bound: %s", got)
	}

	c.MaxStreams, c.HeadBytes = 2, 16<<10
	s.Reconfigure(c)
	if streams, head := r.settings(); streams != 2 || head != 16<<10 {
		t.Fatalf("told %d streams, heads of %d bytes", streams, head)
	}
	r.WriteSettingsAck()
	r.headers(5, true, get("x", strings.Repeat("x", 8000))...)
	if got := r.outcome(5); !strings.HasPrefix(got, "200 ") {
		t.Errorf("within the new bounds: %s", got)
	}

	c.MaxStreams = 1
	s.Reconfigure(c)
	if streams, _ := r.settings(); streams != 1 {
		t.Fatalf("told %d streams", streams)
	}
	r.headers(7, true, get()...) // before it knows
	if got := r.outcome(7); !strings.HasPrefix(got, "200 ") {
		t.Errorf("before the acknowledgement: %s", got)
	}
	r.WriteSettingsAck()
	r.headers(9, true, get()...)
	if got := r.outcome(9); got != "reset REFUSED_STREAM" {
		t.Errorf("after it: %s", got)
	}
	close(finish)
	if got := r.outcome(1); !strings.HasPrefix(got, "200 ") {
		t.Errorf("the first: %s", got)
	}

	c.MaxRequests = 4
	s.Reconfigure(c)
	r.headers(11, true, get()...)
	if got := r.outcome(11); !strings.HasPrefix(got, "200 ") {
		t.Errorf("the last: %s", got)
	}
	if got := r.outcome(13); got != "closed" {
		t.Errorf("behind the last: %s", got)
	}
}
