// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"sync/atomic"
	"time"

	"meridian/internal/loadgen"
)

// request is what came of one request. Times count from the start of its load.
type request struct {
	post   bool
	v      verdict
	status int
	on     []string      // the nodes that have begun to execute it
	due    time.Duration // when it was to be sent
	took   time.Duration // from then to the end of its answer
}

func (r *request) end() time.Duration { return r.due + r.took }

// load is an open loop of requests: a fifth of them POST, chosen by the seed.
type load struct {
	rate   float64
	length time.Duration
	seed   uint64
	first  uint64 // the number of the first request: numbers are never used twice at one set of nodes
	addr   string
	times  times
}

// times are how long is waited.
type times struct {
	// Client is a client's patience with a request, Answer how long a node may take to answer, and Connect to take a connection.
	Client, Answer, Connect time.Duration
}

// usual are the times that are measured with. The clients' is that of the measurements of which the harness takes its figures.
var usual = times{Client: 5 * time.Second, Answer: 2 * time.Second, Connect: time.Second}

// mostAtOnce bounds the requests under way. It is reached by nothing but a proxy that holds all requests for as long as clients wait.
const mostAtOnce = 30_000

// run makes the load and returns every request. begun is called at its start.
func (l *load) run(ctx context.Context, begun func(time.Time)) []request {
	all := make([]request, int(l.rate*l.length.Seconds())+1)
	c := &clients{addr: l.addr, timeout: l.times.Client}
	defer c.close()
	var sent atomic.Int64
	start := time.Now()
	begun(start)
	loadgen.Run(ctx, loadgen.Config{Rate: l.rate, Duration: l.length, MaxInFlight: mostAtOnce, Exact: true, Do: func(ctx context.Context, n int) error {
		if n >= len(all) {
			return nil
		}
		sent.Add(1)
		r := &all[n]
		r.due = time.Duration(float64(n) / l.rate * float64(time.Second))
		r.post = isPost(l.seed, uint64(n))
		r.v, r.status = c.ask(ctx, l.first+uint64(n), r.post)
		r.took = time.Since(start) - r.due
		return nil
	}})
	for len(all) > 0 && all[len(all)-1].due == 0 && all[len(all)-1].v == unbegun {
		all = all[:len(all)-1] // ctx ended before these, or the last was none
	}
	return all
}

// isPost chooses a fifth of all numbers.
func isPost(seed, n uint64) bool {
	x := (n+1)*0x9e3779b97f4a7c15 ^ seed*0xbf58476d1ce4e5b9
	x ^= x >> 31
	x *= 0x94d049bb133111eb
	x ^= x >> 29
	return x%5 == 0
}
