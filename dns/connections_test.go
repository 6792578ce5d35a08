// SPDX-License-Identifier: Apache-2.0

package dns

import (
	"net/netip"
	"testing"
)

func TestOneClientIsAnIPv4AddressOrAnIPv6Slash64(t *testing.T) {
	for addr, want := range map[string]string{
		"192.0.2.1":            "192.0.2.1/32",
		"::ffff:192.0.2.1":     "192.0.2.1/32",
		"2001:db8::1":          "2001:db8::/64",
		"2001:db8:0:0:ffff::1": "2001:db8::/64",
		"2001:db8:0:1::1":      "2001:db8:0:1::/64",
		"fe80::1%eth0":         "fe80::/64",
	} {
		if got := client(netip.MustParseAddr(addr)).String(); got != want {
			t.Errorf("%s: got %s, want %s", addr, got, want)
		}
	}
}
