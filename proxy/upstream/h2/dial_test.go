// SPDX-License-Identifier: Apache-2.0

package h2

import (
	"context"
	"errors"
	"testing"

	"golang.org/x/net/http2"

	"meridian/internal/testnet"
)

// TestASharedDialLastsUntilNobodyWaitsForIt also has the next request begin anew.
func TestASharedDialLastsUntilNobodyWaitsForIt(t *testing.T) {
	greet := make(chan struct{})
	ended := make(chan struct{}, 2)
	n := testnet.Listen(t, func(c *testnet.Conn) {
		gone := make(chan struct{})
		go func() { c.ReadAll(); close(gone) }()
		select {
		case <-greet:
			http2.NewFramer(c, nil).WriteSettings()
			<-gone
		case <-gone:
			ended <- struct{}{}
		}
	})
	p := pool(t, Config{})
	type result struct {
		call *Call
		err  error
	}
	get := func() (leave func(), got chan result) {
		ctx, leave := context.WithCancel(t.Context())
		got = make(chan result, 1)
		go func() {
			c, err := p.Get(ctx, n.Addr, testnet.Patience)
			got <- result{c, err}
		}()
		return leave, got
	}
	waiting := func(want int) {
		testnet.Wait(t, "the requests to wait", func() bool {
			p.mu.Lock()
			defer p.mu.Unlock()
			d := p.nodes[n.Addr]
			return d != nil && d.dialing != nil && d.dialing.waiting == want
		})
	}
	leaveFirst, first := get()
	leaveSecond, second := get()
	waiting(2)
	leaveFirst()
	if r := <-first; !errors.Is(r.err, context.Canceled) {
		t.Errorf("the one that left got %v", r.err)
	}
	waiting(1)
	leaveSecond()
	<-ended // the connection was closed
	if r := <-second; !errors.Is(r.err, context.Canceled) {
		t.Errorf("the last one got %v", r.err)
	}

	leaveFirst, first = get()
	leaveSecond, second = get()
	defer leaveSecond()
	waiting(2)
	leaveFirst()
	<-first
	close(greet)
	if r := <-second; r.err != nil {
		t.Errorf("the one that stayed: %v", r.err)
	} else {
		r.call.Close()
	}
	if s := p.Stats(); s.Dialed != 1 || s.Failed != 1 || s.Open != 1 {
		t.Errorf("stats %+v", s)
	}
}
