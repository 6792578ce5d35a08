// SPDX-License-Identifier: Apache-2.0

package backend

import "sync"

// work counts the HTTP requests and the open streams being served.
type work struct {
	changed chan struct{} // holds one element after anything has ended

	mu       sync.Mutex // guards the fields below
	requests int
	streams  int
}

func newWork() *work { return &work{changed: make(chan struct{}, 1)} }

// signal wakes whoever waits for the work to end.
func (k *work) signal() {
	select {
	case k.changed <- struct{}{}:
	default: // one wake-up is already waiting, which is enough: the waiter counts anew
	}
}

// request counts one request unless most are being served already; most of zero is no bound.
func (k *work) request(most int) bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	if most > 0 && k.requests >= most {
		return false
	}
	k.requests++
	return true
}

func (k *work) requestDone() {
	k.mu.Lock()
	k.requests--
	k.mu.Unlock()
	k.signal()
}

func (k *work) stream() {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.streams++
}

func (k *work) streamDone() {
	k.mu.Lock()
	k.streams--
	k.mu.Unlock()
	k.signal()
}

func (k *work) counts() (requests, streams int) {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.requests, k.streams
}
