// SPDX-License-Identifier: Apache-2.0

package loadgen

import (
	"context"
	"runtime"
	"time"

	"golang.org/x/sys/unix"
)

// longestNap bounds how long the end of a context goes unnoticed.
const longestNap = 20 * time.Millisecond

// sleepExactly returns a sleep like sleepByTimer that lasts as long as was asked, and what to call when it is used no more.
// It takes the goroutine's thread for itself.
func sleepExactly() (sleep func(context.Context, time.Duration) bool, end func()) {
	runtime.LockOSThread()
	unix.Prctl(unix.PR_SET_TIMERSLACK, 1000, 0, 0, 0) // nanoseconds; refused, it is 50 µs
	sleep = func(ctx context.Context, d time.Duration) bool {
		for until := time.Now().Add(d); d > 0 && ctx.Err() == nil; d = time.Until(until) {
			nap := unix.NsecToTimespec(int64(min(d, longestNap)))
			unix.Nanosleep(&nap, nil) // cut short by a signal, it is called again
		}
		return ctx.Err() == nil
	}
	return sleep, func() {
		unix.Prctl(unix.PR_SET_TIMERSLACK, 0, 0, 0, 0) // the default
		runtime.UnlockOSThread()
	}
}
