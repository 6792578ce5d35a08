// SPDX-License-Identifier: Apache-2.0

package health

import (
	"hash/fnv"
	"time"
)

// seedOf gives each target bits of its own. Zero bits stay zero: no jitter.
func seedOf(bits uint64, id string) uint64 {
	if bits == 0 {
		return 0
	}
	return max(1, (bits^hashOf(id))&^(1<<63)|1<<62) // far from 0, also with a few bans added
}

func hashOf(id string) uint64 {
	h := fnv.New64a()
	h.Write([]byte(id))
	return h.Sum64()
}

// jittered moves a ban by up to a fifth either way, up to MaxBan where it is not longer itself. Seeds below 1<<62 leave it.
func jittered(ban time.Duration, seed uint64) time.Duration {
	if seed < 1<<62 {
		return ban
	}
	part := float64(mix(seed)>>11) / (1 << 53) // in [0, 1)
	moved := time.Duration(float64(ban) * (0.8 + 0.4*part)).Round(time.Millisecond)
	return min(moved, max(ban, MaxBan))
}

// mix is splitmix64's finaliser: seeds that follow each other give bits that don't.
func mix(x uint64) uint64 {
	x = (x ^ x>>30) * 0xbf58476d1ce4e5b9
	x = (x ^ x>>27) * 0x94d049bb133111eb
	return x ^ x>>31
}
