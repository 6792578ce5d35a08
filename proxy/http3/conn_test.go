// SPDX-License-Identifier: Apache-2.0

package http3

import (
	"context"
	"net/http"
	"net/http/httptrace"
	"net/textproto"
	"strings"
	"testing"
	"time"

	"meridian/internal/h3raw"
	"meridian/internal/testnet"
	"meridian/proxy/exchange"
)

// ends waits until a connection has ended.
func ends(t *testing.T, c *h3raw.Client) {
	t.Helper()
	select {
	case <-c.Conn.Context().Done():
	case <-time.After(testnet.Patience):
		t.Fatal("the connection goes on")
	}
}

// goesAway waits until the client was told GOAWAY, and for the connection's end.
func goesAway(t *testing.T, c *h3raw.Client) {
	t.Helper()
	select {
	case <-c.GoneAway:
	case <-time.After(testnet.Patience):
		t.Fatal("the client was not told GOAWAY")
	}
	ends(t, c)
}

func TestAConnectionEndsAfterItsLastRequestAlsoIfTheClientStays(t *testing.T) {
	t.Parallel() // the server lingers
	s, addr := start(t, Config{MaxRequests: 3, Handler: answer(200, "ok")})
	c := h3raw.Dial(t, addr, "a.test")
	for range 3 {
		if got, err := c.Get("/"); err != nil || len(got) == 0 {
			t.Fatalf("got %q, %v", got, err)
		}
	}
	goesAway(t, c)
	if got := s.Stats(); got.Requests != 3 {
		t.Errorf("%+v", got)
	}
}

func TestAConnectionWithoutARequestIsTold(t *testing.T) {
	t.Parallel() // the server lingers
	_, addr := start(t, Config{HeadTimeout: time.Hour, IdleTimeout: 100 * time.Millisecond, Handler: answer(200, "ok")})
	c := h3raw.Dial(t, addr, "a.test")
	if _, err := c.Get("/"); err != nil {
		t.Fatal(err)
	}
	goesAway(t, c)
}

func TestAHeadThatDoesNotComeEndsTheConnection(t *testing.T) {
	head := h3raw.Head("a.test", "/")
	for name, first := range map[string][]byte{"nothing": nil, "half a head": head[:len(head)-3]} {
		t.Run(name, func(t *testing.T) {
			t.Parallel() // the server lingers
			_, addr := start(t, Config{HeadTimeout: 50 * time.Millisecond, Handler: answer(200, "ok")})
			c := h3raw.Dial(t, addr, "a.test")
			if first != nil {
				c.Open(first)
			}
			goesAway(t, c)
		})
	}
}

// TestAnotherConfigurationHoldsForOpenConnections is a reload: limits of heads and requests, and the idle time.
func TestAnotherConfigurationHoldsForOpenConnections(t *testing.T) {
	t.Parallel() // the server lingers
	s, addr := start(t, Config{Handler: answer(200, "ok")})
	hc := client(t, nil)
	ask := func() int {
		req, _ := http.NewRequest("GET", "https://"+addr+"/", nil)
		req.Header.Set("X-Long", strings.Repeat("x", 2000))
		resp, err := hc.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		return resp.StatusCode
	}
	if got := ask(); got != 200 {
		t.Fatalf("got %d", got)
	}
	raw := h3raw.Dial(t, addr, "a.test")
	raw.Get("/")
	c := Config{}
	c.HeadBytes, c.MaxRequests = 1024, 3
	s.Reconfigure(c)
	if got := ask(); got != 431 {
		t.Errorf("with a lower limit the same connection got %d", got)
	}
	raw.Get("/")
	raw.Get("/")
	goesAway(t, raw)
}

// TestABoundOfRequestsThatIsLoweredFarCutsNothing lowers it below what the connection has had.
func TestABoundOfRequestsThatIsLoweredFarCutsNothing(t *testing.T) {
	t.Parallel() // the server lingers
	s, addr := start(t, Config{MaxStreams: 2, Handler: answer(200, "ok")})
	c := h3raw.Dial(t, addr, "a.test")
	for range 10 {
		if _, err := c.Get("/"); err != nil {
			t.Fatal(err)
		}
	}
	s.Reconfigure(Config{MaxStreams: 2, MaxRequests: 3})
	if got, err := c.Get("/"); err != nil || len(got) == 0 {
		t.Errorf("the next request got %q, %v", got, err)
	}
	goesAway(t, c)
	if got := s.Stats().Requests; got != 11 {
		t.Errorf("%d requests were served", got)
	}
}

func TestInterimAnswersComeBeforeTheAnswer(t *testing.T) {
	seen := make(chan struct{})
	_, addr := start(t, Config{Handler: func(x *exchange.Exchange) {
		x.Reply.(exchange.Informer).Inform(103, exchange.Header{{Name: "Link", Value: "</a.css>"}})
		<-seen
		answer(200, "ok")(x)
	}})
	ctx := httptrace.WithClientTrace(context.Background(), &httptrace.ClientTrace{Got1xxResponse: func(code int, h textproto.MIMEHeader) error {
		if code != 103 || h.Get("Link") != "</a.css>" {
			t.Errorf("got %d %v", code, h)
		}
		close(seen)
		return nil
	}})
	req, _ := http.NewRequestWithContext(ctx, "GET", "https://"+addr+"/", nil)
	resp, err := client(t, nil).Do(req)
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	if resp.StatusCode != 200 || resp.Header.Get("Link") != "" {
		t.Errorf("got %d %v", resp.StatusCode, resp.Header)
	}
}

func TestRequestsUnderWayEndAfterGOAWAY(t *testing.T) {
	t.Parallel() // the server lingers
	started, finish := make(chan struct{}), make(chan struct{})
	s, addr := start(t, Config{Handler: func(x *exchange.Exchange) {
		close(started)
		<-finish
		answer(200, "done")(x)
	}})
	c := h3raw.Dial(t, addr, "a.test")
	type outcome struct {
		got string
		err error
	}
	answered := make(chan outcome, 1)
	go func() { got, err := c.Get("/"); answered <- outcome{got, err} }()
	<-started
	s.mu.Lock()
	for c := range s.conns {
		c.leave(0)
	}
	s.mu.Unlock()
	<-c.GoneAway
	if _, err := c.Get("/late"); err == nil {
		t.Error("a request behind GOAWAY was answered")
	}
	close(finish)
	if o := <-answered; o.err != nil || o.got[len(o.got)-5:] != "done\n" {
		t.Errorf("got %q, %v", o.got, o.err)
	}
	ends(t, c)
}
