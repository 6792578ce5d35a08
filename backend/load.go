// SPDX-License-Identifier: Apache-2.0

package backend

import (
	"runtime"
	"sync"
	"time"

	"meridian/topology"
)

// cpuWindow is the shortest time over which the processor share is measured. Ours: the kernel counts in ticks of 1 to
// 10 ms, which half a second makes negligible.
const cpuWindow = 500 * time.Millisecond

// cpuMeter measures the share of the machine's processors that the process uses.
type cpuMeter struct {
	used  func() time.Duration // set once
	cores int                  // set once

	mu       sync.Mutex // guards the fields below
	at       time.Time
	usedAt   time.Duration
	lastRead float64
}

func newCPUMeter(now time.Time) *cpuMeter {
	m := &cpuMeter{used: cpuTime, cores: runtime.NumCPU(), at: now}
	m.usedAt = m.used()
	return m
}

// ratio returns the share since the last reading, 0..1; within half a second of that it returns the same again.
func (m *cpuMeter) ratio(now time.Time) float64 {
	m.mu.Lock()
	defer m.mu.Unlock()
	elapsed := now.Sub(m.at)
	if elapsed < cpuWindow {
		return m.lastRead
	}
	used := m.used()
	m.lastRead = min(1, max(0, float64(used-m.usedAt)/float64(elapsed)/float64(m.cores)))
	m.at, m.usedAt = now, used
	return m.lastRead
}

// Load returns what the worker holds now. In flight are requests without the open streams; a call whose client has gone
// but which is still worked on counts. The processor share is that since the last call, over at least half a second.
// Safe for concurrent use, also before Run and after.
func (w *Worker) Load() topology.Load {
	now := time.Now()
	return topology.Load{
		InFlight:    w.inFlight(),
		Connections: w.conns.count(),
		Sessions:    w.sessions.count(),
		CPU:         w.cpu.ratio(now),
		At:          now.UTC().Truncate(time.Millisecond),
	}
}
