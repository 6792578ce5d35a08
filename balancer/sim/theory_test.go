// SPDX-License-Identifier: Apache-2.0

package sim

import (
	"math"
	"testing"
	"time"
)

// The simulator beside queueing theory: means that are known exactly, within the confidence of 20 seeds.

// station returns one node on which n seconds of requests are measured.
func station(n Node, r Route, seconds int) *Scenario {
	r.Name, r.Share = "all", 1
	return &Scenario{
		Name: "station", Nodes: []Node{n}, Routes: []Route{r},
		From: 2 * time.Second, To: time.Duration(2+seconds) * time.Second,
	}
}

// erlangC returns the share of arrivals that wait in M/M/k with an offered load of a.
func erlangC(k int, a float64) float64 {
	b := 1.0 // Erlang B's recursion
	for i := 1; i <= k; i++ {
		b = a * b / (float64(i) + a*b)
	}
	rho := a / float64(k)
	return b / (1 - rho + rho*b)
}

func TestMeanTimesAreThoseOfQueueingTheory(t *testing.T) {
	const mean = 5 * time.Millisecond
	s := mean.Seconds()
	sigma := 0.8
	squareMean := s * s * math.Exp(sigma*sigma) // of the log-normal
	cases := []struct {
		name string
		node Node
		sd   float64
		load float64
		want float64 // seconds in the node
	}{
		{"M/M/1", Node{Cores: 1}, 0, 0.7, s / (1 - 0.7)},
		{"M/M/4", Node{Cores: 4}, 0, 0.8, s + erlangC(4, 3.2)*s/(4*(1-0.8))},
		{"M/M/16", Node{Cores: 16}, 0, 0.9, s + erlangC(16, 14.4)*s/(16*(1-0.9))},
		{"M/G/1, Pollaczek and Khinchine", Node{Cores: 1}, sigma, 0.6, s + 0.6/s*squareMean/(2*(1-0.6))},
		{"M/M/1, processor sharing", Node{Cores: 1, Shares: true}, 0, 0.7, s / (1 - 0.7)},
		{"M/G/1, processor sharing, which the distribution doesn't change", Node{Cores: 1, Shares: true}, sigma, 0.6, s / (1 - 0.6)},
		{"M/M/4, processor sharing, as M/M/4 with another order", Node{Cores: 4, Shares: true}, 0, 0.8, s + erlangC(4, 3.2)*s/(4*(1-0.8))},
		{"M/M/1, four times slower", Node{Cores: 1, Slowness: 4}, 0, 0.5, 4 * s / (1 - 0.5)},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			sc := station(c.node, Route{Mean: mean, Sigma: c.sd}, 10)
			const seeds = 20
			sum, squares := 0.0, 0.0
			for seed := range uint64(seeds) {
				r := Run(Config{Scenario: sc, Policy: RoundRobin, Load: c.load, Seed: seed})
				x := (r.Mean - network).Seconds()
				sum, squares = sum+x, squares+x*x
			}
			got := sum / seeds
			half := 3.6 * math.Sqrt((squares/seeds-got*got)/(seeds-1)) // 99.8 %: one of 500 would fail by chance, and seeds are fixed
			if math.Abs(got-c.want) > half {
				t.Errorf("mean %.4g ms ± %.2g, want %.4g ms", got*1e3, half*1e3, c.want*1e3)
			}
			if half > c.want/5 {
				t.Errorf("the interval ± %.2g ms is too wide to show anything", half*1e3)
			}
		})
	}
}

func TestUtilisationIsTheOfferedLoad(t *testing.T) {
	s := Scenarios()[0]
	r := Run(Config{Scenario: s, Policy: LeastRequest, Load: 0.5, Seed: 1})
	mean := 0.0
	for _, u := range r.Utilisation {
		mean += u / float64(len(r.Utilisation))
	}
	// 15,000 requests with exponential times: a standard deviation of 0.012 relative to the load.
	if math.Abs(mean-0.5) > 0.025 {
		t.Errorf("mean utilisation %.3f at load 0.5", mean)
	}
	if r.Imbalance < 1 {
		t.Errorf("imbalance %.3f, below the mean", r.Imbalance)
	}
}
