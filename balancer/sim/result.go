// SPDX-License-Identifier: Apache-2.0

package sim

import "time"

// Result is what a run gave.
type Result struct {
	// P50, P99 and P999 are quantiles of the time from arrival to answer of the measured requests. A request that fails counts
	// with requestDeadline, 5 s.
	P50, P99, P999, Mean time.Duration
	// Measured is how many requests came in the measured time and ended, Errors how many of them failed.
	Measured, Errors int
	// Imbalance is the largest utilisation among the nodes that are whole all the time, relative to their mean. 1 is even.
	Imbalance float64

	// Arrived, Answered, Failed and InFlight count all requests from the beginning of the run to its end.
	Arrived, Answered, Failed, InFlight int
	// Retries counts the tries after the first ones.
	Retries int
	// Limits are of each node.
	Limits []Limit
	// Utilisation is each node's share of its cores' measured time that it worked.
	Utilisation []float64
}

// ErrorRatio returns the share of the measured requests that failed, 0..1.
func (r *Result) ErrorRatio() float64 { return float64(r.Errors) / float64(max(1, r.Measured)) }

func (r *run) result() Result {
	out := r.out
	for i := range r.calls {
		if r.calls[i].alive {
			out.InFlight++
		}
	}
	out.P50, out.P99, out.P999, out.Mean = r.lat.quantile(0.5), r.lat.quantile(0.99), r.lat.quantile(0.999), r.lat.mean()
	var most, sum, count float64
	steady := r.s.steady()
	for i := range r.nodes {
		n := &r.nodes[i]
		u := n.measured / float64(n.spec.Cores) / (r.s.To - r.s.From).Seconds()
		out.Utilisation = append(out.Utilisation, u)
		out.Limits = append(out.Limits, n.usage.limit(n.spec, r.s))
		if steady[i] {
			most, sum, count = max(most, u), sum+u, count+1
		}
	}
	if sum > 0 {
		out.Imbalance = most / (sum / count)
	}
	return out
}
