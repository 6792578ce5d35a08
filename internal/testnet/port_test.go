// SPDX-License-Identifier: Apache-2.0

package testnet

import (
	"fmt"
	"net"
	"testing"
)

func TestAPortIsHandedOutOnceAndIsFreeWithItsNext(t *testing.T) {
	seen := map[int]bool{}
	for range 20 {
		p := Port(t)
		if p < lowest || p+1 >= highest || seen[p] || seen[p+1] {
			t.Errorf("got %d, after %v", p, seen)
		}
		seen[p], seen[p+1] = true, true
	}
}

func TestATakenPortIsPassedOver(t *testing.T) {
	p := Port(t)
	if ln, err := net.Listen("tcp", fmt.Sprintf("127.0.0.3:%d", p+2)); err == nil { // else something else listens there
		defer ln.Close()
	}
	if got := Port(t); got == p+2 {
		t.Errorf("got %d, at which something listens", got)
	}
}
