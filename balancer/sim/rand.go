// SPDX-License-Identifier: Apache-2.0

package sim

import "math"

// Rand is a stream of random numbers that its seed determines: splitmix64 (Steele, Lea, Flood: Fast splittable
// pseudorandom number generators, 2014). Owned by one goroutine.
type Rand struct{ state uint64 }

const golden = 0x9e3779b97f4a7c15

// NewRand returns the stream with the given number of a seed. Streams of one seed don't overlap in any run that ends.
func NewRand(seed, stream uint64) *Rand {
	return &Rand{state: mix(seed*golden + mix(stream+1))}
}

func mix(x uint64) uint64 {
	x = (x ^ x>>30) * 0xbf58476d1ce4e5b9
	x = (x ^ x>>27) * 0x94d049bb133111eb
	return x ^ x>>31
}

// Uint64 returns 64 random bits.
func (r *Rand) Uint64() uint64 {
	r.state += golden
	return mix(r.state)
}

// Float returns a number in (0, 1).
func (r *Rand) Float() float64 { return (float64(r.Uint64()>>11) + 0.5) / (1 << 53) }

// Below returns a number in 0..n-1.
func (r *Rand) Below(n int) int { return int((r.Uint64() >> 32) * uint64(n) >> 32) }

// Exp returns a number from the exponential distribution with mean 1.
func (r *Rand) Exp() float64 { return -math.Log(r.Float()) }

// Normal returns a number from the standard normal distribution (Box and Muller).
func (r *Rand) Normal() float64 {
	return math.Sqrt(2*r.Exp()) * math.Cos(2*math.Pi*r.Float())
}
