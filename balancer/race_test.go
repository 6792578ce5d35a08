// SPDX-License-Identifier: Apache-2.0

//go:build race

package balancer

// The race detector's own allocations make AllocsPerRun meaningless.
const raceEnabled = true
