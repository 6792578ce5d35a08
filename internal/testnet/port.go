// SPDX-License-Identifier: Apache-2.0

package testnet

import (
	"fmt"
	"net"
	"os"
	"sync"
	"testing"
)

// ports are handed out once in a process.
var ports struct {
	sync.Mutex
	next int
}

// Ports that Port hands out are from lowest to below highest, where Linux's ephemeral ones begin.
const (
	lowest  = 10000
	highest = 32768
)

// Port returns a port that, with the next one, is free for TCP and UDP on the first four loopback addresses. It is from
// below the ephemeral range, so that no client's connection has it: for programs that can't listen on port 0, and for
// those that end and start again at the same address. Tests that run at the same time begin at different places.
func Port(t testing.TB) int {
	t.Helper()
	ports.Lock()
	defer ports.Unlock()
	if ports.next == 0 {
		ports.next = lowest + os.Getpid()*128%(highest-lowest)
	}
	for range 1000 {
		p := ports.next
		if ports.next += 2; ports.next+1 >= highest {
			ports.next = lowest
		}
		if IsFree(p) && IsFree(p+1) {
			return p
		}
	}
	t.Fatal("no free port")
	return 0
}

// IsFree reports whether nothing has a port, for TCP or UDP, on the first four loopback addresses.
func IsFree(port int) bool {
	for i := 1; i <= 4; i++ {
		at := fmt.Sprintf("127.0.0.%d:%d", i, port)
		ln, err := net.Listen("tcp", at)
		if err != nil {
			return false
		}
		ln.Close()
		pc, err := net.ListenPacket("udp", at)
		if err != nil {
			return false
		}
		pc.Close()
	}
	return true
}
