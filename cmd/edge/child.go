// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"os"
	"strings"
	"syscall"

	"github.com/spf13/cobra"

	"meridian/cmd/edge/dev"
)

// hiddenBool adds the flag by which edge dev ties a child to itself.
func hiddenBool(c *cobra.Command, v *bool) {
	name := strings.TrimPrefix(dev.ExitWithParent, "--")
	c.Flags().BoolVar(v, name, false, "end when descriptor 3, a pipe from the parent, is closed")
	c.Flags().MarkHidden(name)
}

// parentFD is the descriptor of the pipe.
const parentFD = 3

// childContext ends when the parent is gone, if tied. The reading goroutine ends with the pipe, which stop closes.
func childContext(ctx context.Context, tied bool) (_ context.Context, stop context.CancelFunc) {
	ctx, cancel := context.WithCancel(ctx)
	if !tied {
		return ctx, cancel
	}
	syscall.SetNonblock(parentFD, true) // so that Close ends a Read that waits; an error shows as a Read that fails
	pipe := os.NewFile(parentFD, "parent")
	gone := make(chan struct{})
	go func() {
		defer close(gone)
		pipe.Read(make([]byte, 1)) // nothing is ever written: it returns when the parent's end is closed
		cancel()
	}()
	return ctx, func() { cancel(); pipe.Close(); <-gone }
}
