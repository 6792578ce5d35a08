// SPDX-License-Identifier: Apache-2.0

package upstream

import (
	"strconv"
	"strings"
	"time"

	"meridian/proxy/exchange"
)

// keepMargin is how much sooner than a node says that it will close an edge stops using a connection: its last request has
// a way to go. Ours: a round trip around the world, twice.
const keepMargin = 500 * time.Millisecond

// keepFor returns for how long a connection may be kept unused: idle, or less where the node's answer says by
// "Keep-Alive: timeout=N" (RFC 2068, section 19.7.1) that it closes in N seconds. A field that says nothing readable is as
// none.
func keepFor(h exchange.Header, idle time.Duration) time.Duration {
	for item := range strings.SplitSeq(h.Get("Keep-Alive"), ",") {
		name, value, ok := strings.Cut(strings.TrimSpace(item), "=")
		if !ok || !strings.EqualFold(strings.TrimSpace(name), "timeout") {
			continue
		}
		n, err := strconv.ParseUint(strings.Trim(value, ` "`), 10, 16)
		if err != nil {
			return idle
		}
		said := time.Duration(n) * time.Second
		return max(0, min(idle, max(said-keepMargin, said/4)))
	}
	return idle
}
