// SPDX-License-Identifier: Apache-2.0

package proxy

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"meridian/balancer"
	"meridian/internal/testnet"
)

func TestAReportOfLoadIsRead(t *testing.T) {
	for value, want := range map[string]balancer.Reported{
		"": {}, "cpu_utilization=0.3": {}, "BIN abc": {},
		"TEXT cpu_utilization=0.3": {CPU: 0.3},
		"TEXT cpu_utilization=0.3, application_utilization=0.5,named_metrics.a=0.1,named_metrics.b=0.2,rps=9":               {CPU: 0.3, Application: 0.5, Named: 0.2},
		"TEXT cpu_utilization=NaN,application_utilization=-1,named_metrics.x=Inf,utilization.q=0.4,=,x":                     {Named: 0.4},
		`JSON {"cpu_utilization":0.3,"application_utilization":-2,"named_metrics":{"a":0.7},"utilization":{"b":0.9},"x":1}`: {CPU: 0.3, Named: 0.9},
		`JSON {`:           {},
		"BIN CQAAAAAAANA/": {CPU: 0.25}, "BIN CQAAAAAAANA/SQAAAAAAAOA/": {CPU: 0.25, Application: 0.5}, "BIN CQAAAAAAANA": {},
		"TEXT cpu_utilization=0.3," + strings.Repeat("x", maxLoadBytes): {},
	} {
		if got := loadOf(value); got != want {
			t.Errorf("%.60q: %+v, want %+v", value, got, want)
		}
	}
}

func FuzzLoadOf(f *testing.F) {
	f.Add("TEXT cpu_utilization=0.3,named_metrics.a=1e999")
	f.Add(`JSON {"named_metrics":{"a":1e308}}`)
	f.Fuzz(func(t *testing.T, s string) {
		if r := loadOf(s); !(r.CPU >= 0 && r.Application >= 0 && r.Named >= 0) {
			t.Errorf("%+v", r)
		}
	})
}

// TestABinaryReportIsUsedFromHeadAndTrailer has nodes of which one says that it is busy.
func TestABinaryReportIsUsedFromHeadAndTrailer(t *testing.T) {
	const busy, idle = "SQAAAAAAAOA/", "SQAAAAAAANA/" // application_utilization 0.5 and 0.25
	for place, says := range map[string]func(w http.ResponseWriter, load string){
		"head": func(w http.ResponseWriter, load string) { w.Header().Set(loadFieldBin, load) },
		"trailer": func(w http.ResponseWriter, load string) {
			w.Write([]byte("ok"))
			w.Header().Set(http.TrailerPrefix+loadFieldBin, load)
		},
	} {
		e := newEdge(t)
		e.httpNode("busy", "web", func(w http.ResponseWriter, _ *http.Request) { says(w, busy) })
		e.httpNode("idle", "web", func(w http.ResponseWriter, _ *http.Request) { says(w, idle+"==") })
		testnet.Wait(t, "the busy one to be held for its "+place, func() bool {
			_, _, header := e.ask("GET", "/", "") // until each has had one
			for name := range header {
				if strings.Contains(strings.ToLower(name), "load-metrics") {
					t.Fatalf("the client got %s", name)
				}
			}
			e.table.Tick(time.Now())
			rif := map[string]float64{}
			for _, c := range e.table.Explain("web") {
				rif[string(c.Node)] = c.RIF
			}
			return rif["busy"] > 0 && rif["idle"] == 0
		})
	}
}

// TestAReportOfLoadIsUsedAndNotPassedOn has two nodes, of which one says that it is busy.
func TestAReportOfLoadIsUsedAndNotPassedOn(t *testing.T) {
	e := newEdge(t)
	says := func(load string) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Endpoint-Load-Metrics", load)
			w.Header().Set("Trailer", "Endpoint-Load-Metrics-Bin")
			w.Write([]byte("ok"))
			w.Header().Set("Endpoint-Load-Metrics-Bin", "AAAA")
		}
	}
	e.httpNode("busy", "web", says("TEXT cpu_utilization=0.9"))
	e.httpNode("idle", "web", says("TEXT cpu_utilization=0.1"))
	for range 10 {
		_, _, header := e.ask("GET", "/", "")
		for name := range header {
			if strings.Contains(strings.ToLower(name), "load-metrics") {
				t.Fatalf("the client got %s", name)
			}
		}
	}
	testnet.Wait(t, "the busy one to be held for it", func() bool {
		e.ask("GET", "/", "") // until each has had one
		e.table.Tick(time.Now())
		rif := map[string]float64{}
		for _, c := range e.table.Explain("web") {
			rif[string(c.Node)] = c.RIF
		}
		return rif["busy"] > 0 && rif["idle"] == 0
	})
}
