// SPDX-License-Identifier: Apache-2.0

//go:build !linux

package loadgen

import (
	"context"
	"time"
)

// sleepExactly is sleepByTimer where no better is known.
func sleepExactly() (sleep func(context.Context, time.Duration) bool, end func()) {
	return sleepByTimer, func() {}
}
