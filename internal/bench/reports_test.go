// SPDX-License-Identifier: Apache-2.0

package main

import (
	"math"
	"strings"
	"testing"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestWrksReportIsRead(t *testing.T) {
	o, err := parseWrk("Running 1s test\nresult 5000 1 2000000\n")
	if want := (outcome{requests: 5000, failed: 1, seconds: 2}); err != nil || o != want {
		t.Errorf("got %+v, %v, want %+v", o, err, want)
	}
	for _, bad := range []string{"", "result 1 2\n", "result 0 0 1\n", "result 100 50 1000000\n"} {
		if o, err := parseWrk(bad); err == nil {
			t.Errorf("%q gave %+v", bad, o)
		}
	}
}

const h2loads = `starting benchmark...
Application protocol: h2c

finished in 501.23ms, 41958.00 req/s, 6.21MB/s
requests: 20979 total, 21491 started, 20979 done, 20970 succeeded, 3 failed, 2 errored, 4 timeout
status codes: 20979 2xx, 0 3xx, 0 4xx, 0 5xx
`

func TestH2loadsReportIsRead(t *testing.T) {
	o, err := parseH2load(h2loads)
	if want := (outcome{requests: 20970, failed: 9, seconds: 0.50123}); err != nil || o.requests != want.requests || o.failed != want.failed || math.Abs(o.seconds-want.seconds) > 1e-9 {
		t.Errorf("got %+v, %v, want %+v", o, err, want)
	}
	for _, bad := range []string{"",
		strings.Replace(h2loads, "h2c", "http/1.1", 1),
		strings.Replace(h2loads, "finished", "began", 1),
		strings.Replace(h2loads, "20970 succeeded, 3 failed", "0 succeeded, 20973 failed", 1),
	} {
		if o, err := parseH2load(bad); err == nil {
			t.Errorf("%q gave %+v", bad, o)
		}
	}
}

func TestASpreadHasMedianLeastAndMost(t *testing.T) {
	if got, want := spreadIn([]float64{3, 1, 2, 10}), (spread{2.5, 1, 10}); got != want {
		t.Errorf("got %v, want %v", got, want)
	}
}

// rounds are those of a proxy that served so many requests in each of a second's rounds.
func rounds(name string, cpu float64, requests ...float64) *row {
	r := &row{peer: &peer{name: name}, rss: 3 << 20}
	for i, n := range requests {
		r.full = append(r.full, figures{outcome{requests: n, seconds: 1}, cpu})
		r.half = append(r.half, figures{outcome{requests: n, seconds: 1, p50: 1, p99: float64(i + 1), p999: 9}, cpu / 2})
	}
	return r
}

func TestTheRateIsHalfOfTheSlowestProxysMedian(t *testing.T) {
	if got := halfOfTheSlowest([]*row{rounds("edge", 30, 900, 100, 800), rounds("nginx", 20, 700, 600, 1000)}); got != 350 {
		t.Errorf("got %v, want half of nginx's 700", got)
	}
}

func TestRatiosAreThoseOfTheRounds(t *testing.T) {
	edge, nginx := rounds("edge", 30, 100, 200, 300), rounds("nginx", 20, 100, 100, 100)
	if got, want := ratio(edge.full, nginx.full, rate), "2.00 (1.00–3.00)"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
	var out strings.Builder
	printRows(&out, "some load", []*row{edge, nginx})
	var all summary
	all.add("some load", []*row{edge, nginx})
	all.print(&out)
	for _, want := range []string{
		"### some load; latencies at 50 a second",
		"| edge | 200 | 30.0 (30.0–30.0) | 15.0 (15.0–15.0) | 1.00 (1.00–1.00) | 2.00 (1.00–3.00) | 9.00 (9.00–9.00) | 3.0 | 1 | 1 | 1 | 1 |",
		"| nginx | 100 | 20.0 (20.0–20.0) |",
		"| edge to | nginx: CPU per request | p99 at equal load |",
		"| some load | 1.50 (1.50–1.50) | 1.00 (1.00–1.00) |",
	} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("no %q in\n%s", want, out.String())
		}
	}
}
