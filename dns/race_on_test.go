// SPDX-License-Identifier: Apache-2.0

//go:build race

package dns

// raceEnabled says whether the race detector runs, which allocates.
const raceEnabled = true
