// SPDX-License-Identifier: Apache-2.0

package main

import "math"

// interval is a mean with its 95 % interval, mean ± half, over seeds.
type interval struct{ mean, half float64 }

func (i interval) low() float64  { return i.mean - i.half }
func (i interval) high() float64 { return i.mean + i.half }

// intervalOf takes the samples for independent and about normal: each is the figure of a whole run.
func intervalOf(samples []float64) interval {
	n := float64(len(samples))
	sum := 0.0
	for _, x := range samples {
		sum += x
	}
	mean := sum / n
	squares := 0.0
	for _, x := range samples {
		squares += (x - mean) * (x - mean)
	}
	return interval{mean, studentT(len(samples)-1) * math.Sqrt(squares/(n-1)/n)}
}

// studentT returns the 97.5 % quantile of Student's t distribution: by Cornish and Fisher's expansion (Abramowitz and
// Stegun, 26.7.5), which for 3 degrees of freedom and more is within 1 %; below from the table.
func studentT(freedom int) float64 {
	switch freedom {
	case 1:
		return 12.706
	case 2:
		return 4.303
	}
	const z = 1.959964
	v := float64(freedom)
	z3, z5, z7 := z*z*z, z*z*z*z*z, z*z*z*z*z*z*z
	return z + (z3+z)/(4*v) + (5*z5+16*z3+3*z)/(96*v*v) + (3*z7+19*z5+17*z3-15*z)/(384*v*v*v)
}

// ratioOf compares samples that belong together in pairs: the geometric mean of a/b with its 95 % interval. Pairs share their
// seed, and so their requests: what is hard in one seed is so for both, and cancels out.
func ratioOf(a, b []float64) ratio {
	logs := make([]float64, len(a))
	for i := range a {
		logs[i] = math.Log(a[i] / b[i])
	}
	l := intervalOf(logs)
	return ratio{math.Exp(l.mean), math.Exp(l.low()), math.Exp(l.high())}
}

type ratio struct{ mean, low, high float64 }
