// SPDX-License-Identifier: Apache-2.0

//go:build linux

package siege

import (
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"net/http"
	"testing"
	"time"

	"meridian/internal/loadgen"
)

// canaryRate is how many requests honest clients make in a second: half of them in the clear, half by HTTP/2 over TLS.
var canaryRate = size(40.0, 200.0)

// trusting takes any certificate: whose it is does not matter here.
var trusting = &tls.Config{InsecureSkipVerify: true, ServerName: "a.test"}

// canary asks for that long and says how it was.
func (e *edge) canary(t *testing.T, d time.Duration) *loadgen.Result {
	ctx, cancel := context.WithTimeout(t.Context(), d)
	defer cancel()
	return e.ask(ctx)
}

// canaryUntil asks until what it returns is called, which says how it was.
func (e *edge) canaryUntil(t *testing.T) func() *loadgen.Result {
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan *loadgen.Result, 1)
	go func() { done <- e.ask(ctx) }()
	return func() *loadgen.Result {
		cancel()
		return <-done
	}
}

// ask asks at the steady rate until ctx ends.
func (e *edge) ask(ctx context.Context) *loadgen.Result {
	clear, secure := client(false), client(true)
	defer clear.CloseIdleConnections()
	defer secure.CloseIdleConnections()
	return loadgen.Run(ctx, loadgen.Config{Rate: canaryRate, Do: func(_ context.Context, n int) error {
		if n%2 == 0 {
			return get(clear, "http://"+e.clear+"/")
		}
		return get(secure, "https://"+e.secure+"/")
	}})
}

func client(http2 bool) *http.Client {
	p := new(http.Protocols)
	p.SetHTTP1(!http2)
	p.SetHTTP2(http2)
	return &http.Client{Timeout: 10 * time.Second, Transport: &http.Transport{TLSClientConfig: trusting.Clone(), Protocols: p, MaxIdleConnsPerHost: 100}}
}

func get(c *http.Client, url string) error {
	req, err := http.NewRequest("GET", url, nil)
	if err != nil {
		return err
	}
	req.Host = "a.test"
	resp, err := c.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(io.LimitReader(resp.Body, 1<<20))
	if err == nil && (resp.StatusCode != 200 || string(b) != small) {
		err = fmt.Errorf("status %d, %.80q", resp.StatusCode, b)
	}
	return err
}

// ratio is how many times the p99 of a is that of b.
func ratio(a, b *loadgen.Result) float64 {
	return float64(a.Quantile(0.99)) / float64(max(b.Quantile(0.99), time.Microsecond))
}
