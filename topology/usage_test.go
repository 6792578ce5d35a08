// SPDX-License-Identifier: Apache-2.0

package topology

import (
	"fmt"
	"math"
	"testing"
)

func TestWhatAReportSaysOfUseIsHeldToItsBounds(t *testing.T) {
	f := func(r Report, want ...string) {
		t.Helper()
		c := checker{}
		r.check(&c, "")
		if len(c.found) != len(want) {
			t.Fatalf("got %v, want mistakes in %v", c.found, want)
		}
		for i, m := range c.found {
			if m.Field != want[i] {
				t.Errorf("got %v, want a mistake in %s", m, want[i])
			}
		}
	}
	good := Availability{Pool: "p", Region: "r", Zone: "z", Healthy: 1, Utilization: 1.5, A: 0.05, Target: 0.8}
	f(Report{Availability: []Availability{good}, Usage: map[NodeID]Usage{"n": {InFlight: 3, PerSecond: 1.5}}})
	f(Report{Usage: map[NodeID]Usage{"n": {InFlight: -1}, "o": {PerSecond: math.NaN()}, "x": {PerSecond: math.Inf(1)}}}, "usage", "usage", "usage")
	f(Report{Usage: map[NodeID]Usage{"N": {}}}, "usage")
	for _, change := range []func(*Availability){
		func(a *Availability) { a.Pool = "P" }, func(a *Availability) { a.Region = "" }, func(a *Availability) { a.Zone = "\x1b" },
		func(a *Availability) { a.A = 1.1 }, func(a *Availability) { a.Healthy = math.NaN() }, func(a *Availability) { a.Utilization = -1 },
		func(a *Availability) { a.Target = 2 },
	} {
		bad := good
		change(&bad)
		f(Report{Availability: []Availability{good, bad}}, "availability[1]")
	}
	many := map[NodeID]Usage{}
	for i := range MaxReportedUsage + 1 {
		many[NodeID(fmt.Sprint("n", i))] = Usage{}
	}
	f(Report{Usage: many}, "usage")
}
