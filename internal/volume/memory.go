// SPDX-License-Identifier: Apache-2.0

package volume

import (
	"bytes"
	"fmt"
	"os"
	"strconv"
	"sync"
	"time"
)

// Resident returns the resident memory of a process in bytes, by Linux's /proc.
func Resident(pid int) (int64, error) {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return 0, err
	}
	for line := range bytes.Lines(b) {
		if rest, ok := bytes.CutPrefix(line, []byte("VmRSS:")); ok {
			kib, err := strconv.ParseInt(string(bytes.TrimSpace(bytes.TrimSuffix(bytes.TrimSpace(rest), []byte("kB")))), 10, 64)
			return kib << 10, err
		}
	}
	return 0, fmt.Errorf("process %d has no resident memory", pid)
}

// Memory is what a process had of it over a time.
type Memory struct{ Start, Most, End int64 }

// sampleEvery is how often memory is looked at.
const sampleEvery = 20 * time.Millisecond

// Watch samples a process until stop is called.
func Watch(pid int) (stop func() (Memory, error)) {
	var m Memory
	var failed error
	done := make(chan struct{})
	var sampling sync.WaitGroup
	take := func() {
		n, err := Resident(pid)
		if err != nil {
			failed = err
			return
		}
		if m.Start == 0 {
			m.Start = n
		}
		m.Most, m.End = max(m.Most, n), n
	}
	take()
	sampling.Go(func() {
		tick := time.NewTicker(sampleEvery)
		defer tick.Stop()
		for {
			select {
			case <-tick.C:
				take()
			case <-done:
				take()
				return
			}
		}
	})
	return func() (Memory, error) {
		close(done)
		sampling.Wait()
		return m, failed
	}
}
