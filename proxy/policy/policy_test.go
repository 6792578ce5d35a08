// SPDX-License-Identifier: Apache-2.0

package policy

import (
	"net/netip"
	"testing"
	"time"

	"meridian/proxy/exchange"
	"meridian/proxy/strict"
)

func TestAnotherPolicyKeepsWhoAnswersAndWhoIsCounted(t *testing.T) {
	var l Live
	var handled, refused, panicked int
	l.Store(Policy{
		Handler:  func(*exchange.Exchange) { handled++ },
		Refused:  func(netip.AddrPort, *strict.Refusal) { refused++ },
		Panicked: func(any, []byte) { panicked++ },
	})
	before := l.Load().Census
	l.Store(Policy{IdleTimeout: time.Second})
	p := l.Load()
	p.Handler(nil)
	p.Refused(netip.AddrPort{}, nil)
	p.Panicked(nil, nil)
	if handled != 1 || refused != 1 || panicked != 1 || p.Census != before || p.IdleTimeout != time.Second || p.HeadTimeout != 10*time.Second {
		t.Errorf("got %+v; called %d, %d, %d times", p, handled, refused, panicked)
	}
}
