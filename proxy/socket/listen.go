// SPDX-License-Identifier: Apache-2.0

package socket

import (
	"context"
	"net"
)

// Listen is net.Listen for TCP. On Linux the kernel holds only 128 KiB of what is written to one of the listener's
// connections, besides what the client's window has room for; a write waits beyond that. Multipath TCP, which net.Listen offers,
// is off: a listener of that kind hands none of its options on.
func Listen(addr string) (net.Listener, error) {
	lc := net.ListenConfig{Control: limitUnsent}
	lc.SetMultipathTCP(false)
	return lc.Listen(context.Background(), "tcp", addr)
}
